//! The regularised incomplete gamma functions P(a, x) and Q(a, x) = 1 − P(a, x).
//!
//! No crate on crates.io that was measured keeps 1e-12 in the tails (`spec_math` 1.6e-11, `special` 6e-11, `statrs` 1.3e-10): they lose
//! digits in the factor xᵃe⁻ˣ/Γ(a+1). Here it is written with the deviance and Stirling's remainder, which do not cancel.

use super::deviance::deviance;
use super::gamma::{lgamma1p, stirling_error};
use std::f64::consts::PI;

/// P(a, x) = γ(a, x)/Γ(a), the distribution function of Gamma(a, 1) at x, for a > 0, x ≥ 0.
///
/// Relative error below 1e-12 down to results of 1e-290; cost O(√a) at x ≈ a. NaN outside the range; 1 for a = 0.
///
/// ```
/// use lvm_core::special::{gammainc_lower, gammainc_upper};
/// // Gamma(1, 1) is the exponential distribution
/// assert!((gammainc_lower(1.0, 1.0) - (1.0 - (-1.0_f64).exp())).abs() < 1e-12);
/// assert!((gammainc_upper(1.0, 1.0) - (-1.0_f64).exp()).abs() < 1e-12);
/// ```
pub fn gammainc_lower(a: f64, x: f64) -> f64 {
    tails(a, x).0
}

/// Q(a, x) = Γ(a, x)/Γ(a), the survival function of Gamma(a, 1) at x, for a > 0, x ≥ 0.
///
/// Accuracy, cost and range as [`gammainc_lower`]; 0 for a = 0.
pub fn gammainc_upper(a: f64, x: f64) -> f64 {
    tails(a, x).1
}

/// (P, Q): the smaller of the two is computed, the other is its complement.
fn tails(a: f64, x: f64) -> (f64, f64) {
    if !(a >= 0.0 && x >= 0.0) || (a.is_infinite() && x.is_infinite()) {
        return (f64::NAN, f64::NAN);
    }
    if a == 0.0 || x.is_infinite() {
        return (1.0, 0.0);
    }
    if x == 0.0 || a.is_infinite() {
        return (0.0, 1.0);
    }
    if a < 1.0 && x < 1.0 {
        return small_shape(a, x);
    }
    if x < a + 1.0 {
        let p = log_gamma_kernel(a, x).exp() * lower_series(a, x);
        (p, 1.0 - p)
    } else {
        let q = log_gamma_kernel(a, x).exp() * a * upper_fraction(a, x);
        (1.0 - q, q)
    }
}

/// log of xᵃ e⁻ˣ / Γ(a + 1) for a, x > 0, without cancellation at large a: the front factor of the Poisson, gamma and inverse gamma
/// densities and of the incomplete gamma functions.
pub fn log_gamma_kernel(a: f64, x: f64) -> f64 {
    if a < 10.0 {
        a * x.ln() - x - lgamma1p(a)
    } else {
        // Γ(a + 1) = √(2πa) aᵃ e^{−a + δ(a)}   and   aᵃ e^{−a} / (xᵃ e⁻ˣ) = exp(deviance of a from x)   (Loader 2000)
        -stirling_error(a) - deviance(a, x, a - x) - 0.5 * (2.0 * PI * a).ln()
    }
}

/// Σ_n xⁿ / ((a + 1) ⋯ (a + n)), all terms positive.   DLMF 8.7.1
fn lower_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0, 1.0, a);
    while term > sum * 1e-17 {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    sum
}

/// Γ(a, x) eˣ x⁻ᵃ = 1/(x + 1 − a − 1(1 − a)/(x + 3 − a − …)) by Lentz's method.   DLMF 8.9.2
fn upper_fraction(a: f64, x: f64) -> f64 {
    let tiny = f64::MIN_POSITIVE;
    let mut b = x - a + 1.0;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut value = d;
    let mut n = 0.0;
    loop {
        n += 1.0;
        let numerator = -n * (n - a);
        b += 2.0;
        d = numerator * d + b;
        d = 1.0 / if d == 0.0 { tiny } else { d };
        c = b + numerator / c;
        if c == 0.0 {
            c = tiny;
        }
        let factor = c * d;
        value *= factor;
        // the tail of the fraction shrinks at least geometrically: the last factor bounds what is left; 1e9 steps serve a ≤ 1e16
        if (factor - 1.0).abs() <= f64::EPSILON || n > 1e9 {
            return value;
        }
    }
}

/// a < 1, x < 1: P = xᵃ/Γ(a + 1) (1 + S), S = a Σ_{n≥1} (−x)ⁿ / ((a + n) n!)   (DLMF 8.7.1), and Q = −expm1(log P) without cancellation.
fn small_shape(a: f64, x: f64) -> (f64, f64) {
    let (mut power, mut sum, mut n) = (1.0_f64, 0.0, 0.0);
    while power.abs() > 1e-18 {
        n += 1.0;
        power *= -x / n;
        sum += power / (a + n);
    }
    let log_p = a * x.ln() - lgamma1p(a) + (a * sum).ln_1p();
    (log_p.exp(), -log_p.exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_and_limits() {
        for x in [1e-9_f64, 0.3, 1.0, 2.5, 40.0, 300.0] {
            // Q(1, x) = e⁻ˣ; Q(2, x) = (1 + x) e⁻ˣ; a few roundings of an exponent of size x
            assert!((gammainc_upper(1.0, x) / (-x).exp() - 1.0).abs() < 1e-13);
            assert!((gammainc_upper(2.0, x) / ((1.0 + x) * (-x).exp()) - 1.0).abs() < 1e-13);
            assert!((gammainc_lower(0.7, x) + gammainc_upper(0.7, x) - 1.0).abs() < 1e-15);
        }
        assert_eq!((gammainc_lower(2.0, 0.0), gammainc_upper(2.0, f64::INFINITY)), (0.0, 0.0));
        assert!(gammainc_lower(-1.0, 1.0).is_nan() && gammainc_lower(1.0, f64::NAN).is_nan());
    }
}
