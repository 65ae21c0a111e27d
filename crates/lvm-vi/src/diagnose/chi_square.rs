//! Bounds on the error of q's moments that need no moments of the posterior.

use crate::family::Family;
use ndarray::Array1;

/// Bounds on |mean error| and on |standard-deviation error| of each latent; (d) each, in the latent's units.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorBounds {
    /// χ²(p ‖ q) = exp D₂(p ‖ q) − 1.
    pub chi_square: f64,
    /// |E_p z_i − E_q z_i| is at most this.
    pub mean: Array1<f64>,
    /// |sd_p z_i − sd_q z_i| is at most this.
    pub standard_deviation: Array1<f64>,
}

/// Bounds for Gaussian q from D₂(p ‖ q) in nats.
///
/// ```text
/// |E_p f − E_q f| = |E_q (w − 1)(f − E_q f)| ≤ √χ² sd_q(f)                       Cauchy–Schwarz, w = p/q
/// f = z_i:            |mean error| ≤ s √χ²
/// f = (z_i − m_i)²:   sd_q(f) = √2 s²,  so  s² (1 − √(2χ²)) − (mean error)² ≤ σ_p² ≤ s² (1 + √(2χ²))
/// ```
///
/// They follow from the argument of Huggins, Kasprzak, Campbell & Broderick (2020), theorem 3.3, applied to the two moments themselves in
/// place of the Wasserstein distance, and are tighter than it.
///
/// ```
/// use lvm_vi::{diagnose::error_bounds, family::MeanField};
/// // p = N(0.1, 1), q = N(0, 1): D₂ = 0.1², and the mean is off by 0.1 ≤ √(e^0.01 − 1)
/// let bounds = error_bounds(&MeanField::standard(1)?, 0.01);
/// assert!(bounds.mean[0] >= 0.1 && bounds.mean[0] < 0.101);
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub fn error_bounds<F: Family>(q: &F, renyi_2: f64) -> ErrorBounds {
    let chi_square = renyi_2.exp_m1();
    let s = q.standard_deviations();
    let mean = &s * chi_square.sqrt();
    let relative = (2.0 * chi_square).sqrt();
    // above: √(1 + r) − 1; below: 1 − √(1 − r − χ²), at most 1
    let above = (1.0 + relative).sqrt() - 1.0;
    let below = 1.0 - (1.0 - relative - chi_square).max(0.0).sqrt();
    ErrorBounds { chi_square, mean, standard_deviation: s * above.max(below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::MeanField;

    /// D₂(N(m, t²) ‖ N(0, 1)) = log of ∫ p²/q, finite for t² < 2.
    fn renyi_2(m: f64, t: f64) -> f64 {
        let v = 2.0 - t * t;
        -(t * v.sqrt()).ln() + m * m / v
    }

    #[test]
    fn the_bounds_hold_for_gaussians() {
        let q = MeanField::standard(1).unwrap();
        for m in [0.0, 0.02, 0.3, 1.0] {
            for t in [0.3, 0.8, 0.99, 1.0, 1.01, 1.2, 1.4] {
                let bounds = error_bounds(&q, renyi_2(m, t));
                // 1e-7: the formula for D₂ loses 1e-16 to cancellation near p = q, and a bound is the square root of it
                assert!(bounds.mean[0] >= m - 1e-7, "mean {m} sd {t}: {bounds:?}");
                assert!(bounds.standard_deviation[0] >= (t - 1.0).abs() - 1e-7, "mean {m} sd {t}: {bounds:?}");
            }
        }
    }

    #[test]
    fn a_bound_that_halves_chi_square_would_be_caught() {
        // the mean of N(0.02, 1) is so near its bound that √(χ²/2) is below it
        let bounds = error_bounds(&MeanField::standard(1).unwrap(), renyi_2(0.02, 1.0));
        assert!(bounds.mean[0] / 2f64.sqrt() < 0.02);
    }
}
