use super::double_length::DoubleLength;
use super::posterior::FlatPosterior;
use crate::error::{Error, ErrorKind, Result};
use crate::linalg;
use crate::special::HALF_LOG_2PI;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// The least-squares fit of y = Xβ + ε, N rows and P columns.
#[derive(Debug, Clone, PartialEq)]
pub struct LeastSquares {
    /// β̂ = argmin ‖y − Xβ‖² (P).
    pub coefficients: Array1<f64>,
    /// y − Xβ̂ (N).
    pub residuals: Array1<f64>,
    /// ‖y − Xβ̂‖².
    pub rss: f64,
    /// N − P.
    pub degrees_of_freedom: usize,
    /// (XᵀX)⁻¹ (P, P).
    pub unscaled_covariance: Array2<f64>,
}

/// Least squares by Householder QR of the column-scaled X, refined with residuals in twice the working precision.
///
/// *Needs* N > P rows and columns that are linearly independent; no intercept is added: give it as a column of ones.
///
/// *Numerics*: columns are scaled by powers of two (exactly), then the augmented system r + Xβ = f, Xᵀr = g is solved by QR and refined
/// (Björck 1967, *Iterative refinement of linear least squares solutions I*), for β̂ and for each column of (XᵀX)⁻¹. As long as the
/// condition number of the scaled X is below about 1e14, all results are correct to a few ulp of X and y as they are given. O(N P²).
///
/// ```
/// use lvm_core::regression::least_squares;
/// use ndarray::array;
/// let fit = least_squares(array![[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]].view(), array![1.0, 2.0, 4.0].view())?;
/// assert!((fit.coefficients[1] - 1.5).abs() < 1e-15);
/// assert!((fit.rss - 1.0 / 6.0).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If a cell is not finite, the shapes differ, N ≤ P, or a column depends on those before it.
pub fn least_squares(x: ArrayView2<'_, f64>, y: ArrayView1<'_, f64>) -> Result<LeastSquares> {
    let (n, p) = x.dim();
    check(x, y)?;
    let scale = x.map_axis(Axis(0), |column| power_of_two(column.iter().fold(0.0_f64, |m, v| m.max(v.abs()))));
    let scaled = &x / &scale;
    let (q, r) = linalg::qr(scaled.view())?;
    let largest = r.diag().iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for j in 0..p {
        // below this the pivot is made of rounding alone
        if !(r[[j, j]].abs() > largest * f64::EPSILON * 4.0) {
            return Err(Error::config("x", format!("column {j} (from 0) is a linear combination of the columns before it; leave it out")));
        }
    }
    let system = Augmented { x: scaled, q, r_transposed: r.t().as_standard_layout().into_owned() };

    let (residuals, beta) = system.solve(y, Array1::zeros(p).view());
    let zeros = Array1::zeros(n);
    let mut unscaled_covariance = Array2::zeros((p, p));
    for j in 0..p {
        // g = −e_j: XᵀX v = e_j
        let mut g = Array1::zeros(p);
        g[j] = -1.0;
        let (_, column) = system.solve(zeros.view(), g.view());
        unscaled_covariance.column_mut(j).assign(&(column / &scale / scale[j]));
    }
    linalg::mirror_lower(&mut unscaled_covariance);
    let rss = residuals.iter().map(|v| v * v).sum();
    Ok(LeastSquares { coefficients: beta / &scale, residuals, rss, degrees_of_freedom: n - p, unscaled_covariance })
}

fn check(x: ArrayView2<'_, f64>, y: ArrayView1<'_, f64>) -> Result<()> {
    let (n, p) = x.dim();
    if y.len() != n {
        return Err(ErrorKind::Shape { what: "entries of y", expected: n, found: y.len() }.into());
    }
    if p == 0 {
        return Err(ErrorKind::Empty.into());
    }
    if n <= p {
        return Err(ErrorKind::TooFewRows { rows: n, needed: p + 1, why: "least squares with a residual variance" }.into());
    }
    for ((row, column), v) in x.indexed_iter() {
        if !v.is_finite() {
            return Err(match v.is_nan() {
                true => ErrorKind::NotANumber { row, column, name: None }.into(),
                false => ErrorKind::Infinite { row, column, name: None }.into(),
            });
        }
    }
    match y.iter().position(|v| !v.is_finite()) {
        Some(row) => Err(Error::config("y", format!("{} in row {row} (from 0) is not finite", y[row]))),
        None => Ok(()),
    }
}

/// The power of two at or below a, or 1 for a column of zeros.
fn power_of_two(a: f64) -> f64 {
    if a.is_normal() { f64::from_bits(a.to_bits() & 0x7ff0_0000_0000_0000) } else { 1.0 }
}

/// r + Xβ = f, Xᵀr = g, with the factorisation X = QR.
struct Augmented {
    x: Array2<f64>,
    q: Array2<f64>,
    r_transposed: Array2<f64>,
}

impl Augmented {
    /// (r, β), refined until the correction no longer shrinks.
    fn solve(&self, f: ArrayView1<'_, f64>, g: ArrayView1<'_, f64>) -> (Array1<f64>, Array1<f64>) {
        let (mut r, mut beta) = self.solve_once(f, g);
        let mut last = f64::INFINITY;
        for _ in 0..20 {
            let (left_f, left_g) = self.left_over(f, g, r.view(), beta.view());
            let (dr, dbeta) = self.solve_once(left_f.view(), left_g.view());
            let size = dbeta.iter().zip(&beta).map(|(d, b)| d.abs() / b.abs().max(f64::MIN_POSITIVE)).fold(0.0, f64::max);
            // a correction that grows is noise; each good one is eps·cond² or less of the one before
            if !(size < last) {
                break;
            }
            last = size;
            r += &dr;
            beta += &dbeta;
            if size < 0.5 * f64::EPSILON {
                break;
            }
        }
        (r, beta)
    }

    /// One solution through QR.
    fn solve_once(&self, f: ArrayView1<'_, f64>, g: ArrayView1<'_, f64>) -> (Array1<f64>, Array1<f64>) {
        // Rᵀh = g,  d = Qᵀf,  Rβ = d − h,  r = f − Q(d − h)
        let mut h = g.to_owned().insert_axis(Axis(1));
        linalg::solve_lower(self.r_transposed.view(), h.view_mut());
        let h = h.remove_axis(Axis(1));
        let step = self.q.t().dot(&f) - &h;
        let mut beta = step.clone().insert_axis(Axis(1));
        linalg::solve_lower_transposed(self.r_transposed.view(), beta.view_mut());
        (&f - &self.q.dot(&step), beta.remove_axis(Axis(1)))
    }

    /// f − r − Xβ and g − Xᵀr in twice the working precision.
    fn left_over(
        &self,
        f: ArrayView1<'_, f64>,
        g: ArrayView1<'_, f64>,
        r: ArrayView1<'_, f64>,
        beta: ArrayView1<'_, f64>,
    ) -> (Array1<f64>, Array1<f64>) {
        let mut of_f = Array1::zeros(f.len());
        let mut of_g: Vec<DoubleLength> = g.iter().map(|v| DoubleLength::new(*v)).collect();
        for (i, row) in self.x.rows().into_iter().enumerate() {
            let mut sum = DoubleLength::new(f[i]).minus_product(1.0, r[i]);
            for ((x, b), g) in row.iter().zip(beta).zip(&mut of_g) {
                sum = sum.minus_product(*x, *b);
                *g = g.minus_product(*x, r[i]);
            }
            of_f[i] = sum.value();
        }
        (of_f, of_g.into_iter().map(DoubleLength::value).collect())
    }
}

impl LeastSquares {
    /// s² = rss / (N − P), unbiased for σ².
    pub fn residual_variance(&self) -> f64 {
        self.rss / self.degrees_of_freedom as f64
    }

    /// s = √(rss / (N − P)).
    pub fn residual_sd(&self) -> f64 {
        self.residual_variance().sqrt()
    }

    /// s √(XᵀX)⁻¹_jj (P).
    pub fn standard_errors(&self) -> Array1<f64> {
        self.unscaled_covariance.diag().mapv(|v| self.residual_sd() * v.sqrt())
    }

    /// The maximum of the log likelihood, at σ² = rss/N: −N/2 [log(2π rss/N) + 1].
    pub fn log_likelihood(&self) -> f64 {
        let n = self.residuals.len() as f64;
        -n * (HALF_LOG_2PI + 0.5 * (self.rss / n).ln() + 0.5)
    }

    /// The posterior under p(β, log σ) ∝ 1.
    ///
    /// # Errors
    /// If N − P ≤ 2 or rss is 0: then the posterior has no variance.
    pub fn flat_posterior(&self) -> Result<FlatPosterior> {
        FlatPosterior::new(self)
    }
}
