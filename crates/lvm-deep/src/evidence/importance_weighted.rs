//! ELBO, IWAE_k and importance sampling of every row, for any number of draws in bounded memory.

use super::bound_of;
use super::memory::{EvaluationMemory, log_joint};
use super::row_noise::{DRAWS, ROWS, RowNoise};
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::objective::KlTerm;
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::bound::{Bound, Estimate};
use lvm_core::mutant::planted;

/// ELBO = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z)) of every row by `draws` draws, with its standard error.
///
/// With [`KlTerm::Analytic`] only the first term is random, where the KL has a closed form; with [`KlTerm::Draws`] it is
/// [`iwae`] with k = 1 to the last bit.
///
/// # Errors
/// If `draws` is 0, the rows do not fit the model, or a log weight is NaN or +∞ ([`ErrorKind::LogWeight`]).
pub fn elbo(vae: &Vae, batch: &Batch, kl: KlTerm, draws: usize, memory: EvaluationMemory, seed: u64) -> Result<Bound> {
    if kl == KlTerm::Draws {
        return iwae(vae, batch, 1, draws, memory, seed);
    }
    at_least_one("draws", draws)?;
    vae.check(batch)?;
    let analytic = guard("evaluating the KL term", || Ok(tch::no_grad(|| vae.parts.prior.kl(vae.posterior(batch).as_ref()))))?;
    let Some(kl) = analytic.map(|kl| to_values(&kl)) else {
        return iwae(vae, batch, 1, draws, memory, seed);
    };
    let mut moments = vec![Moments::default(); kl.len()];
    over_draws(vae, batch, draws, memory, seed, Value::LogLikelihood, &mut |n, v| moments[n].add(v))?;
    let rows = moments.iter().zip(&kl).map(|(m, kl)| Estimate { mean: m.mean - kl, ..m.estimate() }).collect();
    Ok(bound_of(rows, batch, draws))
}

/// IWAE_k = E[log (1/k) Σ_{i≤k} w_i], w = p(x, z)/q(z | x), of every row: the mean of `repeats` independent values, each of k draws of its
/// own. At least the ELBO, at most log p(x), never falling in k.
///
/// The sum over k is a running one (a largest log weight and the sum relative to it, in f64), so memory does not grow with k. The standard
/// error is that of the `repeats` values; infinite for one.
///
/// Burda, Grosse & Salakhutdinov 2016, eq. 8.
///
/// # Errors
/// If `k` or `repeats` is 0, and as [`elbo`].
pub fn iwae(vae: &Vae, batch: &Batch, k: usize, repeats: usize, memory: EvaluationMemory, seed: u64) -> Result<Bound> {
    at_least_one("k", k)?;
    at_least_one("repeats", repeats)?;
    vae.check(batch)?;
    let mut rows = vec![(LogSum::default(), Moments::default()); batch.n_rows() as usize];
    over_draws(vae, batch, k * repeats, memory, seed, Value::LogWeight, &mut |n, w| {
        let (sum, moments) = &mut rows[n];
        sum.add(w);
        if sum.count == k {
            moments.add(sum.log_mean());
            *sum = LogSum::default();
        }
    })?;
    Ok(bound_of(rows.iter().map(|(_, m)| m.estimate()).collect(), batch, repeats))
}

/// log p(x) by importance sampling, with how far the sampling can be trusted.
#[derive(Debug, Clone)]
pub struct Importance {
    /// log (1/S) Σ w of every row: one value of IWAE_S, so too low on average; the standard error is that of the delta method,
    /// sd(w)/(√S mean(w)).
    pub bound: Bound,
    /// (Σ w)²/Σ w² of every row: of so many equal weights the sum would be as certain. Near 1 means that one draw has all the weight and
    /// that the standard error is of no use.
    pub effective_draws: Vec<f64>,
}

/// log (1/S) Σ_s p(x, z_s)/q(z_s | x) of every row.
///
/// # Errors
/// As [`elbo`].
pub fn importance(vae: &Vae, batch: &Batch, draws: usize, memory: EvaluationMemory, seed: u64) -> Result<Importance> {
    at_least_one("draws", draws)?;
    vae.check(batch)?;
    let mut rows = vec![LogSum::default(); batch.n_rows() as usize];
    over_draws(vae, batch, draws, memory, seed, Value::LogWeight, &mut |n, w| rows[n].add(w))?;
    let bound = bound_of(rows.iter().map(LogSum::log_mean_estimate).collect(), batch, draws);
    Ok(Importance { bound, effective_draws: rows.iter().map(LogSum::effective).collect() })
}

pub(super) fn at_least_one(field: &'static str, value: usize) -> Result<()> {
    if value == 0 { Err(Error::config(field, "is 0; at least 1 is needed")) } else { Ok(()) }
}

/// What is evaluated of a draw.
#[derive(Clone, Copy, PartialEq)]
enum Value {
    LogWeight,
    LogLikelihood,
}

/// Calls `sink(row, value)` for `draws` draws of every row: all draws of a row in the same order whatever the memory.
fn over_draws(
    vae: &Vae,
    batch: &Batch,
    draws: usize,
    memory: EvaluationMemory,
    seed: u64,
    value: Value,
    sink: &mut dyn FnMut(usize, f64),
) -> Result<()> {
    let points = memory.points(vae, false);
    let n = batch.n_rows();
    let group = (points / (DRAWS * ROWS)).max(1) * ROWS;
    let draws = draws as i64;
    guard("evaluating importance weights", || {
        let _no_grad = tch::no_grad_guard();
        for first in (0..n).step_by(group as usize) {
            let rows = batch.narrow(first, group.min(n - first));
            let features = vae.parts.encoder.features(&rows);
            // several blocks of draws at once where the rows are few
            let together = (points / (DRAWS * rows.n_rows())).max(1);
            for start in (0..draws).step_by((DRAWS * together) as usize) {
                let stop = draws.min(start + DRAWS * together);
                let values = values_of(vae, &rows, &features, (first, start, stop), points, seed, value)?;
                for (i, v) in values.iter().enumerate() {
                    let (draw, row) = (i / rows.n_rows() as usize, i % rows.n_rows() as usize);
                    if v.is_nan() || *v == f64::INFINITY {
                        return Err(ErrorKind::LogWeight { row: first as usize + row, draw: start as usize + draw, value: *v }.into());
                    }
                    sink(first as usize + row, *v);
                }
            }
        }
        Ok(())
    })
}

/// The values of draws `start..stop`, (draws, rows) in row-major order.
fn values_of(
    vae: &Vae,
    rows: &Batch,
    features: &tch::Tensor,
    (first, start, stop): (i64, i64, i64),
    points: i64,
    seed: u64,
    value: Value,
) -> Result<Vec<f64>> {
    let blocks: Vec<_> = (start..stop)
        .step_by(DRAWS as usize)
        .map(|s| {
            RowNoise::new(seed, first, rows.n_rows(), s / DRAWS, rows.x.kind(), rows.x.device()).posterior(
                vae,
                features,
                DRAWS.min(stop - s),
            )
        })
        .collect();
    let z = tch::Tensor::cat(&blocks.iter().map(|d| &d.z).collect::<Vec<_>>(), 0);
    let joint = log_joint(vae, &z, rows, points)?;
    Ok(match value {
        Value::LogLikelihood => to_values(&joint.log_likelihood),
        Value::LogWeight => {
            let log_q = tch::Tensor::cat(&blocks.iter().map(|d| &d.log_q).collect::<Vec<_>>(), 0);
            // log w = log p(x | z) + log p(z) − log q(z | x)
            to_values(&(joint.log_likelihood + joint.log_prior - log_q))
        }
    })
}

/// log Σ w and log Σ w² of log weights that come one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSum {
    top: f64,
    /// Σ w/e^top.
    sum: f64,
    /// Σ (w/e^top)².
    squares: f64,
    count: usize,
}

impl Default for LogSum {
    fn default() -> Self {
        LogSum { top: f64::NEG_INFINITY, sum: 0.0, squares: 0.0, count: 0 }
    }
}

impl LogSum {
    pub(crate) fn add(&mut self, log_w: f64) {
        self.count += 1;
        if planted("vae_iwae_mean_of_logs") {
            let mean = if self.count == 1 { log_w } else { self.top + (log_w - self.top) / self.count as f64 };
            *self = LogSum { top: mean, sum: self.count as f64, squares: self.count as f64, count: self.count };
            return;
        }
        if log_w > self.top {
            let shrink = (self.top - log_w).exp();
            self.sum = self.sum * shrink + 1.0;
            self.squares = self.squares * shrink * shrink + 1.0;
            self.top = log_w;
        } else if log_w > f64::NEG_INFINITY {
            let w = (log_w - self.top).exp();
            self.sum += w;
            self.squares += w * w;
        }
    }

    pub(crate) fn log_mean(&self) -> f64 {
        if self.count == 1 { self.top } else { self.top + (self.sum / self.count as f64).ln() }
    }

    /// (Σ w)²/Σ w².
    pub(crate) fn effective(&self) -> f64 {
        if self.squares > 0.0 { self.sum * self.sum / self.squares } else { 0.0 }
    }

    pub(crate) fn log_mean_estimate(&self) -> Estimate {
        let s = self.count as f64;
        // Var(w̄)/w̄² = (S Σ w²/(Σ w)² − 1)/(S − 1)
        let spread = (s / self.effective() - 1.0).max(0.0);
        let std_err = if self.count < 2 { f64::INFINITY } else { (spread / (s - 1.0)).sqrt() };
        Estimate { mean: self.log_mean(), std_err, draws: self.count }
    }
}

/// Mean and squared deviations of numbers that come one by one (Welford 1962).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, v: f64) {
        self.count += 1;
        let before = v - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (v - self.mean);
    }

    pub(crate) fn estimate(&self) -> Estimate {
        let s = self.count as f64;
        let std_err = if self.count < 2 { f64::INFINITY } else { (self.squares / (s * (s - 1.0))).sqrt() };
        Estimate { mean: self.mean, std_err, draws: self.count }
    }
}
