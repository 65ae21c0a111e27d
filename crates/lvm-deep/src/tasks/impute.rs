//! Missing entries, filled in many times.

use super::generation::draw_index;
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::evidence::memory::{EvaluationMemory, log_joint, reads_x};
use crate::evidence::row_noise::{ROWS, RowNoise};
use crate::evidence::{Ascent, Expectation, Optimum};
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::random::{Purpose, stream};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Where latents of a row with holes are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposal {
    /// q(z | x_obs) as the encoder sees it, holes at 0 (the mean where columns are standardised).
    #[default]
    Encoder,
    /// The best q of the family for the observed entries of each row ([`Optimum`]), with expectations over so many draws.
    Fitted(i64),
}

/// Multiple imputation by importance resampling.
///
/// ```text
/// z_k ~ q(z | x_obs),   w_k ∝ p(x_obs, z_k)/q(z_k | x_obs),   k = 1 … K
/// E[x_mis | x_obs] ≈ Σ_k w_k E[x_mis | z_k];   draws: z ~ {z_k} with probability w_k, then x_mis ~ p(x_mis | z)
/// ```
///
/// Right as K grows, whatever the encoder makes of rows with holes; [`Imputations::effective_draws`] tells how far a row has come. An encoder
/// that never saw holes may be far off: [`Proposal::Fitted`] is the remedy. With entries missing at random given the observed ones. Rezende, Mohamed & Wierstra 2014; Mattei & Frellsen 2019, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Impute {
    /// The q that z is drawn from.
    pub proposal: Proposal,
    /// K.
    pub importance_draws: usize,
    /// M, completed tables.
    pub imputations: usize,
    /// What may be held at once.
    pub memory: EvaluationMemory,
}

impl Default for Impute {
    fn default() -> Self {
        Impute { proposal: Proposal::Encoder, importance_draws: 1000, imputations: 10, memory: EvaluationMemory::default() }
    }
}

/// Completed tables and what they say together.
#[derive(Debug)]
pub struct Imputations {
    /// M completed tables (M, N, D); observed entries are as they were.
    pub draws: Tensor,
    /// E[x | x_obs] (N, D): by decoded means, or of a drawn x for each z where the decoder has no mean.
    pub mean: Tensor,
    /// sd[x | x_obs] (N, D), by a drawn x for each z; 0 where an entry is observed.
    pub sd: Tensor,
    /// (Σ w)²/Σ w² of every row (N): of K draws so many count.
    pub effective_draws: Vec<f64>,
}

impl Impute {
    /// Fills in what is missing.
    ///
    /// # Errors
    /// If a number of draws is 0, the rows do not fit the model, or a log weight is NaN or +∞.
    pub fn run(&self, vae: &Vae, batch: &Batch, seed: u64) -> Result<Imputations> {
        vae.check(batch)?;
        for (field, value) in [("importance_draws", self.importance_draws), ("imputations", self.imputations)] {
            if value == 0 {
                return Err(Error::config(field, "is 0; at least 1 is needed"));
            }
        }
        let points = self.memory.points(vae, false);
        let group = (points / (self.importance_draws as i64 * ROWS)).max(1) * ROWS;
        guard("imputing", || {
            let _no_grad = tch::no_grad_guard();
            let n = batch.n_rows();
            let mut parts = Vec::new();
            for first in (0..n).step_by(group as usize) {
                parts.push(self.group(vae, &batch.narrow(first, group.min(n - first)), points, seed, first)?);
            }
            let join = |of: fn(&Imputations) -> &Tensor, dim| Tensor::cat(&parts.iter().map(of).collect::<Vec<_>>(), dim);
            Ok(Imputations {
                draws: join(|p| &p.draws, 1),
                mean: join(|p| &p.mean, 0),
                sd: join(|p| &p.sd, 0),
                effective_draws: parts.iter().flat_map(|p| p.effective_draws.iter().copied()).collect(),
            })
        })
    }

    /// Parameters of the rows' proposals (n, F).
    fn features(&self, vae: &Vae, rows: &Batch, seed: u64) -> Result<Tensor> {
        let Proposal::Fitted(draws) = self.proposal else {
            return Ok(vae.parts.encoder.features(rows));
        };
        let blocks = (0..rows.n_rows()).step_by(ROWS as usize).map(|start| {
            let block = rows.narrow(start, ROWS.min(rows.n_rows() - start));
            let fit = || Optimum::new(vae, &block, Expectation::Draws(draws), &Ascent::default(), seed);
            tch::with_grad(fit).map(|optimum| optimum.features)
        });
        Ok(Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 0))
    }

    fn group(&self, vae: &Vae, rows: &Batch, points: i64, seed: u64, first: i64) -> Result<Imputations> {
        let (k, n) = (self.importance_draws as i64, rows.n_rows());
        let mut noise = RowNoise::new(seed, first, n, 0, rows.x.kind(), rows.x.device());
        let draws = noise.posterior(vae, &self.features(vae, rows, seed)?, k);
        let joint = log_joint(vae, &draws.z, rows, points)?;
        let log_w = (joint.log_likelihood + joint.log_prior - draws.log_q).to_kind(Kind::Double);
        let weights = log_w.softmax(0, Kind::Double);
        // one list of K weights for each row
        let values = to_values(&weights.tr());
        for (row, w) in values.chunks(k as usize).enumerate() {
            if let Some(draw) = w.iter().position(|w| !w.is_finite()) {
                let value = log_w.double_value(&[draw as i64, row as i64]);
                return Err(ErrorKind::LogWeight { row: first as usize + row, draw, value }.into());
            }
        }
        let (mean, sd) = moments(vae, rows, &draws.z, &weights, &mut noise, points)?;
        // z of the completed tables (M, n, L)
        let picked: Vec<i64> = values
            .chunks(k as usize)
            .enumerate()
            .flat_map(|(row, w)| draw_index(w, self.imputations, &mut stream(seed, Purpose::Sample, (first as usize + row) as u64)))
            .collect();
        let m = self.imputations as i64;
        let picked = Tensor::from_slice(&picked).view([n, m]).tr().contiguous().to_device(rows.x.device());
        let z = draws.z.gather(0, &picked.unsqueeze(-1).expand([m, n, vae.latents()], false), false);
        let completed = filled(&generate(vae, &z, rows, &mut noise)?, rows);
        let effective = |w: &[f64]| 1.0 / w.iter().map(|w| w * w).sum::<f64>();
        Ok(Imputations { draws: completed, mean, sd, effective_draws: values.chunks(k as usize).map(effective).collect() })
    }
}

/// Mean and standard deviation of x | x_obs (n, D), over the weighted draws z (K, n, L).
fn moments(vae: &Vae, rows: &Batch, z: &Tensor, weights: &Tensor, noise: &mut RowNoise, points: i64) -> Result<(Tensor, Tensor)> {
    let (k, n) = (z.size()[0], z.size()[1]);
    let weights = weights.to_kind(rows.x.kind()).unsqueeze(-1);
    let (mut mean, mut first, mut second) = (rows.x.zeros_like(), rows.x.zeros_like(), rows.x.zeros_like());
    let has_mean = !reads_x(vae);
    let step = (points / n).clamp(1, k);
    for start in (0..k).step_by(step as usize) {
        let length = step.min(k - start);
        let (z, w) = (z.narrow(0, start, length), weights.narrow(0, start, length));
        let sum = |values: &Tensor| (values * &w).sum_dim_intlist([0].as_slice(), false, None);
        let drawn = generate(vae, &z, rows, noise)?;
        if has_mean {
            mean += sum(&vae.parts.likelihood.mean(&vae.outputs(&z, rows), rows));
        }
        first += sum(&drawn);
        second += sum(&drawn.square());
    }
    let sd = (second - first.square()).clamp_min(0.0).sqrt();
    let mean = filled(if has_mean { &mean } else { &first }, rows);
    let sd = match &rows.observed {
        Some(observed) => sd * (1.0 - observed),
        None => sd.zeros_like(),
    };
    Ok((mean, sd))
}

/// x ~ p(x | z) (k, n, D) of latents (k, n, L), each row by its own stream.
fn generate(vae: &Vae, z: &Tensor, rows: &Batch, noise: &mut RowNoise) -> Result<Tensor> {
    noise.by_block(|noise, start, length| {
        let k = z.size()[0];
        let flat = z.narrow(1, start, length).reshape([k * length, vae.latents()]);
        // with what is there of the rows: a likelihood may be told their size
        let like = rows.narrow(start, length).repeat(k);
        Ok(vae.parts.decoder.generate(&flat, &like, vae.parts.likelihood.as_ref(), noise).view([k, length, -1]))
    })
}

/// `values` (…, n, D) where an entry is missing, x where it is there.
fn filled(values: &Tensor, rows: &Batch) -> Tensor {
    match &rows.observed {
        Some(observed) => values.where_self(&observed.eq(0.0), &rows.x),
        None => rows.x.expand_as(values).contiguous(),
    }
}
