//! The floor under covariances: the smallest change that keeps the likelihood bounded.
//!
//! The likelihood of a Gaussian mixture has no maximum: it goes to infinity as a component shrinks onto a row, or onto a plane that
//! holds all its rows. With R = diag(r), r_j the squared scale of column j, EM maximises over covariances with
//!
//! ```text
//! λ_min(R^−½ Σ_k R^−½) ≥ τ
//! ```
//!
//! The M-step under this constraint raises the eigenvalues of R^−½ Σ̂_k R^−½ below τ to τ and leaves the others alone (the objective
//! −½ (log λ + s/λ) falls on both sides of λ = s), so it is still EM: the likelihood rises, and where no eigenvalue is below τ the
//! answer is the unregularised maximum-likelihood one.
//!
//! τ = 10⁻¹² allows components a million times narrower than the scale in any direction, and stays above what rounding does to an
//! eigenvalue (about D ε ≈ 10⁻¹⁴ for D = 64). The scale √r_j is the width the column would have if it were everywhere as dense as in
//! its densest part, and at most its standard deviation: one far outlier, or clusters very far apart, blow up the variance of a column
//! and not this. It is never so small that the floor falls below what rounding leaves of a number of the column's size:
//! τ r_j ≥ (64 ε max_n |x_nj|)².

use crate::error::Result;
use crate::gmm::columns::Columns;
use crate::gmm::prepared::Whitening;
use crate::linalg;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// The floor of one fit.
#[derive(Debug, Clone)]
pub(crate) struct Floor {
    /// r_j (D), above zero.
    reference: Array1<f64>,
    /// τ.
    relative: f64,
}

impl Floor {
    /// Relative to the scales of the columns; one that does not vary counts with the ridge.
    pub(crate) fn new(columns: &Columns, relative: f64, ridge: f64) -> Self {
        let scale = |j: usize| {
            let rounding = 64.0 * f64::EPSILON * columns.magnitude[j];
            if columns.variance[j] > 0.0 { columns.dense[j].max(rounding * rounding / relative) } else { ridge }
        };
        Floor { reference: (0..columns.variance.len()).map(scale).collect(), relative }
    }

    /// r_j (D).
    pub(crate) fn reference(&self) -> &Array1<f64> {
        &self.reference
    }

    /// The floor of one column's variance.
    pub(crate) fn column(&self, j: usize) -> f64 {
        self.relative * self.reference[j]
    }

    /// The floor of a variance shared by all columns.
    pub(crate) fn shared(&self) -> f64 {
        self.relative * self.reference.mean().unwrap_or(0.0)
    }

    /// Raises a matrix; whether that was needed.
    pub(crate) fn raise(&self, sigma: &mut Array2<f64>) -> Result<bool> {
        if linalg::cholesky(sigma.view()).is_ok_and(|l| self.certified(linalg::inverse_lower(l.view()).view())) {
            return Ok(false);
        }
        let scale = self.reference.mapv(f64::sqrt);
        let d = scale.len();
        let scaled = Array2::from_shape_fn((d, d), |(i, j)| sigma[[i, j]] / (scale[i] * scale[j]));
        let (values, vectors) = linalg::eigh(scaled.view())?;
        let mut floor = self.relative;
        if values.iter().all(|v| *v >= floor) && linalg::cholesky(sigma.view()).is_ok() {
            return Ok(false);
        }
        // With many columns rounding in the product can undo a floor this low: raise it until the factorisation goes through.
        loop {
            let root = values.mapv(|v| v.max(floor).sqrt());
            let half = &vectors * &root;
            let mut raised = Array2::zeros((d, d));
            linalg::gram_lower(1.0, half.t(), raised.view_mut());
            linalg::mirror_lower(&mut raised);
            *sigma = Array2::from_shape_fn((d, d), |(i, j)| raised[[i, j]] * (scale[i] * scale[j]));
            if linalg::cholesky(sigma.view()).is_ok() || floor >= 1.0 {
                return Ok(true);
            }
            floor *= 4.0;
        }
    }

    /// Whether λ_min ≥ τ is certain for every matrix, from λ_min ≥ 1 / tr(S⁻¹) and without an eigen-decomposition:
    /// tr(S_k⁻¹) = Σ_ij r_j (L_k⁻¹)²_ij.
    pub(crate) fn certifies(&self, whitening: &Whitening) -> bool {
        match whitening {
            Whitening::Full(a) => (0..a.len_of(Axis(0))).into_par_iter().all(|k| self.certified(a.index_axis(Axis(0), k))),
            Whitening::Tied(a) => self.certified(a.view()),
            Whitening::Diagonal(_) | Whitening::Spherical(_) => true,
        }
    }

    fn certified(&self, inverse: ArrayView2<'_, f64>) -> bool {
        let trace: f64 = inverse.rows().into_iter().map(|row| row.iter().zip(&self.reference).map(|(a, r)| r * (a * a)).sum::<f64>()).sum();
        trace <= 1.0 / self.relative
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn regular_matrices_are_left_alone_bit_for_bit() {
        let floor = Floor { reference: array![1.0, 1e10], relative: 1e-12 };
        let mut sigma = array![[1e-11, 3e-7], [3e-7, 0.1]];
        let before = sigma.clone();
        assert!(!floor.raise(&mut sigma).unwrap());
        assert_eq!(sigma, before);
    }

    #[test]
    fn a_singular_matrix_is_raised_in_its_null_direction_only() {
        let floor = Floor { reference: array![1.0, 1.0], relative: 1e-12 };
        let mut sigma = array![[1.0, 1.0], [1.0, 1.0]];
        assert!(floor.raise(&mut sigma).unwrap());
        // (1, −1)/√2 has variance τ = 1e-12, known to a few ε = 2.2e-16 of the other eigenvalue, 2
        let low = 0.5 * (sigma[[0, 0]] + sigma[[1, 1]] - 2.0 * sigma[[0, 1]]);
        assert!((low - 1e-12).abs() < 1e-14, "{low:e}");
        let mut zero = Array2::zeros((2, 2));
        assert!(floor.raise(&mut zero).unwrap());
        assert!((zero[[0, 0]] - 1e-12).abs() < 1e-26);
    }
}
