//! A diagonal covariance for each component.

use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// Σ_j ((x_nj − μ_kj) / σ_kj)² of centred rows (B, D).
pub(super) fn squared_distances(inverse: ArrayView1<'_, f64>, centred: &Array2<f64>, mut out: ArrayViewMut1<'_, f64>) {
    out.fill(0.0);
    for (column, a) in centred.columns().into_iter().zip(inverse) {
        out.zip_mut_with(&column, |o, v| *o += (a * v) * (a * v));
    }
}
