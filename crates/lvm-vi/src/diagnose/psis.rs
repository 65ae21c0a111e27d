//! Pareto-smoothed importance sampling: the tail of the weights p/q, fitted and smoothed.

use lvm_core::mutant::planted;
use lvm_core::{Error, ErrorKind, Result};

/// Log weights after smoothing, with what the fit of their tail says.
#[derive(Debug, Clone, PartialEq)]
pub struct Psis {
    /// log of the smoothed weights, normalised: their exponentials sum to 1. In the order of the draws (S).
    pub log_weights: Vec<f64>,
    /// k̂, the estimated shape of the tail. The mean of the weights is finite below 1, their variance below 1/2. +∞ where no tail can be
    /// fitted (fewer than five weights in it, or a quarter of them no larger than the cut); −∞ where all weights are equal to rounding,
    /// as they are when q is the posterior.
    pub pareto_k: f64,
    /// The number of weights the tail was fitted to, ⌈min(S/5, 3√S)⌉.
    pub tail_length: usize,
    /// 1 / Σ w², the effective number of draws for a mean under p (of the smoothed weights).
    pub effective_draws: f64,
}

/// The value above which k̂ says that S draws are not enough: min(1 − 1/log₁₀ S, 0.7).
///
/// ```
/// use lvm_vi::diagnose::psis_threshold;
/// assert!((psis_threshold(1000) - 2.0 / 3.0).abs() < 1e-12);
/// assert_eq!(psis_threshold(100_000), 0.7);
/// ```
///
/// Source: Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling, J. Mach. Learn. Res. 25(72).
pub fn psis_threshold(draws: usize) -> f64 {
    (1.0 - 1.0 / (draws as f64).log10()).min(0.7)
}

/// Log weights closer to each other than this are equal: they are differences of log densities, whose rounding is of this order.
const ROUNDING: f64 = 1e-8;

/// Smooths log weights (S), which need no normalisation. −∞ is a weight of zero.
///
/// *Objective*: the M = ⌈min(S/5, 3√S)⌉ largest weights above the cut are taken for draws of a generalised Pareto distribution,
/// fitted as by Zhang & Stephens (2009) with a weak prior towards 1/2 worth ten draws, and replaced by its expected order statistics.
///
/// ```
/// use lvm_vi::diagnose::psis;
/// // equal weights: nothing to smooth, every draw counts
/// let fitted = psis(&vec![3.0; 1000])?;
/// assert!((fitted.effective_draws - 1000.0).abs() < 1e-9);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If there are no weights, one is NaN or +∞, or all are zero.
///
/// Source: Vehtari et al. (2024), algorithm 1.
pub fn psis(log_weights: &[f64]) -> Result<Psis> {
    if log_weights.is_empty() {
        return Err(ErrorKind::Empty.into());
    }
    let unusable = |w: f64| w.is_nan() && !planted("psis_nan_dropped") || w == f64::INFINITY;
    if let Some((i, w)) = log_weights.iter().enumerate().find(|(_, w)| unusable(**w)) {
        return Err(Error::config("log_weights", format!("entry {i} is {w}; a log weight must be finite, or −∞ for a weight of zero")));
    }
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return Err(Error::config("log_weights", "all weights are zero: the target has no mass where q draws"));
    }
    // NaN was refused above; only the fault that drops it comes here with one
    let mut weights: Vec<f64> = log_weights.iter().filter(|w| !w.is_nan()).map(|w| w - largest).collect();
    let s = weights.len();
    let m = (0.2 * s as f64).min(3.0 * (s as f64).sqrt()).ceil() as usize;
    let smallest = weights.iter().copied().fold(f64::INFINITY, f64::min);
    let mut pareto_k = f64::INFINITY;
    if smallest > -ROUNDING {
        pareto_k = f64::NEG_INFINITY;
    } else if m >= 5 {
        let mut order: Vec<usize> = (0..s).collect();
        if !planted("psis_unsorted") {
            order.sort_by(|&a, &b| weights[a].total_cmp(&weights[b]));
        }
        // the largest weight below the tail, and never so small that its exponential is subnormal
        let cut = weights[order[s - m - 1]].max(f64::MIN_POSITIVE.ln()).exp();
        let tail = &order[s - m..];
        let excess: Vec<f64> = tail.iter().map(|&i| weights[i].exp() - cut).collect();
        if let Some(pareto) = GeneralisedPareto::fit(&excess) {
            pareto_k = pareto.shape;
            for (rank, &i) in tail.iter().enumerate() {
                // w_(i) = cut + F⁻¹((i − ½)/M), at most the largest weight drawn
                let p = (rank as f64 + 0.5) / m as f64;
                weights[i] = (pareto.quantile(p) + cut).ln().min(0.0);
            }
        }
    }
    let total = if planted("psis_unnormalised") { 0.0 } else { weights.iter().map(|w| w.exp()).sum::<f64>().ln() };
    weights.iter_mut().for_each(|w| *w -= total);
    let effective_draws = 1.0 / weights.iter().map(|w| (2.0 * w).exp()).sum::<f64>();
    Ok(Psis { log_weights: weights, pareto_k, tail_length: m, effective_draws })
}

/// P(X > x) = (1 + k x/σ)^(−1/k), x > 0.
struct GeneralisedPareto {
    shape: f64,
    scale: f64,
}

impl GeneralisedPareto {
    /// Fits ascending excesses over the cut; none if a quarter of them is not above it.
    fn fit(x: &[f64]) -> Option<Self> {
        let n = x.len();
        let grid = 30 + (n as f64).sqrt() as usize;
        let quartile = x[((n as f64 / 4.0 + 0.5) as usize).max(1) - 1];
        if !(quartile > 0.0) || x[0] < 0.0 {
            return None;
        }
        // b_j = 1/x_max + (1 − √(m/(j − ½))) / (3 x_¼)   Zhang & Stephens 2009, eq. 10, with b = −θ
        let b = |j: usize| 1.0 / x[n - 1] + (1.0 - (grid as f64 / (j as f64 + 0.5)).sqrt()) / (3.0 * quartile);
        let shape_of = |b: f64| x.iter().map(|x| (-b * x).ln_1p()).sum::<f64>() / n as f64;
        let profile: Vec<(f64, f64)> = (0..grid)
            .map(|j| {
                let (b, k) = (b(j), shape_of(b(j)));
                // log L(b) = n (log(−b/k) − k − 1)
                (b, n as f64 * ((-b / k).ln() - k - 1.0))
            })
            .collect();
        let best = profile.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        let (mut mean, mut total) = (0.0, 0.0);
        for (b, log_likelihood) in profile {
            let weight = (log_likelihood - best).exp();
            mean += b * weight;
            total += weight;
        }
        let b = mean / total;
        let k = shape_of(b);
        // k̂ = (n k + 10 · ½)/(n + 10)   Vehtari et al. 2024, appendix G
        let shape = (n as f64 * k + 5.0) / (n as f64 + 10.0);
        let scale = -k / b;
        (shape.is_finite() && scale.is_finite()).then_some(GeneralisedPareto { shape, scale })
    }

    /// x with P(X ≤ x) = p.
    fn quantile(&self, p: f64) -> f64 {
        let e = -(-p).ln_1p();
        // σ ((1 − p)^(−k) − 1)/k, which is −σ log(1 − p) at k = 0
        if self.shape == 0.0 { self.scale * e } else { self.scale * (self.shape * e).exp_m1() / self.shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_the_best_there_are() {
        let fitted = psis(&[-2.0; 100]).unwrap();
        assert_eq!(fitted.pareto_k, f64::NEG_INFINITY);
        assert!((fitted.effective_draws - 100.0).abs() < 1e-9); // 100 terms of relative rounding 1e-16
    }

    #[test]
    fn a_single_draw_that_outweighs_all_is_the_worst() {
        let mut weights = vec![f64::NEG_INFINITY; 1000];
        weights[17] = 0.0;
        let fitted = psis(&weights).unwrap();
        assert_eq!(fitted.pareto_k, f64::INFINITY);
        assert_eq!(fitted.effective_draws, 1.0);
    }

    #[test]
    fn weights_that_are_no_weights_are_refused() {
        assert!(psis(&[]).is_err());
        assert!(psis(&[0.0, f64::NAN]).unwrap_err().to_string().contains("entry 1 is NaN"));
        assert!(psis(&[f64::NEG_INFINITY; 3]).unwrap_err().to_string().contains("no mass"));
    }
}
