//! Bounds of the log evidence log p(data) by draws from q, with standard errors.
//!
//! ```text
//! ELBO(q) = E_q[log w] = IWAE_1 ≤ IWAE_k = E[log (1/k) Σ_i w_i] ≤ log p(data),   w = p(z, data) / q(z)
//! ```
//!
//! Draws that are of no use (a recoverable error, a log density that is NaN or infinite) have weight 0. A bound that would be −∞ for them
//! is then that of q restricted to the usable region A, E_q[log w | A] + log q(A), with q(A) by the share of usable draws: it is still a
//! bound of log p(data), which the mean over A alone would not be. The number of draws in the estimate is that of the usable ones.

use crate::estimator::{Tally, check_dimension, check_positive, next_value};
use crate::family::{Family, Gaussian, Variational, draw_noise, kl};
use crate::target::LogDensity;
use lvm_core::bound::Estimate;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, Stream, stream};
use lvm_core::{Error, Result};
use rayon::prelude::*;

/// Draws that share one random stream.
const BLOCK: usize = 64;

/// The log importance weights of draws from q, in the order of the draws.
#[derive(Debug, Clone, PartialEq)]
pub struct LogWeights {
    /// log p(z_s, data) − log q(z_s); −∞ where the draw was of no use.
    pub values: Vec<f64>,
    /// log p(z_s, data); −∞ where the draw was of no use.
    pub log_joint: Vec<f64>,
    /// Draws of no use: recoverable errors, NaN or infinite log densities.
    pub skipped: usize,
}

/// The log importance weights of `draws` draws from q.
///
/// # Errors
/// If the dimensions of q and target differ, `draws` is 0, the target fails for good, or no draw is usable.
pub fn log_weights<V: Variational, T: LogDensity + ?Sized>(q: &V, target: &T, draws: usize, seed: u64) -> Result<LogWeights> {
    check_dimension(q, target)?;
    let (drawn, skipped) = in_blocks(draws, seed, |rng, tally| {
        let mut z = vec![0.0; q.dim()];
        let log_joint = next_value(q, target, rng, &mut z, tally)?;
        let truncated = |w: f64| if planted("weights_truncated") { w.min(0.0) } else { w };
        Ok(log_joint.map(|v| [v, truncated(v - q.log_prob(&z))]))
    })?;
    let [log_joint, values] = [0, 1].map(|i| drawn.iter().map(|d| d[i]).collect());
    Ok(LogWeights { values, log_joint, skipped })
}

/// Draws in fixed blocks, each with a stream of its own, −∞ for those of no use; and how many these were.
fn in_blocks<F, const N: usize>(draws: usize, seed: u64, draw: F) -> Result<(Vec<[f64; N]>, usize)>
where
    F: Fn(&mut Stream, &mut Tally) -> Result<Option<[f64; N]>> + Sync,
{
    check_positive("draws", draws)?;
    let blocks = (0..draws.div_ceil(BLOCK))
        .into_par_iter()
        .map(|b| {
            let index = if planted("blocks_share_stream") { 0 } else { b as u64 };
            let purpose = if planted("test_draws_of_training") { Purpose::Noise } else { Purpose::Diagnosis };
            let (mut rng, mut tally) = (stream(seed, purpose, index), Tally::default());
            let n = BLOCK.min(draws - b * BLOCK);
            let drawn = (0..n).map(|_| draw(&mut rng, &mut tally)).collect::<Result<Vec<_>>>()?;
            tally.used = drawn.iter().flatten().count();
            Ok((drawn, tally))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut whole = Tally::default();
    let mut values = Vec::with_capacity(draws);
    for (drawn, tally) in blocks {
        whole.merge(tally);
        values.extend(drawn.into_iter().map(|d| d.unwrap_or([f64::NEG_INFINITY; N])));
    }
    whole.weight()?;
    Ok((values, draws - whole.used))
}

/// E\[x | A\] + log P(A), A: x is finite.
fn restricted(x: &[f64]) -> Estimate {
    let finite: Vec<f64> = x.iter().copied().filter(|v| v.is_finite()).collect();
    shifted(Estimate::from_draws(&finite), (finite.len() as f64 / x.len() as f64).ln())
}

fn shifted(estimate: Estimate, by: f64) -> Estimate {
    Estimate { mean: estimate.mean + by, ..estimate }
}

/// ELBO(q) = E_q[log p(z, data) − log q(z)], both by draws.
///
/// Its variance is 0 at q = p(z | data), whatever the number of draws.
///
/// ```
/// use lvm_vi::{bound::elbo, family::MeanField, target::{LogDensity, TargetError}};
/// struct StandardNormal;
/// impl LogDensity for StandardNormal {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
///         Ok(-0.5 * (z[0] * z[0] + std::f64::consts::TAU.ln()))
///     }
/// }
/// // the target is normalised, so the bound of the best q is log 1
/// assert!(elbo(&MeanField::standard(1)?, &StandardNormal, 10, 1)?.mean.abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// As [`log_weights`].
pub fn elbo<V: Variational, T: LogDensity + ?Sized>(q: &V, target: &T, draws: usize, seed: u64) -> Result<Estimate> {
    Ok(restricted(&log_weights(q, target, draws, seed)?.values))
}

/// ELBO(q) = E_q[log p(z, data)] + H(q): the entropy in closed form, the rest by draws.
///
/// # Errors
/// As [`log_weights`].
pub fn elbo_closed_entropy<V: Variational, T: LogDensity + ?Sized>(q: &V, target: &T, draws: usize, seed: u64) -> Result<Estimate> {
    Ok(shifted(restricted(&log_weights(q, target, draws, seed)?.log_joint), q.entropy()))
}

/// ELBO(q) = E_q[log p(data | z)] − KL(q ‖ p(z)): the divergence from a Gaussian prior in closed form, the expected log likelihood by draws.
///
/// # Errors
/// As [`log_weights`], and if prior and q differ in dimension.
pub fn elbo_closed_divergence<Q, P, T>(q: &Q, prior: &P, log_likelihood: &T, draws: usize, seed: u64) -> Result<Estimate>
where
    Q: Gaussian,
    P: Gaussian,
    T: LogDensity + ?Sized,
{
    let divergence = kl(q, prior)?;
    Ok(shifted(restricted(&log_weights(q, log_likelihood, draws, seed)?.log_joint), -divergence))
}

/// [`elbo`] from antithetic pairs z = T(±ε): what is odd in ε cancels. `draws` counts pairs; a pair of which one is of no use is of no use.
///
/// # Errors
/// As [`log_weights`].
pub fn elbo_antithetic<F: Family, T: LogDensity + ?Sized>(q: &F, target: &T, draws: usize, seed: u64) -> Result<Estimate> {
    check_dimension(q, target)?;
    let (pairs, _) = in_blocks(draws, seed, |rng, tally| {
        let (mut noise, mut z) = (vec![0.0; q.noise_dim()], vec![0.0; q.dim()]);
        draw_noise(rng, &mut noise);
        let mut sum = 0.0;
        for _ in 0..2 {
            q.transform(&noise, &mut z);
            match tally.admit(target.log_density(&z), &[])? {
                Some(log_joint) => sum += log_joint - q.log_prob(&z),
                None => return Ok(None),
            }
            noise.iter_mut().for_each(|e| *e = -*e);
        }
        Ok(Some([0.5 * sum]))
    })?;
    Ok(restricted(pairs.as_flattened()))
}

/// IWAE_k = E[log (1/k) Σ_{i ≤ k} w_i], the mean of `repeats` independent groups of k draws; at k = 1 the ELBO. It rises with k to the log
/// evidence.
///
/// ```
/// use lvm_vi::{bound::iwae, family::MeanField, target::{LogDensity, TargetError}};
/// struct Normal;
/// impl LogDensity for Normal {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
///         // seven times the density of a standard normal: the evidence is 7
///         Ok(7.0_f64.ln() - 0.5 * (z[0] * z[0] + std::f64::consts::TAU.ln()))
///     }
/// }
/// assert!((iwae(&MeanField::standard(1)?, &Normal, 5, 10, 1)?.mean - 7.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// As [`log_weights`], and if k or `repeats` is 0.
///
/// Burda, Grosse & Salakhutdinov 2016.
pub fn iwae<V: Variational, T: LogDensity + ?Sized>(q: &V, target: &T, particles: usize, repeats: usize, seed: u64) -> Result<Estimate> {
    check_positive("particles", particles)?;
    check_positive("repeats", repeats)?;
    let draws = particles.checked_mul(repeats).ok_or_else(|| Error::config("particles", "particles times repeats overflows"))?;
    let weights = log_weights(q, target, draws, seed)?;
    let mean_of_logs = |group: &[f64]| group.iter().sum::<f64>() / group.len() as f64;
    let of_group: fn(&[f64]) -> f64 = if planted("iwae_mean_of_logs") { mean_of_logs } else { log_mean_exp };
    let groups: Vec<f64> = weights.values.chunks_exact(particles).map(of_group).collect();
    Ok(restricted(&groups))
}

/// log p(data) = log E_q\[w\] by importance sampling: the logarithm of the mean weight, with its standard error by the delta method.
///
/// Too low on average by about half the squared standard error. The standard error means something only while the weights have a finite
/// variance, that is for a k-hat below ½.
///
/// ```
/// use lvm_vi::{bound::evidence, family::MeanField, target::{LogDensity, TargetError}};
/// struct Normal;
/// impl LogDensity for Normal {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
///         // seven times the density of a standard normal: the evidence is 7
///         Ok(7.0_f64.ln() - 0.5 * (z[0] * z[0] + std::f64::consts::TAU.ln()))
///     }
/// }
/// assert!((evidence(&MeanField::standard(1)?, &Normal, 10, 1)?.mean - 7.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// As [`log_weights`].
pub fn evidence<V: Variational, T: LogDensity + ?Sized>(q: &V, target: &T, draws: usize, seed: u64) -> Result<Estimate> {
    Ok(log_mean_weight(&log_weights(q, target, draws, seed)?.values))
}

/// log w̄ of log weights, with the standard error of the logarithm to first order.
pub(crate) fn log_mean_weight(log_weights: &[f64]) -> Estimate {
    let mean = log_mean_exp(log_weights);
    // Var(log w̄) ≈ Var(w̄) / w̄²
    let relative: Vec<f64> = log_weights.iter().map(|w| (w - mean).exp()).collect();
    Estimate { mean, ..Estimate::from_draws(&relative) }
}

/// log (1/n) Σ e^{x_i}, without overflow; −∞ if every x is.
pub(crate) fn log_mean_exp(x: &[f64]) -> f64 {
    let highest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    highest + (x.iter().map(|v| (v - highest).exp()).sum::<f64>() / x.len() as f64).ln()
}
