//! One covariance matrix for all components.

use crate::linalg;
use ndarray::{Array2, ArrayView2, ArrayViewMut1, ShapeBuilder};

/// ‖L⁻¹ (x_n − μ_k)‖² of centred rows (B, D).
pub(super) fn squared_distances(inverse: &Array2<f64>, centred: &Array2<f64>, out: ArrayViewMut1<'_, f64>) {
    lower(inverse.view(), centred, out);
}

/// ‖A y_n‖² of rows y_n for lower triangular A.
pub(super) fn lower(a: ArrayView2<'_, f64>, y: &Array2<f64>, mut out: ArrayViewMut1<'_, f64>) {
    let mut whitened = Array2::zeros(y.raw_dim().f());
    linalg::times_lower_transposed(y.view(), a, whitened.view_mut());
    out.fill(0.0);
    for column in whitened.columns() {
        out.zip_mut_with(&column, |o, v| *o += v * v);
    }
}
