//! The leading eigenpairs of a symmetric matrix in memory, by a block Lanczos process with full reorthogonalisation.

use crate::error::{ErrorKind, Result};
use crate::linalg;
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, Slice};
use rand_distr::{Distribution, StandardNormal};

/// Vectors in a block.
const BLOCK: usize = 24;

/// Ritz pairs of A in a Krylov space.
pub(super) struct Ritz {
    /// θ, descending.
    pub(super) values: Array1<f64>,
    /// ‖A u_i − θ_i u_i‖ for each, as the recurrence has it.
    pub(super) residuals: Array1<f64>,
    /// The basis (D, k).
    basis: Array2<f64>,
    /// Eigenvectors (k, k) of A in that basis.
    rotation: Array2<f64>,
}

impl Ritz {
    /// The first `m` Ritz vectors (D, m).
    pub(super) fn vectors(&self, m: usize) -> Array2<f64> {
        linalg::matmul_by_bands(self.basis.view(), columns(&self.rotation, 0, m))
    }
}

fn columns(a: &Array2<f64>, begin: usize, end: usize) -> ArrayView2<'_, f64> {
    a.slice_axis(Axis(1), Slice::from(begin..end))
}

/// The Ritz pairs of the first space of at least `first` dimensions that `enough` accepts; `None` if three quarters of all dimensions do not do,
/// or if A is singular to rounding on the space, so that the recurrence ends.
///
/// ```text
/// A Q_j = Q_{j−1} B_{j−1}ᵀ + Q_j A_j + Q_{j+1} B_j,   T = tridiag(B_{j−1}, A_j, B_jᵀ),   T s = θ s,   ‖A Q s − θ Q s‖ = ‖B_m s_m‖
/// ```
/// (Golub & Underwood 1977). The start is a fixed random block; products are cut into fixed bands.
pub(super) fn leading(a: ArrayView2<'_, f64>, first: usize, enough: impl Fn(&Ritz) -> bool) -> Result<Option<Ritz>> {
    let d = a.nrows();
    let most = 3 * d / 4;
    let broken = || ErrorKind::Decomposition { what: "block Lanczos process" };
    let mut rng = stream(0, Purpose::Projection, 1);
    let start = Array2::from_shape_simple_fn((d, BLOCK), || StandardNormal.sample(&mut rng));
    let mut block = linalg::orthonormal(start.view())?.0;
    let mut basis = Array2::zeros((d, 0).f());
    let mut t = Array2::<f64>::zeros((most + BLOCK, most + BLOCK));
    let (mut k, mut next_look) = (0, first);
    while k + BLOCK <= most {
        basis.append(Axis(1), block.view()).map_err(|_| broken())?;
        k += BLOCK;
        let mut image = linalg::matmul_by_bands(a, block.view());
        // twice: what rounding leaves of an image that lies almost in the space is not orthogonal to it
        for pass in 0..2 {
            let overlap = linalg::matmul_by_bands(basis.t(), image.view());
            image -= &linalg::matmul_by_bands(basis.view(), overlap.view());
            if pass == 0 {
                write(&mut t, (k - BLOCK, k - BLOCK), overlap.slice_axis(Axis(0), Slice::from(k - BLOCK..)));
            }
        }
        let (q, r) = linalg::orthonormal(image.view())?;
        if k >= next_look {
            let inner = t.slice_axis(Axis(0), Slice::from(..k));
            let (values, rotation) = linalg::eigh(inner.slice_axis(Axis(1), Slice::from(..k)))?;
            let last = rotation.slice_axis(Axis(0), Slice::from(k - BLOCK..));
            let residuals = linalg::matmul(r.view(), last).map_axis(Axis(0), |c| c.dot(&c).sqrt());
            let ritz = Ritz { values, residuals, basis, rotation };
            if enough(&ritz) {
                return Ok(Some(ritz));
            }
            basis = ritz.basis;
            next_look = k + 2 * BLOCK;
        }
        // a direction that is rounding alone is not orthogonal to the space
        let level = 16.0 * d as f64 * f64::EPSILON * t.diag().iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        if r.diag().iter().any(|v| !(v.abs() > level)) {
            return Ok(None);
        }
        write(&mut t, (k, k - BLOCK), r.view());
        block = q;
    }
    Ok(None)
}

fn write(t: &mut Array2<f64>, (row, column): (usize, usize), block: ArrayView2<'_, f64>) {
    let (rows, columns) = block.dim();
    let mut lines = t.slice_axis_mut(Axis(0), Slice::from(row..row + rows));
    lines.slice_axis_mut(Axis(1), Slice::from(column..column + columns)).assign(&block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_eigenpairs_are_those_of_the_whole_decomposition() {
        let d = 200;
        // λ falls by 0.9; the eigenvectors are those of a random symmetric matrix
        let mut rng = stream(3, Purpose::Sample, 0);
        let random: Array2<f64> = Array2::from_shape_simple_fn((d, d), || StandardNormal.sample(&mut rng));
        let axes = linalg::qr(random.view()).unwrap().0;
        let lambda = Array1::from_shape_fn(d, |i| 0.9_f64.powi(i as i32));
        let a = (&axes * &lambda).dot(&axes.t());
        let ritz = leading(a.view(), 48, |r| r.residuals.iter().take(6).all(|r| *r < 1e-9)).unwrap().unwrap();
        let vectors = ritz.vectors(6);
        for i in 0..6 {
            // Rayleigh quotients err by the square of the residual over the gap; the rest is rounding
            assert!((ritz.values[i] - lambda[i]).abs() < 1e-13);
            let u = vectors.column(i);
            let residual = a.dot(&u) - &(&u * lambda[i]);
            assert!((residual.dot(&residual).sqrt() - ritz.residuals[i]).abs() < 1e-13, "{i}");
        }
        assert!(leading(a.view(), 48, |_| false).unwrap().is_none());
        // rank 30: the process ends
        let low = lambda.iter().enumerate().map(|(i, v)| if i < 30 { *v } else { 0.0 }).collect::<Array1<f64>>();
        assert!(leading((&axes * &low).dot(&axes.t()).view(), 48, |_| false).unwrap().is_none());
    }
}
