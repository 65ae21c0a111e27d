//! The logarithm of the gamma function, its derivatives, and its differences.

use super::deviance::{deviance, log1p_minus};
use crate::simd::{self, ExpDigamma};
use std::f64::consts::PI;

/// ½ log 2π.
pub const HALF_LOG_2PI: f64 = 0.918_938_533_204_672_8;

/// log |Γ(x)|.
///
/// Relative error below 1e-15 for x > 0, absolute below 1e-15 near its zeros 1 and 2; +∞ at 0, −1, −2, … From the crate `libm`.
///
/// ```
/// // Γ(5) = 4!
/// assert!((lvm_core::special::lgamma(5.0) - 24.0_f64.ln()).abs() < 1e-14);
/// ```
pub fn lgamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// ψ(x) = d log Γ(x) / dx.
///
/// Relative error below 1e-15, absolute below 1e-15 near the zero at 1.4616…; x < 0 by reflection; NaN at the poles 0, −1, −2, …
/// From the crate `special`.
///
/// ```
/// // −ψ(1) is Euler's constant
/// assert!((lvm_core::special::digamma(1.0) + 0.5772156649015329).abs() < 1e-14);
/// ```
pub fn digamma(x: f64) -> f64 {
    if x <= 0.0 && x == x.floor() { f64::NAN } else { special::Gamma::digamma(x) }
}

/// e^ψ(x) of every x of a slice, each in (0, 10³⁰), many at once: the geometric mean of Gamma(x, 1), and up to a common factor
/// e^E[log p_k] of a Dirichlet distribution.
///
/// Relative error below 2e-14 for x ≥ 0.1, below 3e-15 |ψ(x)| for smaller x; values below 3e-308 (x < 0.0014) are given as that.
///
/// # Panics
/// If the slices differ in length.
pub fn exp_digamma(x: &[f64], out: &mut [f64]) {
    // invariant: both slices are the caller's own, as under Panics
    assert_eq!(x.len(), out.len(), "slices of one length");
    simd::run(ExpDigamma { x, out });
}

/// ψ′(x), the trigamma function.
///
/// Relative error below 1e-13; x < 0 by reflection; +∞ at the poles 0, −1, −2, … From the crate `special`.
///
/// ```
/// assert!((lvm_core::special::trigamma(1.0) - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-12);
/// ```
pub fn trigamma(x: f64) -> f64 {
    if x <= 0.0 && x == x.floor() { f64::INFINITY } else { special::Gamma::trigamma(&x) }
}

/// log Γ_d(a) = d(d − 1)/4 log π + Σ_{j<d} log Γ(a − j/2), the multivariate gamma function, for a > (d − 1)/2.
///
/// Relative error below 1e-14 as far as its terms do not cancel; NaN outside the range.
pub fn multivariate_lgamma(d: usize, a: f64) -> f64 {
    if d > 0 && a <= 0.5 * (d as f64 - 1.0) {
        return f64::NAN;
    }
    let pairs = 0.25 * (d as f64) * (d as f64 - 1.0);
    pairs * PI.ln() + (0..d).map(|j| lgamma(a - 0.5 * j as f64)).sum::<f64>()
}

/// δ(x) = log Γ(x + 1) − [(x + ½) log x − x + ½ log 2π], what Stirling's formula leaves, for x > 0; absolute error below 4e-15.
///
/// From x = 10 on by its series 1/(12x) − 1/(360x³) + … (Abramowitz & Stegun 6.1.41), below by the difference.
pub fn stirling_error(x: f64) -> f64 {
    if x < 10.0 {
        // log Γ(x + 1) = log Γ(x) + log x
        return lgamma(x) - (x - 0.5) * x.ln() + x - HALF_LOG_2PI;
    }
    let w = 1.0 / (x * x);
    (1.0 / 12.0 - w * (1.0 / 360.0 - w * (1.0 / 1260.0 - w * (1.0 / 1680.0 - w * (1.0 / 1188.0 - w * (691.0 / 360360.0 - w / 156.0)))))) / x
}

/// δ′(x) = ψ(x + 1) − log x − 1/(2x) for x ≥ 10.
fn stirling_error_slope(x: f64) -> f64 {
    let w = 1.0 / (x * x);
    -w * (1.0 / 12.0 - w * (1.0 / 120.0 - w * (1.0 / 252.0 - w * (1.0 / 240.0 - w * (1.0 / 132.0 - w * (691.0 / 32760.0 - w / 12.0))))))
}

/// log Γ(a + h) − log Γ(a) for a > 0, h ≥ 0, without the cancellation of two large logarithms; relative error below 1e-13 also for tiny h.
pub fn lgamma_delta(a: f64, h: f64) -> f64 {
    if a < 10.0 {
        if h > 1.0 || a < 1e-290 {
            return lgamma(a + h) - lgamma(a);
        }
        // log Γ(a + h) − log Γ(a) = −Σ_{i<n} log(1 + h/(a + i)) + the same at a + n
        let n = (10.0 - a).ceil();
        let steps: f64 = (0..n as usize).map(|i| (h / (a + i as f64)).ln_1p()).sum();
        return lgamma_delta(a + n, h) - steps;
    }
    // Stirling for both: (a − ½) log(1 + h/a) + h log(a + h) − h + δ(a + h) − δ(a); log(1 + u) − u is small when u is
    let u = h / a;
    let errors = if u < 1e-6 { h * stirling_error_slope(a + 0.5 * h) } else { stirling_error(a + h) - stirling_error(a) };
    (a - 0.5) * log1p_minus(u) - 0.5 * u + h * (a + h).ln() + errors
}

/// log Γ(1 + a) for a > 0, to full relative accuracy also where 1 + a would round a away.
pub(super) fn lgamma1p(a: f64) -> f64 {
    if a < 0.5 { lgamma_delta(1.0, a) } else { lgamma(1.0 + a) }
}

/// The Bregman divergence of log Γ: log Γ(x) − log Γ(y) − ψ(y)(x − y) ≥ 0, for x, y > 0, given also x − y as exactly as it is known;
/// relative error below 1e-13 for every x and y.
///
/// Kullback–Leibler divergences of gamma, beta, Dirichlet and Wishart are sums of these.
pub fn lgamma_bregman(x: f64, y: f64, x_minus_y: f64) -> f64 {
    // log Γ(x) = log Γ(x + n) − Σ_{i<n} log(x + i); the divergence of −log is u − log(1 + u), u = (x − y)/y
    let n = (10.0 - x.min(y)).ceil().max(0.0);
    let logarithms: f64 = (0..n as usize).map(|i| -log1p_minus(x_minus_y / (y + i as f64))).sum();
    // Stirling for log Γ and ψ: x log(x/y) − (x − y) − ½ [log(1 + u) − u] + the divergence of δ
    let (x, y) = (x + n, y + n);
    deviance(x, y, x_minus_y) + stirling_rest(y, x_minus_y) + logarithms
}

/// [`lgamma_bregman`] less [`deviance`]: what a divergence has left after its deviances were put together with what they cancel against.
pub(crate) fn lgamma_bregman_rest(x: f64, y: f64, x_minus_y: f64) -> f64 {
    if x.min(y) >= 10.0 { stirling_rest(y, x_minus_y) } else { lgamma_bregman(x, y, x_minus_y) - deviance(x, y, x_minus_y) }
}

/// −½ [log(1 + u) − u] + δ(x) − δ(y) − δ′(y)(x − y), u = (x − y)/y, for x, y ≥ 10.
fn stirling_rest(y: f64, x_minus_y: f64) -> f64 {
    let u = x_minus_y / y;
    -0.5 * log1p_minus(u) + stirling_error_bregman(y, u)
}

/// δ(x) − δ(y) − δ′(y)(x − y) for x = y(1 + u), y ≥ 10.
fn stirling_error_bregman(y: f64, u: f64) -> f64 {
    // of x⁻ᵖ it is y⁻ᵖ g_p with g_p = (1 + u)⁻ᵖ − 1 + p u, and g_p = (g_{p−1} + p u²)/(1 + u), all terms positive
    const COEFFICIENTS: [f64; 7] = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360360.0, 1.0 / 156.0];
    let (mut g, mut power, mut p, mut sum) = (0.0, 1.0, 0.0, 0.0);
    let mut next = |g: &mut f64, power: &mut f64| {
        p += 1.0;
        *g = (*g + p * u * u) / (1.0 + u);
        *power /= y;
    };
    for c in COEFFICIENTS {
        next(&mut g, &mut power);
        sum += c * power * g;
        next(&mut g, &mut power);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poles_and_recurrences() {
        assert!(lgamma(0.0).is_infinite() && digamma(-3.0).is_nan() && trigamma(-2.0).is_infinite());
        for x in [0.3, 1.45, 4.0, 9.5, 10.5, 300.0] {
            // one rounding in each of the three terms, of size at most |ψ| + 1/x
            assert!((digamma(x + 1.0) - digamma(x) - 1.0 / x).abs() < 1e-14 * (1.0 + digamma(x).abs()));
            assert!((trigamma(x + 1.0) - trigamma(x) + 1.0 / (x * x)).abs() < 1e-14 * trigamma(x));
            assert!((lgamma_delta(x, 1.0) - x.ln()).abs() < 1e-14 * (1.0 + x.ln().abs()));
            assert!((stirling_error(x) - 1.0 / (12.0 * x)).abs() < 0.1 / x);
        }
    }

    #[test]
    fn exp_digamma_is_exp_of_digamma() {
        let x: Vec<f64> = (0..4000).map(|i| 10f64.powf(-2.8 + f64::from(i) * 0.003)).collect();
        let mut out = vec![0.0; x.len()];
        exp_digamma(&x, &mut out);
        for (x, y) in x.iter().zip(out) {
            let psi = digamma(*x);
            // the exponential turns an absolute error of ψ into a relative one: 20 roundings of half an ulp in the fraction, an ulp of ψ
            let tolerance = 2e-14 + 11.0 * f64::EPSILON * psi.abs();
            assert!((y / psi.exp() - 1.0).abs() <= tolerance, "{x}: {y} against {}", psi.exp());
        }
    }

    #[test]
    fn bregman_is_half_the_squared_distance_in_trigamma() {
        // to first order ½ ψ′(y)(x − y)²; the next term is ψ″(x − y)³/6, 1e-6 relative here
        for y in [20.0, 1e3, 1e8] {
            let h = 1e-6 * y;
            assert!((lgamma_bregman(y + h, y, h) / (0.5 * trigamma(y) * h * h) - 1.0).abs() < 2e-6);
        }
        assert_eq!(lgamma_bregman(3.0, 3.0, 0.0), 0.0);
    }
}
