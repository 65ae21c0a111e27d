//! One variance for each component.

use ndarray::{Array2, ArrayViewMut1};

/// ‖(x_n − μ_k) / σ_k‖² of centred rows (B, D).
pub(super) fn squared_distances(inverse: f64, centred: &Array2<f64>, mut out: ArrayViewMut1<'_, f64>) {
    out.fill(0.0);
    for column in centred.columns() {
        out.zip_mut_with(&column, |o, v| *o += (inverse * v) * (inverse * v));
    }
}
