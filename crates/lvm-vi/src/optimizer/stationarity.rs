//! Whether iterates have become stationary, and how far their average is from the mean they would have in the end.

use lvm_core::special::betainc;
use serde::{Deserialize, Serialize};

/// Windows the tail is divided into.
const WINDOWS: usize = 4;

/// Windows are called different if they would be so with this probability or less in a stationary run.
const SIGNIFICANCE: f64 = 0.01;

/// What the batch means of the tail of a run say about a vector of statistics of the iterates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The mean of every statistic.
    pub mean: Vec<f64>,
    /// Its Monte Carlo standard error by batch means, raised where neighbouring batches are still correlated.
    pub std_err: Vec<f64>,
    /// The largest R-hat over four windows of batch means.
    pub r_hat: f64,
    /// The probability, times the number of statistics (Bonferroni), of window means as different as these in a stationary run.
    pub p_value: f64,
    /// For every statistic how far it may still go: 0 where its windows don't differ significantly; else half their range or, where they
    /// move one way, what a geometric continuation adds up to, whichever is larger; infinite where it moves on without slowing down.
    pub drift: Vec<f64>,
}

/// Assesses batch means (at least 8 batches; n statistics each): the analysis of variance of four windows is R-hat read as a test,
///
/// ```text
/// R̂² = (k − 1)/k + B/(k W),   B/W ~ F(3, 4 (k − 1)) in a stationary run, k batches to a window
/// ```
///
/// (Gelman and Rubin 1992; Dhaka et al. 2020). `None` if there are too few batches.
pub fn assess(batches: &[Vec<f64>]) -> Option<Assessment> {
    let k = batches.len() / WINDOWS;
    if k < 2 {
        return None;
    }
    let batches = &batches[batches.len() - WINDOWS * k..];
    let (n, count) = (batches[0].len(), batches.len() as f64);
    let (mut mean, mut std_err, mut drift) = (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
    let (mut largest, mut p_value) = (0.0_f64, 1.0_f64);
    for j in 0..n {
        let series: Vec<f64> = batches.iter().map(|b| b[j]).collect();
        let average = series.iter().sum::<f64>() / count;
        let square: f64 = series.iter().map(|x| (x - average).powi(2)).sum();
        let product: f64 = series.windows(2).map(|w| (w[0] - average) * (w[1] - average)).sum();
        // Var(mean) = s²/n · (1 + ρ)/(1 − ρ), as if the batch means were autoregressive of order one
        let rho = if square > 0.0 { (product / square + 1.0 / count).clamp(0.0, 0.9) } else { 0.0 };
        mean.push(average);
        std_err.push((square / (count - 1.0) / count * (1.0 + rho) / (1.0 - rho)).sqrt());
        let ratio = variance_ratio(&series, k, average);
        let p = (tail_probability(ratio, k) * n as f64).min(1.0);
        drift.push(if p > SIGNIFICANCE { 0.0 } else { still_to_go(&series, k) });
        largest = largest.max(ratio);
        p_value = p_value.min(p);
    }
    let k = k as f64;
    Some(Assessment { mean, std_err, r_hat: ((k - 1.0 + largest) / k).sqrt(), p_value, drift })
}

/// P(F > ratio) with (3, 4 (k − 1)) degrees of freedom, I_{d₂/(d₂ + d₁ f)}(d₂/2, d₁/2).
fn tail_probability(ratio: f64, k: usize) -> f64 {
    let (numerator, denominator) = ((WINDOWS - 1) as f64, (WINDOWS * (k - 1)) as f64);
    if ratio.is_finite() { betainc(0.5 * denominator, 0.5 * numerator, denominator / (denominator + numerator * ratio)) } else { 0.0 }
}

/// How far the window means still have to go.
fn still_to_go(series: &[f64], k: usize) -> f64 {
    let windows: Vec<f64> = series.chunks_exact(k).map(|w| w.iter().sum::<f64>() / k as f64).collect();
    let (low, high) = windows.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), w| (l.min(*w), h.max(*w)));
    let steps: Vec<f64> = windows.windows(2).map(|w| w[1] - w[0]).collect();
    let range = 0.5 * (high - low);
    if !(steps.iter().all(|s| *s > 0.0) || steps.iter().all(|s| *s < 0.0)) {
        return range;
    }
    // two steps further the movement is r² times as large: Σ_{i ≥ 1} |last| rⁱ = |last| r/(1 − r)
    let r = (steps[WINDOWS - 2] / steps[0]).sqrt();
    if r < 1.0 { range.max(steps[WINDOWS - 2].abs() * r / (1.0 - r)) } else { f64::INFINITY }
}

/// B/W of the windows of k values.
fn variance_ratio(series: &[f64], k: usize, average: f64) -> f64 {
    let (mut between, mut within) = (0.0, 0.0);
    for window in series.chunks_exact(k) {
        let mean = window.iter().sum::<f64>() / k as f64;
        between += k as f64 * (mean - average).powi(2);
        within += window.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    }
    between /= (WINDOWS - 1) as f64;
    within /= (WINDOWS * (k - 1)) as f64;
    if within > 0.0 {
        between / within
    } else if between > 0.0 {
        f64::INFINITY
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_core::random::{Purpose, stream};
    use rand_distr::{Distribution, StandardNormal};

    fn noise(n: usize, index: u64) -> Vec<f64> {
        let mut rng = stream(11, Purpose::Noise, index);
        (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    #[test]
    fn a_drift_is_found_and_noise_is_not() {
        let mut rejected = 0;
        for index in 0..200 {
            let white: Vec<Vec<f64>> = noise(32, index).into_iter().map(|x| vec![x]).collect();
            rejected += usize::from(assess(&white).unwrap().p_value < 0.05);
            let drifting: Vec<Vec<f64>> = white.iter().enumerate().map(|(t, x)| vec![x[0] + 0.2 * t as f64]).collect();
            let found = assess(&drifting).unwrap();
            assert!(found.p_value < 0.01 && found.r_hat > 1.1);
        }
        // Binomial(200, 0.05): P(X > 25) = 2e-5; P(X < 1) = 4e-5
        assert!((1..=25).contains(&rejected), "{rejected}");
    }

    #[test]
    fn standard_errors_cover() {
        let covered = (0..200).filter(|&index| {
            let white: Vec<Vec<f64>> = noise(32, 1000 + index).into_iter().map(|x| vec![x]).collect();
            let found = assess(&white).unwrap();
            found.mean[0].abs() < 2.04 * found.std_err[0]
        });
        // t(31) 95 %; the correction for correlation only widens. P(Binomial(200, 0.95) < 178) = 4e-4
        assert!(covered.count() >= 178);
    }

    #[test]
    fn too_few_batches_say_nothing() {
        assert_eq!(assess(&vec![vec![1.0]; 7]), None);
        assert_eq!(assess(&vec![vec![1.0]; 8]).unwrap().std_err, vec![0.0]);
    }
}
