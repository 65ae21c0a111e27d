//! The likelihood as a function of one uniqueness, everything else held: a maximum in closed form.

use super::sample_covariance::SampleCovariance;
use crate::error::Result;
use crate::linalg;
use ndarray::{Array1, Array2, Axis};

/// The change of ψ_j that maximises the likelihood with W and the other ψ held, and (Σ⁻¹)_jj.
///
/// ```text
/// F(ψ_j + δ) − F(ψ_j) = log(1 + δ a) − δ b / (1 + δ a),   a = (Σ⁻¹)_jj,  b = (Σ⁻¹ C Σ⁻¹)_jj
/// least at δ = (b − a) / a²                                             Zhao, Yu & Jiang 2008
/// ```
pub(super) fn best_change(sample: &SampleCovariance, w: &Array2<f64>, psi: &Array1<f64>, j: usize) -> Result<(f64, f64)> {
    // Σ⁻¹ e_j = Ψ⁻¹ e_j − Ψ⁻¹ W M⁻¹ Wᵀ Ψ⁻¹ e_j
    let scaled = w / &psi.mapv(f64::sqrt).insert_axis(Axis(1));
    let mut m = Array2::eye(w.ncols());
    linalg::gram_lower(1.0, scaled.view(), m.view_mut());
    let lower = linalg::cholesky(m.view()).map_err(|e| e.of("I + WᵀΨ⁻¹W"))?;
    let mut z = w.row(j).to_owned() / psi[j];
    linalg::cholesky_solve(lower.view(), z.view_mut().insert_axis(Axis(1)));
    let mut s = -w.dot(&z);
    s[j] += 1.0;
    s /= psi;
    let (a, b) = (s[j], s.dot(&sample.c.dot(&s)));
    Ok(((b - a) / (a * a), a))
}
