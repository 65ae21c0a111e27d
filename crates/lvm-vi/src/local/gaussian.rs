//! Gaussian posteriors of N rows, of diagonal or full covariance.

use super::Shape;
use lvm_core::linear_gaussian::GaussianPosterior;
use lvm_core::model::LatentDist;
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::TAU;

/// q(z_n) = N(m_n, L_n L_nᵀ) of N rows; rows may share their L.
///
/// # Symbols
/// | symbol | meaning | here | shape |
/// |---|---|---|---|
/// | m | means | [`mean`](Self::mean) | (N, q) |
/// | L Lᵀ | covariance of row n | [`covariance`](Self::covariance) | (q, q) |
/// | L | its lower Cholesky factor | [`lower`](Self::lower) | (q, q) |
#[derive(Debug, Clone, PartialEq)]
pub struct LocalGaussian {
    shape: Shape,
    mean: Array2<f64>,
    lower: Vec<Array2<f64>>,
    /// The factor of each row; `None`: one for each row, or one for all.
    index: Option<Vec<usize>>,
}

impl LocalGaussian {
    /// Means (N, q) and standard deviations, (N, q) or (1, q) shared by all rows.
    ///
    /// # Errors
    /// If the shapes disagree, or a mean is not finite, or a standard deviation not positive and finite.
    pub fn diagonal(mean: Array2<f64>, standard_deviations: ArrayView2<'_, f64>) -> Result<Self> {
        let lower = standard_deviations.rows().into_iter().map(|s| Array2::from_diag(&s)).collect();
        Self::checked(Shape::Diagonal, mean, lower, None)
    }

    /// Means (N, q) and lower Cholesky factors (q, q), one a row or one for all.
    ///
    /// # Errors
    /// If the shapes disagree, or a number is not finite, or a diagonal entry of a factor is not positive.
    pub fn full(mean: Array2<f64>, lower: Vec<Array2<f64>>) -> Result<Self> {
        Self::checked(Shape::Full, mean, lower, None)
    }

    /// The same with the factor of row n being `lower[index[n]]`.
    pub(crate) fn indexed(shape: Shape, mean: Array2<f64>, lower: Vec<Array2<f64>>, index: Vec<usize>) -> Result<Self> {
        Self::checked(shape, mean, lower, Some(index))
    }

    fn checked(shape: Shape, mean: Array2<f64>, lower: Vec<Array2<f64>>, index: Option<Vec<usize>>) -> Result<Self> {
        let (n, q) = mean.dim();
        if index.is_none() && lower.len() != n && lower.len() != 1 {
            return Err(ErrorKind::Shape { what: "number of covariance factors", expected: n, found: lower.len() }.into());
        }
        if let Some((row, v)) = mean.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("mean", format!("entry {row:?} (from 0) is {v}; it must be finite")));
        }
        for (p, l) in lower.iter().enumerate() {
            for found in [l.nrows(), l.ncols()] {
                if found != q {
                    return Err(ErrorKind::Shape { what: "size of a covariance factor", expected: q, found }.into());
                }
            }
            let usable = l.iter().all(|v| v.is_finite()) && l.diag().iter().all(|v| *v > 0.0);
            if !usable {
                return Err(Error::config("lower", format!("factor {p} (from 0) needs finite entries and a positive diagonal")));
            }
        }
        Ok(LocalGaussian { shape, mean, lower, index })
    }

    /// N(0, I) for each of N rows: the prior.
    ///
    /// # Errors
    /// If N is 0.
    pub fn standard(rows: usize, latents: usize, shape: Shape) -> Result<Self> {
        if rows == 0 {
            return Err(ErrorKind::Empty.into());
        }
        Self::checked(shape, Array2::zeros((rows, latents)), vec![Array2::eye(latents)], None)
    }

    /// Diagonal or full.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// m (N, q).
    pub fn mean(&self) -> &Array2<f64> {
        &self.mean
    }

    /// L_n (q, q) with covariance L_n L_nᵀ; diagonal for the mean field.
    ///
    /// # Panics
    /// If there is no row `n`.
    pub fn lower(&self, n: usize) -> ArrayView2<'_, f64> {
        // invariant: a row number is the caller's own, as under Panics
        assert!(n < self.mean.nrows(), "row {n} of {} rows", self.mean.nrows());
        self.lower[self.factor(n)].view()
    }

    /// The covariance (q, q) of row `n`.
    ///
    /// # Panics
    /// If there is no row `n`.
    pub fn covariance(&self, n: usize) -> Array2<f64> {
        let l = self.lower(n);
        l.dot(&l.t())
    }

    /// The standard deviations (N, q).
    pub fn standard_deviations(&self) -> Array2<f64> {
        let each: Vec<Array1<f64>> = self.lower.iter().map(|l| l.map_axis(Axis(1), |row| row.dot(&row).sqrt())).collect();
        Array2::from_shape_fn(self.mean.dim(), |(n, i)| each[self.factor(n)][i])
    }

    /// H\[q(z_n)\] in nats; (N).
    pub fn entropy(&self) -> Array1<f64> {
        let each: Vec<f64> = self.lower.iter().map(|l| entropy_of(l.view())).collect();
        Array1::from_shape_fn(self.mean.nrows(), |n| each[self.factor(n)])
    }

    /// KL(q_n ‖ p_n) to the Gaussian posteriors `p` in nats; (N):
    ///
    /// ```text
    /// KL = ½ [ ‖L_p⁻¹ L_q‖² + ‖L_p⁻¹ (m_q − m_p)‖² − q ] + log det L_p − log det L_q
    /// ```
    ///
    /// # Errors
    /// If the shapes differ, or a covariance of `p` is not positive definite.
    pub fn kl(&self, p: &GaussianPosterior) -> Result<Array1<f64>> {
        let factor = |n: usize| linalg::cholesky(p.covariance(n)).map_err(|e| e.of("posterior covariance"));
        let (n_rows, q) = self.mean.dim();
        self.same_shape(p.mean().dim())?;
        if q == 0 {
            return Ok(Array1::zeros(n_rows));
        }
        let shared = if p.shares_covariance() { Some(factor(0)?) } else { None };
        let spread = |l_p: &Array2<f64>, l_q: ArrayView2<'_, f64>| {
            let mut ratio = l_q.to_owned();
            linalg::solve_lower(l_p.view(), ratio.view_mut());
            // ½ [Σ r_ij² − q] − Σ log r_ii, the diagonal gathered so that equal covariances give zero
            let off: f64 = ratio.iter().map(|v| v * v).sum::<f64>() - ratio.diag().iter().map(|v| v * v).sum::<f64>();
            0.5 * off + ratio.diag().iter().map(|v| 0.5 * (v * v - 1.0) - v.ln()).sum::<f64>()
        };
        let one = match (&shared, self.lower.len()) {
            (Some(l_p), 1) => Some(spread(l_p, self.lower[0].view())),
            _ => None,
        };
        let mut out = Array1::zeros(n_rows);
        for n in 0..n_rows {
            let own;
            let l_p = match &shared {
                Some(l) => l,
                None => {
                    own = factor(n)?;
                    &own
                }
            };
            let mut e = (&self.mean.row(n) - &p.mean().row(n)).insert_axis(Axis(1));
            linalg::solve_lower(l_p.view(), e.view_mut());
            out[n] = 0.5 * e.iter().map(|v| v * v).sum::<f64>() + one.unwrap_or_else(|| spread(l_p, self.lower(n)));
        }
        Ok(out)
    }

    /// KL(q_n ‖ N(0, I)) in nats; (N).
    pub fn kl_from_prior(&self) -> Array1<f64> {
        let each: Vec<f64> = self
            .lower
            .iter()
            .map(|l| 0.5 * (l.iter().map(|v| v * v).sum::<f64>() - l.nrows() as f64) - l.diag().iter().map(|v| v.ln()).sum::<f64>())
            .collect();
        Array1::from_shape_fn(self.mean.nrows(), |n| {
            let m = self.mean.row(n);
            each[self.factor(n)] + 0.5 * m.dot(&m)
        })
    }

    fn factor(&self, n: usize) -> usize {
        match &self.index {
            Some(index) => index[n],
            None if self.lower.len() == 1 => 0,
            None => n,
        }
    }

    fn same_shape(&self, other: (usize, usize)) -> Result<()> {
        let (n, q) = self.mean.dim();
        for (what, expected, found) in [("number of rows of z", n, other.0), ("number of columns of z", q, other.1)] {
            if expected != found {
                return Err(ErrorKind::Shape { what, expected, found }.into());
            }
        }
        Ok(())
    }
}

impl From<&GaussianPosterior> for LocalGaussian {
    /// The same distributions.
    fn from(p: &GaussianPosterior) -> Self {
        let rows = if p.shares_covariance() { p.mean().nrows().min(1) } else { p.mean().nrows() };
        // invariant: a posterior's covariances were factorised when it was made
        let factor =
            |n: usize| if p.mean().ncols() == 0 { Array2::zeros((0, 0)) } else { linalg::cholesky(p.covariance(n)).expect("factor") };
        LocalGaussian { shape: Shape::Full, mean: p.mean().clone(), lower: (0..rows).map(factor).collect(), index: None }
    }
}

impl LatentDist for LocalGaussian {
    type Z = Array2<f64>;

    fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        let mut z = self.mean.clone();
        let mut e = Array1::zeros(z.ncols());
        for (n, mut row) in z.rows_mut().into_iter().enumerate() {
            e.mapv_inplace(|_| StandardNormal.sample(rng));
            row += &self.lower[self.factor(n)].dot(&e);
        }
        z
    }

    fn log_prob(&self, z: &Array2<f64>) -> Result<Array1<f64>> {
        self.same_shape(z.dim())?;
        let q = self.mean.ncols();
        let normalisers: Vec<f64> = self.lower.iter().map(|l| 0.5 * (q as f64 * TAU.ln() + linalg::log_det(l.view()))).collect();
        Ok(Array1::from_shape_fn(z.nrows(), |n| {
            let lower = &self.lower[self.factor(n)];
            let mut e = &z.row(n) - &self.mean.row(n);
            for i in 0..q {
                for k in 0..i {
                    e[i] -= lower[[i, k]] * e[k];
                }
                e[i] /= lower[[i, i]];
            }
            -normalisers[self.factor(n)] - 0.5 * e.dot(&e)
        }))
    }

    fn mode(&self) -> Array2<f64> {
        self.mean.clone()
    }
}

/// ½ q log 2πe + log det L.
pub(crate) fn entropy_of(lower: ArrayView2<'_, f64>) -> f64 {
    0.5 * lower.nrows() as f64 * (TAU.ln() + 1.0) + lower.diag().iter().map(|v| v.ln()).sum::<f64>()
}

/// How one row's Gaussian lies in a table of numbers: mean (q), then L row by row (q²).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed {
    /// q.
    pub(crate) latents: usize,
}

impl Packed {
    /// Numbers a row.
    pub(crate) fn width(self) -> usize {
        self.latents * (1 + self.latents)
    }

    /// All rows of `q`.
    pub(crate) fn table(self, q: &LocalGaussian) -> Array2<f64> {
        let n = q.latents_of();
        Array2::from_shape_fn((q.mean().nrows(), self.width()), |(row, c)| {
            if c < n { q.mean()[[row, c]] } else { q.lower(row)[[(c - n) / n, (c - n) % n]] }
        })
    }

    /// The Gaussians of a table.
    pub(crate) fn unpack(self, table: ArrayView2<'_, f64>, shape: Shape) -> Result<LocalGaussian> {
        let q = self.latents;
        let mean = Array2::from_shape_fn((table.nrows(), q), |(n, i)| table[[n, i]]);
        let lower = table.rows().into_iter().map(|row| Array2::from_shape_fn((q, q), |(i, k)| row[q + i * q + k])).collect();
        LocalGaussian::checked(shape, mean, lower, None)
    }
}

impl LocalGaussian {
    fn latents_of(&self) -> usize {
        self.mean.ncols()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn entropy_and_divergence_are_those_of_the_textbook() {
        let q = LocalGaussian::diagonal(array![[1.0, -2.0]], array![[0.5, 2.0]].view()).unwrap();
        // ½ log (2πe σ²) each
        let entropy: f64 = [0.5_f64, 2.0].iter().map(|s| 0.5 * (TAU * 1.0_f64.exp() * s * s).ln()).sum();
        assert!((q.entropy()[0] - entropy).abs() < 1e-14);
        // ½ (σ² + m² − 1) − log σ each
        let kl = 0.5 * (0.25 + 1.0 - 1.0) - 0.5_f64.ln() + 0.5 * (4.0 + 4.0 - 1.0) - 2.0_f64.ln();
        assert!((q.kl_from_prior()[0] - kl).abs() < 1e-14);
        let z = array![[1.5, 0.0]];
        let log_q = -0.5 * (1.0 + 1.0) - TAU.ln() - (0.5_f64 * 2.0).ln();
        assert!((q.log_prob(&z).unwrap()[0] - log_q).abs() < 1e-14);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        assert!(LocalGaussian::diagonal(array![[0.0]], array![[0.0]].view()).is_err());
        assert!(LocalGaussian::diagonal(array![[f64::NAN]], array![[1.0]].view()).is_err());
        assert!(LocalGaussian::diagonal(array![[0.0], [1.0], [2.0]], array![[1.0], [1.0]].view()).is_err());
        assert!(LocalGaussian::full(array![[0.0, 1.0]], vec![array![[1.0]]]).is_err());
        assert!(LocalGaussian::standard(0, 2, Shape::Full).is_err());
    }
}
