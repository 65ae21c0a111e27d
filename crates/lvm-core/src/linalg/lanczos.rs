//! The leading eigenpairs of a symmetric matrix, by a block Lanczos process with full reorthogonalisation.

use super::{eigh, matmul, matmul_by_bands, orthonormal};
use crate::error::{ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, Slice};

/// Ritz pairs of A in a Krylov space.
pub(crate) struct Ritz {
    /// θ, descending.
    pub(crate) values: Array1<f64>,
    /// ‖A u_i − θ_i u_i‖ for each, as the recurrence has it.
    pub(crate) residuals: Array1<f64>,
    /// The basis (D, k).
    basis: Array2<f64>,
    /// Eigenvectors (k, k) of A in that basis.
    rotation: Array2<f64>,
}

impl Ritz {
    /// The first `m` Ritz vectors (D, m).
    pub(crate) fn vectors(&self, m: usize) -> Array2<f64> {
        matmul_by_bands(self.basis.view(), columns(&self.rotation, 0, m))
    }
}

/// What Ritz pairs are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// They do.
    Enough,
    /// A larger space may do.
    More,
    /// No space will do.
    Hopeless,
}

/// The share of an image's length outside the space below which it is projected twice.
const LEFT: f64 = 0.1;

/// The share of an image's length that its least direction must have for rounding to leave it orthogonal to the space.
const SURE: f64 = 1e-3;

fn columns(a: &Array2<f64>, begin: usize, end: usize) -> ArrayView2<'_, f64> {
    a.slice_axis(Axis(1), Slice::from(begin..end))
}

/// The Ritz pairs of the first space of at least `first` dimensions that `look` is content with; `None` if three quarters of all dimensions
/// do not do or none will. `apply` multiplies by A; the space grows from the columns of `start` (D, b), b dimensions at a time.
///
/// ```text
/// A Q_j = Q_{j−1} B_{j−1}ᵀ + Q_j A_j + Q_{j+1} B_j,   T = tridiag(B_{j−1}, A_j, B_jᵀ),   T s = θ s,   ‖A Q s − θ Q s‖ = ‖B_m s_m‖
/// ```
/// (Golub & Underwood 1977).
pub(crate) fn leading(
    apply: impl Fn(ArrayView2<'_, f64>) -> Array2<f64>,
    start: ArrayView2<'_, f64>,
    first: usize,
    look: impl Fn(&Ritz) -> Look,
) -> Result<Option<Ritz>> {
    let (d, width) = start.dim();
    let most = most(d, width);
    let broken = || ErrorKind::Decomposition { what: "block Lanczos process" };
    let mut block = orthonormal(start)?.0;
    let mut basis = Array2::zeros((d, 0).f());
    let mut t = Array2::<f64>::zeros((most + width, most + width));
    let (mut k, mut next_look) = (0, first);
    while k + width <= most {
        basis.append(Axis(1), block.view()).map_err(|_| broken())?;
        k += width;
        let mut image = apply(block.view());
        let before = squares(&image);
        let overlap = subtract_projection(&basis, &mut image);
        // the lower triangle of Qᵀ A Q: what lies off the three diagonals is rounding, and belongs to it
        let mut lines = t.slice_axis_mut(Axis(0), Slice::from(k - width..k));
        lines.slice_axis_mut(Axis(1), Slice::from(..k)).assign(&overlap.t());
        // what rounding leaves of an image that lies almost in the space is not orthogonal to it
        if squares(&image).iter().zip(&before).any(|(after, before)| !(*after > LEFT * LEFT * before)) {
            subtract_projection(&basis, &mut image);
        }
        let (mut q, mut r) = orthonormal(image.view())?;
        // Columns that are nearly dependent leave directions that are rounding, and no shorter column shows it: what of such a direction lies
        // in the space is taken away, until hardly anything is
        let mut smallest = least(&r) / before.fold(0.0, |m: f64, v| m.max(v.sqrt()));
        for _ in 0..3 {
            if smallest > SURE {
                break;
            }
            subtract_projection(&basis, &mut q);
            let (again, turned) = orthonormal(q.view())?;
            (q, r, smallest) = (again, matmul(turned.view(), r.view()), least(&turned));
        }
        if k >= next_look {
            let inner = t.slice_axis(Axis(0), Slice::from(..k));
            let (values, rotation) = eigh(inner.slice_axis(Axis(1), Slice::from(..k)))?;
            let last = rotation.slice_axis(Axis(0), Slice::from(k - width..));
            let residuals = matmul(r.view(), last).map_axis(Axis(0), |c| c.dot(&c).sqrt());
            let ritz = Ritz { values, residuals, basis, rotation };
            match look(&ritz) {
                Look::Enough => return Ok(Some(ritz)),
                Look::Hopeless => return Ok(None),
                Look::More => basis = ritz.basis,
            }
            // a look takes k³ operations, a block D² b
            next_look = k + if k < 6 * width { width } else { 2 * width };
        }
        block = q;
    }
    Ok(None)
}

/// The largest space, of whole blocks.
pub(crate) fn most(d: usize, width: usize) -> usize {
    3 * d / 4 / width * width
}

/// The least modulus on the diagonal.
fn least(r: &Array2<f64>) -> f64 {
    r.diag().iter().fold(f64::INFINITY, |m: f64, v| m.min(v.abs()))
}

/// The squared length of each column.
fn squares(x: &Array2<f64>) -> Array1<f64> {
    x.rows().into_iter().fold(Array1::zeros(x.ncols()), |sums, row| sums + &row * &row)
}

/// X ← X − Q Qᵀ X; the answer is Qᵀ X.
fn subtract_projection(basis: &Array2<f64>, x: &mut Array2<f64>) -> Array2<f64> {
    let overlap = matmul_by_bands(basis.t(), x.view());
    *x -= &matmul_by_bands(basis.view(), overlap.view());
    overlap
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::qr;
    use crate::random::{Purpose, stream};
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn leading_eigenpairs_are_those_of_the_whole_decomposition() {
        let d = 200;
        // λ falls by 0.9; the eigenvectors are those of a random symmetric matrix
        let mut rng = stream(3, Purpose::Sample, 0);
        let random: Array2<f64> = Array2::from_shape_simple_fn((d, d), || StandardNormal.sample(&mut rng));
        let axes = qr(random.view()).unwrap().0;
        let lambda = Array1::from_shape_fn(d, |i| 0.9_f64.powi(i as i32));
        let a = (&axes * &lambda).dot(&axes.t());
        let start: Array2<f64> = Array2::from_shape_simple_fn((d, 24), || StandardNormal.sample(&mut rng));
        let find =
            |a: &Array2<f64>, start: &Array2<f64>, look: &dyn Fn(&Ritz) -> Look| leading(|x| a.dot(&x), start.view(), 48, look).unwrap();
        let small = |ritz: &Ritz| if ritz.residuals.iter().take(6).all(|r| *r < 1e-9) { Look::Enough } else { Look::More };
        let ritz = find(&a, &start, &small).unwrap();
        let vectors = ritz.vectors(6);
        for i in 0..6 {
            // Rayleigh quotients err by the square of the residual over the gap; the rest is rounding
            assert!((ritz.values[i] - lambda[i]).abs() < 1e-13);
            let u = vectors.column(i);
            let residual = a.dot(&u) - &(&u * lambda[i]);
            assert!((residual.dot(&residual).sqrt() - ritz.residuals[i]).abs() < 1e-13, "{i}");
        }
        assert!(find(&a, &start, &|_| Look::More).is_none());
        assert!(find(&a, &start, &|_| Look::Hopeless).is_none());
        // rank 30: directions beyond are rounding, and what is found stays right; likewise where the start is the answer
        let low = Array1::from_shape_fn(d, |i| if i < 30 { lambda[i] } else { 0.0 });
        let low = (&axes * &low).dot(&axes.t());
        for start in [start, axes.slice_axis(Axis(1), Slice::from(..24)).to_owned()] {
            let late = |ritz: &Ritz| if ritz.values.len() > 120 { Look::Enough } else { Look::More };
            let ritz = find(&low, &start, &late).unwrap();
            assert!((0..30).all(|i| (ritz.values[i] - lambda[i]).abs() < 1e-13));
            assert!(ritz.values.iter().skip(30).all(|v| v.abs() < 1e-13));
            let vectors = ritz.vectors(30);
            let off = vectors.t().dot(&vectors) - Array2::<f64>::eye(30);
            assert!(off.iter().all(|v| v.abs() < 1e-13));
        }
        // nearly of rank 20, from a start that is nearly the answer: columns of an image that are nearly dependent, and none of them short
        let graded = Array1::from_shape_fn(d, |i| if i < 20 { lambda[i] } else { 1e-7 * lambda[i] });
        let graded = (&axes * &graded).dot(&axes.t());
        for off in [1e-4, 1e-6, 1e-8] {
            let near = Array2::from_shape_fn((d, 24), |(i, j)| {
                axes[[i, j]]
                    + off * {
                        let z: f64 = StandardNormal.sample(&mut rng);
                        z
                    }
            });
            let late = |ritz: &Ritz| if ritz.values.len() > 120 { Look::Enough } else { Look::More };
            let ritz = find(&graded, &near, &late).unwrap();
            let off = ritz.basis.t().dot(&ritz.basis) - Array2::<f64>::eye(ritz.basis.ncols());
            assert!(off.iter().all(|v| v.abs() < 1e-12));
        }
    }
}
