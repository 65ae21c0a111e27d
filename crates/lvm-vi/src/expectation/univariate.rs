//! Functions of one variable, with their expectations under N(μ, v).

use lvm_core::mutant::planted;
use lvm_core::special::{exp_slice, sigmoid, sigmoid_softplus_slice, softplus};
use std::f64::consts::{PI, TAU};
use std::fmt::Debug;

/// Half the width of the integration range in standard deviations: the mass outside is 2e-19.
const RANGE: f64 = 9.0;
/// −log of the largest error of the rule allowed, relative to the size of f near the mean: 4e-18, which leaves room for the residues.
const PRECISION: f64 = 40.0;
/// Nodes on either side at most: only a function whose singularity is within 1e-4 standard deviations of the real axis wants more.
const MOST_NODES: f64 = 1e5;

/// A function of one real variable, analytic in a strip around the real axis, that grows no faster than exp(c |x|).
pub trait Univariate: Debug + Send + Sync {
    /// f(x), f'(x) and f''(x).
    fn derivatives(&self, x: f64) -> [f64; 3];

    /// The distance of the singularity nearest to the real axis; infinite for an entire function.
    fn strip(&self) -> f64;

    /// E\[f\], E\[f'\] and E\[f''\] under N(mean, variance), to 1e-13 of the size of f near the mean.
    ///
    /// The trapezoid rule. On the scale of the standard normal the error is exp(−2π²/h²) of the Gaussian factor, or that of the nearest
    /// pole at height y, exp(y²/2 − 2πy/h), whichever is larger (Trefethen and Weideman 2014): h is chosen for either to be 4e-18.
    fn expectation(&self, mean: f64, variance: f64) -> [f64; 3] {
        let sd = variance.sqrt();
        if !(sd > 0.0) {
            return self.derivatives(mean);
        }
        let (step, nodes) = rule(self.strip(), sd);
        let mut sums = [0.0; 3];
        for k in -nodes..=nodes {
            let t = k as f64 * step;
            let weight = (-0.5 * t * t).exp();
            let f = self.derivatives(mean + sd * t);
            sums.iter_mut().zip(f).for_each(|(s, f)| *s += weight * f);
        }
        let scale = step / TAU.sqrt();
        sums.map(|s| s * scale)
    }
}

/// The distance of the nodes, in standard deviations, and how many there are on either side of the mean, for a function whose nearest
/// singularity is at `strip`.
fn rule(strip: f64, sd: f64) -> (f64, i64) {
    let height = strip / sd;
    // 2πy/h − y²/2 ≥ PRECISION while the saddle 2π/h of the Gaussian lies above the pole
    let step =
        if height * height < 2.0 * PRECISION { TAU * height / (PRECISION + 0.5 * height * height) } else { PI * (2.0 / PRECISION).sqrt() };
    let step = step.max(RANGE / MOST_NODES);
    (step, (RANGE / step).ceil() as i64)
}

/// eˣ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential;

impl Univariate for Exponential {
    fn derivatives(&self, x: f64) -> [f64; 3] {
        [x.exp(); 3]
    }

    fn strip(&self) -> f64 {
        f64::INFINITY
    }

    fn expectation(&self, mean: f64, variance: f64) -> [f64; 3] {
        // E[eˣ] = e^{μ + v/2}
        [(mean + 0.5 * variance).exp(); 3]
    }
}

/// log(1 + eˣ): the logarithm of every logistic and, at 2x, of half-Cauchy densities on the logarithmic scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softplus;

impl Univariate for Softplus {
    fn derivatives(&self, x: f64) -> [f64; 3] {
        let p = sigmoid(x);
        [softplus(x), p, p * sigmoid(-x)]
    }

    fn strip(&self) -> f64 {
        PI
    }

    /// The rule of the trait, a handful of nodes at a time.
    fn expectation(&self, mean: f64, variance: f64) -> [f64; 3] {
        const NODES: usize = 32;
        let sd = variance.sqrt();
        if !(sd > 0.0) {
            return self.derivatives(mean);
        }
        let (step, nodes) = rule(self.strip(), sd);
        let mut sums = [0.0; 3];
        for first in (-nodes..=nodes).step_by(NODES) {
            let (mut weight, mut x, mut p, mut soft) = ([0.0; NODES], [0.0; NODES], [0.0; NODES], [0.0; NODES]);
            let n = NODES.min((nodes + 1 - first) as usize);
            for i in 0..n {
                let t = (first + i as i64) as f64 * step;
                let reach = if planted("gh_nodes_unscaled") { 1.0 } else { sd };
                (weight[i], x[i]) = (-0.5 * t * t, mean + reach * t);
                p[i] = -x[i].abs();
            }
            exp_slice(&mut weight[..n]);
            sigmoid_softplus_slice(&mut p[..n], &mut soft[..n]);
            // with p = σ(−|x|) ≤ ½: σ(x) = p or 1 − p, σ' = p (1 − p), log(1 + eˣ) = max(x, 0) + log(1 + e^{−|x|})
            for i in 0..n {
                let (above, p) = (x[i] > 0.0, p[i]);
                sums[0] += weight[i] * (soft[i] + if above { x[i] } else { 0.0 });
                sums[1] += weight[i] * if above { 1.0 - p } else { p };
                sums[2] += weight[i] * p * (1.0 - p);
            }
        }
        let scale = step / TAU.sqrt();
        sums.map(|s| s * scale)
    }
}

/// log(1 + x²): the logarithm of Cauchy and, scaled, of Student densities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogOnePlusSquare;

impl Univariate for LogOnePlusSquare {
    fn derivatives(&self, x: f64) -> [f64; 3] {
        let inverse = 1.0 / (1.0 + x * x);
        // log(1 + x²), 2x/(1 + x²), 2(1 − x²)/(1 + x²)²
        let value = if x.abs() < 1e100 { (x * x).ln_1p() } else { 2.0 * x.abs().ln() };
        [value, 2.0 * x * inverse, 2.0 * (inverse - (x * inverse).powi(2))]
    }

    fn strip(&self) -> f64 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule of its own: Simpson's on ±12 standard deviations with a step of 1/2000 pole distances.
    fn simpson(f: &dyn Univariate, mean: f64, sd: f64) -> [f64; 3] {
        let step = (f.strip().min(1.0) / sd).min(1.0) / 200.0;
        let n = 2 * (12.0 / step).ceil() as i64;
        let h = 24.0 / n as f64;
        let mut sums = [0.0; 3];
        for k in 0..=n {
            let t = -12.0 + k as f64 * h;
            let w = if k == 0 || k == n {
                1.0
            } else if k % 2 == 1 {
                4.0
            } else {
                2.0
            } * h
                / 3.0
                * (-0.5 * t * t).exp()
                / TAU.sqrt();
            sums.iter_mut().zip(f.derivatives(mean + sd * t)).for_each(|(s, f)| *s += w * f);
        }
        sums
    }

    #[test]
    fn expectations_agree_with_another_rule() {
        for f in [&Softplus as &dyn Univariate, &LogOnePlusSquare] {
            for (mean, sd) in [(0.0, 0.01), (0.3, 0.5), (-2.0, 1.0), (1.5, 3.0), (-4.0, 20.0), (60.0, 1.0)] {
                let (a, b) = (f.expectation(mean, sd * sd), simpson(f, mean, sd));
                for (a, b) in a.iter().zip(b) {
                    // Simpson's error is (step)⁴/180 of the fourth derivative where it is not exponentially small, 2e-12 here
                    assert!((a - b).abs() < 4e-12 * (1.0 + b.abs()), "{f:?} {mean} {sd}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn the_exponential_is_in_closed_form_and_no_variance_is_a_point() {
        assert_eq!(Exponential.expectation(1.0, 2.0)[0], 2.0_f64.exp());
        assert_eq!(Softplus.expectation(0.7, 0.0), Softplus.derivatives(0.7));
    }
}
