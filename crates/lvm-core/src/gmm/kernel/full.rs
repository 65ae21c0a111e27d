//! A covariance matrix for each component.

use super::tied;
use ndarray::{Array2, Array3, ArrayViewMut1, Axis};

/// ‖L_k⁻¹ (x_n − μ_k)‖² of centred rows (B, D).
pub(super) fn squared_distances(inverse: &Array3<f64>, k: usize, centred: &Array2<f64>, out: ArrayViewMut1<'_, f64>) {
    tied::lower(inverse.index_axis(Axis(0), k), centred, out);
}
