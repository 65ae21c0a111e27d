//! The logistic function and its relatives, without overflow and without cancellation.

/// σ(x) = 1 / (1 + e⁻ˣ); relative error a few ulp for every x, underflowing to 0 below −745.
///
/// ```
/// use lvm_core::special::{logit, sigmoid, softplus};
/// assert_eq!((sigmoid(0.0), sigmoid(-1000.0), sigmoid(1000.0)), (0.5, 0.0, 1.0));
/// assert!((logit(sigmoid(-3.0)) + 3.0).abs() < 1e-14);
/// assert!((softplus(0.0) - 2.0_f64.ln()).abs() < 1e-15 && softplus(1000.0) == 1000.0);
/// ```
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        // σ(x) = eˣ / (1 + eˣ): e⁻ˣ would overflow
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// log(1 + eˣ), the integral of [`sigmoid`]; relative error a few ulp for every x.
pub fn softplus(x: f64) -> f64 {
    // log(1 + eˣ) = max(x, 0) + log(1 + e^{−|x|})
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// log σ(x) = −log(1 + e⁻ˣ); relative error a few ulp for every x.
pub fn log_sigmoid(x: f64) -> f64 {
    -softplus(-x)
}

/// log(p / (1 − p)), the inverse of [`sigmoid`]: −∞ at 0, +∞ at 1, NaN outside [0, 1].
///
/// Relative error a few ulp; near p = ½ both p and 1 − p are exact, so the zero there is met to full relative accuracy.
pub fn logit(p: f64) -> f64 {
    if (0.25..=0.75).contains(&p) {
        // log(p / (1 − p)) = 2 artanh(2p − 1), and 2p − 1 is exact here
        2.0 * (2.0 * p - 1.0).atanh()
    } else {
        p.ln() - (-p).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_met_without_overflow() {
        for x in [-1e300, -800.0, 800.0, 1e300] {
            assert_eq!(softplus(x), x.max(0.0));
            assert_eq!(sigmoid(x), f64::from(u8::from(x > 0.0)));
            assert_eq!(log_sigmoid(x), x.min(0.0));
        }
        assert_eq!((logit(0.0), logit(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(logit(1.5).is_nan() && sigmoid(f64::NAN).is_nan() && log_sigmoid(f64::NAN).is_nan());
    }
}
