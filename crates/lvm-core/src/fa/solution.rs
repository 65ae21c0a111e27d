//! What an algorithm returns: (μ, W, ψ) in one frame, the order and the signs of the columns fixed.

use crate::error::Result;
use crate::linalg;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// (μ, W, ψ) in the units of the sample covariance.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    /// μ (D), where the algorithm estimates it; in units of the sample covariance.
    pub(super) mean: Option<Array1<f64>>,
    /// W (D, q).
    pub(super) loadings: Array2<f64>,
    /// ψ (D).
    pub(super) psi: Array1<f64>,
}

impl Solution {
    /// With the columns of W ordered and signed; W must already be such that Wᵀ Ψ⁻¹ W is diagonal.
    pub(super) fn new(mean: Option<Array1<f64>>, mut loadings: Array2<f64>, psi: Array1<f64>) -> Self {
        let (order, signs) = convention(standardised(&loadings, &psi).view(), None);
        loadings = loadings.select(Axis(1), &order) * &signs;
        Solution { mean, loadings, psi }
    }

    /// With W rotated to the frame in which Wᵀ Ψ⁻¹ W is diagonal.
    pub(super) fn canonical(mean: Option<Array1<f64>>, loadings: Array2<f64>, psi: Array1<f64>) -> Result<Self> {
        if loadings.ncols() == 0 {
            return Ok(Solution { mean, loadings, psi });
        }
        let scaled = &loadings / &psi.mapv(f64::sqrt).insert_axis(Axis(1));
        let mut gram = Array2::zeros((loadings.ncols(), loadings.ncols()));
        linalg::gram_lower(1.0, scaled.view(), gram.view_mut());
        let (_, v) = linalg::eigh(gram.view())?;
        Ok(Self::new(mean, linalg::matmul(loadings.view(), v.view()), psi))
    }
}

/// λ_jk = W_jk / σ_j with σ_j² = Σ_k W_jk² + ψ_j: correlations between variables and (orthogonal) factors.
pub(super) fn standardised(loadings: &Array2<f64>, psi: &Array1<f64>) -> Array2<f64> {
    let mut lambda = loadings.clone();
    for (mut row, psi) in lambda.rows_mut().into_iter().zip(psi) {
        let sd = (row.dot(&row) + psi).sqrt();
        row /= sd;
    }
    lambda
}

/// The order of the columns (by explained variance, descending) and the sign of each, after ordering (largest modulus positive).
///
/// The explained variance of column k is Σ_j λ_jk², or Σ_j λ_jk (Λ Φ)_jk for correlated factors. Among moduli that are equal to nine
/// digits the first decides, so that rounding does not.
pub(super) fn convention(lambda: ArrayView2<'_, f64>, structure: Option<ArrayView2<'_, f64>>) -> (Vec<usize>, Array1<f64>) {
    let structure = structure.unwrap_or(lambda);
    let explained: Vec<f64> = lambda.columns().into_iter().zip(structure.columns()).map(|(l, s)| l.dot(&s)).collect();
    let mut order: Vec<usize> = (0..explained.len()).collect();
    order.sort_by(|a, b| explained[*b].total_cmp(&explained[*a]));
    let signs = order
        .iter()
        .map(|&k| {
            let column = lambda.column(k);
            let largest = column.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let first = column.iter().find(|v| v.abs() >= largest * (1.0 - 1e-9));
            if first.is_some_and(|v| *v < 0.0) { -1.0 } else { 1.0 }
        })
        .collect();
    (order, signs)
}
