//! The error function, the normal distribution function, its logarithm and its inverse.

use super::gamma::HALF_LOG_2PI;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// erf x = 2/√π ∫₀ˣ e^{−t²} dt; relative error below 1e-15 for every x. From the crate `libm`.
pub fn erf(x: f64) -> f64 {
    libm::erf(x)
}

/// erfc x = 1 − erf x; relative error below 1e-15 for every x down to underflow at 26.5. From the crate `libm`.
pub fn erfc(x: f64) -> f64 {
    libm::erfc(x)
}

/// Φ(x), the standard normal distribution function; relative error below 2e-13 (x² ulp) down to underflow at −38.
///
/// ```
/// use lvm_core::special::{log_norm_cdf, norm_cdf, norm_quantile};
/// assert!((norm_cdf(1.0) - 0.8413447460685429).abs() < 1e-14);
/// // far out Φ underflows and its logarithm does not
/// assert_eq!(norm_cdf(-40.0), 0.0);
/// assert!((log_norm_cdf(-40.0) + 804.6084420137539).abs() < 1e-9);
/// assert!((norm_quantile(0.975) - 1.959963984540054).abs() < 1e-12);
/// ```
pub fn norm_cdf(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// log Φ(x); relative error below 2e-13 for every x, in the far left tail and near 0 from below in the right one.
pub fn log_norm_cdf(x: f64) -> f64 {
    if x > -1.0 {
        return (-norm_cdf(-x)).ln_1p();
    }
    if x > -37.0 {
        // the error x² ulp of Φ is 2 ulp of its logarithm −x²/2
        return norm_cdf(x).ln();
    }
    // Φ(x) = φ(x)/|x| · (1 − 1/x² + 3/x⁴ − 15/x⁶ + 105/x⁸ …)   Abramowitz & Stegun 26.2.12; the next term is 945/x¹⁰ < 5e-13 / x²
    let w = 1.0 / (x * x);
    -0.5 * x * x - (-x).ln() - HALF_LOG_2PI + (-w * (1.0 - w * (3.0 - w * (15.0 - 105.0 * w)))).ln_1p()
}

/// Φ⁻¹(p), the standard normal quantile; relative error below 1e-15 · 5 for every p: −∞ at 0, +∞ at 1, NaN outside [0, 1].
///
/// Through erfc⁻¹ of the crate `statrs`.
pub fn norm_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    -SQRT_2 * statrs::function::erf::erfc_inv(2.0 * p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_and_round_trip() {
        // log Φ is continuous where the formulas change hands
        for edge in [-1.0, -37.0] {
            let (left, right) = (log_norm_cdf(edge - 1e-9), log_norm_cdf(edge + 1e-9));
            assert!((left - right).abs() < 1e-7, "{left} {right}");
        }
        assert_eq!(log_norm_cdf(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!((norm_quantile(0.0), norm_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(norm_quantile(-0.1).is_nan() && norm_quantile(f64::NAN).is_nan());
        for p in [1e-300, 1e-10, 0.2, 0.5, 0.9] {
            // Φ′/Φ ≤ 38: the quantile's rounding comes back 38·38 times
            assert!((norm_cdf(norm_quantile(p)) / p - 1.0).abs() < 1e-12);
        }
    }
}
