//! Expectations of log(1 + eᵃ) and its derivatives under a Gaussian.

use lvm_core::special::norm_cdf;
use std::sync::LazyLock;

/// E[log(1 + eᵃ)], E[σ(a)], E[σ'(a)] for a ~ N(m, s²).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expectations {
    pub(super) value: f64,
    pub(super) slope: f64,
    pub(super) curvature: f64,
}

/// Standard deviations beyond which the Gaussian is left out: 2 Φ(−8.4) = 5e-17.
const REACH: f64 = 8.4;
/// The step of the rule in standard deviations, at s ≤ 1.
const STEP: f64 = 0.5;

/// Nodes u ≥ 0 and weights for s ≤ 1; the weight of 0 is halved, since both signs are summed.
static NODES: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| nodes(STEP).collect());

fn nodes(step: f64) -> impl Iterator<Item = (f64, f64)> {
    let count = (REACH / step) as usize;
    (0..=count).map(move |i| {
        let u = i as f64 * step;
        let weight = step * (-0.5 * u * u).exp() / std::f64::consts::TAU.sqrt();
        (u, if i == 0 { 0.5 * weight } else { weight })
    })
}

/// By the trapezoid rule with step h in standard deviations. log(1 + eᵃ) has branch points at a = ±iπ, at distance π/s in these units, which
/// contribute about exp(π²/(2s²) − 2π²/(s h)), and the Gaussian itself exp(−2π²/h²): with h = 0.5/max(1, s) both are below 1e-14.
pub(super) fn expectations(mean: f64, sd: f64) -> Expectations {
    let mut sum = Expectations { value: 0.0, slope: 0.0, curvature: 0.0 };
    if sd == 0.0 {
        add(&mut sum, mean, 1.0);
    } else if sd <= 1.0 {
        NODES.iter().for_each(|&(u, weight)| both(&mut sum, mean, sd * u, weight));
    } else if sd <= WIDE {
        nodes(STEP / sd).for_each(|(u, weight)| both(&mut sum, mean, sd * u, weight));
    } else {
        return wide(mean, sd);
    }
    sum
}

/// Where the Gaussian is so wide that log(1 + eᵃ) is max(a, 0) and a narrow bump at 0.
const WIDE: f64 = 200.0;

/// With N(m) the density of a at 0, ∫ log(1 + e^{−|a|}) da = π²/6 and ∫ a² log(1 + e^{−|a|}) da = 7π⁴/180:
///
/// E[log(1 + eᵃ)] = m Φ(m/s) + s² N + π²/6 N + 7π⁴/360 ∂²N/∂m² + …, the next term below 1e-12 for s > 200; derivatives in m follow.
fn wide(mean: f64, sd: f64) -> Expectations {
    let pi_squared = std::f64::consts::PI.powi(2);
    let (c1, c2) = (pi_squared / 6.0, 7.0 * pi_squared * pi_squared / 360.0);
    let u = mean / sd;
    let n = (-0.5 * u * u).exp() / (sd * std::f64::consts::TAU.sqrt());
    // the first four derivatives of N in m, by Hermite polynomials in u
    let (u2, s2) = (u * u, sd * sd);
    let (n1, n2, n3, n4) = (-u / sd * n, (u2 - 1.0) / s2 * n, -u * (u2 - 3.0) / (s2 * sd) * n, (u2 * u2 - 6.0 * u2 + 3.0) / (s2 * s2) * n);
    Expectations {
        value: mean * norm_cdf(u) + s2 * n + c1 * n + c2 * n2,
        slope: norm_cdf(u) + c1 * n1 + c2 * n3,
        curvature: n + c1 * n2 + c2 * n4,
    }
}

fn both(sum: &mut Expectations, mean: f64, offset: f64, weight: f64) {
    add(sum, mean + offset, weight);
    add(sum, mean - offset, weight);
}

/// Adds the integrands at a; one exponential serves all three.
fn add(sum: &mut Expectations, a: f64, weight: f64) {
    let t = (-a.abs()).exp();
    let small = t / (1.0 + t);
    sum.value += weight * (a.max(0.0) + t.ln_1p());
    sum.slope += weight * if a >= 0.0 { 1.0 / (1.0 + t) } else { small };
    sum.curvature += weight * small / (1.0 + t);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_small_enough() {
        for (mean, sd) in [(0.0, 0.3), (1.0, 1.0), (-3.0, 2.5), (10.0, 7.0), (-40.0, 20.0), (0.0, 0.0), (150.0, 210.0), (-700.0, 300.0)] {
            let coarse = expectations(mean, sd);
            let mut fine = Expectations { value: 0.0, slope: 0.0, curvature: 0.0 };
            if sd == 0.0 {
                add(&mut fine, mean, 1.0);
            } else {
                nodes(0.02 / (1.0 + sd)).for_each(|(u, weight)| both(&mut fine, mean, sd * u, weight));
            }
            // thousands of terms of size 1 and e⁻³³ of the step
            for (a, b) in [(coarse.value, fine.value), (coarse.slope, fine.slope), (coarse.curvature, fine.curvature)] {
                assert!((a - b).abs() < 3e-13 * (1.0 + b.abs()), "m = {mean}, s = {sd}: {a} against {b}");
            }
        }
    }

    #[test]
    fn no_width_takes_long() {
        // s/√(2π) and a half of the mean, to the first order in 1/s
        let e = expectations(1.0, 1e6);
        assert!((e.value / (1e6 / std::f64::consts::TAU.sqrt()) - 1.0).abs() < 1e-5);
        assert!(expectations(1.0, f64::NAN).value.is_nan());
        assert!(!expectations(1.0, f64::INFINITY).value.is_finite());
    }

    #[test]
    fn symmetry_holds() {
        // log(1 + eᵃ) − log(1 + e⁻ᵃ) = a
        let (plus, minus) = (expectations(1.7, 2.0), expectations(-1.7, 2.0));
        assert!((plus.value - minus.value - 1.7).abs() < 1e-13);
        assert!((plus.slope + minus.slope - 1.0).abs() < 1e-14);
    }
}
