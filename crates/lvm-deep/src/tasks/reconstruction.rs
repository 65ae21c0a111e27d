//! Rows as the model sees them.

use super::generation;
use crate::data::Batch;
use crate::error::{Error, Result, guard};
use crate::noise::Noise;
use crate::posterior::Draws;
use crate::vae::Vae;
use lvm_core::random::Purpose;
use tch::Tensor;

/// k draws z ~ q(z | x) of every row, with log q.
///
/// # Errors
/// If the rows do not fit the model or k is not positive.
pub fn posterior_draws(vae: &Vae, batch: &Batch, k: i64, seed: u64) -> Result<Draws> {
    vae.check(batch)?;
    if k < 1 {
        return Err(Error::config("draws", format!("is {k}; at least 1 is needed")));
    }
    guard("drawing latents", || {
        let mut noise = Noise::new(seed, Purpose::Sample, 0, batch.x.kind(), batch.x.device());
        Ok(tch::no_grad(|| vae.posterior(batch).draw(k, &mut noise)))
    })
}

/// The mode of q(z | x) of every row (N, L): the coordinates for plots and for clustering.
///
/// # Errors
/// If the rows do not fit the model.
pub fn posterior_modes(vae: &Vae, batch: &Batch) -> Result<Tensor> {
    vae.check(batch)?;
    guard("encoding rows", || Ok(tch::no_grad(|| vae.posterior(batch).mode())))
}

/// E[x | z] (N, D) at the mode z of q(z | x), with the rows' condition and size.
///
/// # Errors
/// As [`posterior_modes`] and [`generation::decode`].
pub fn reconstruct(vae: &Vae, batch: &Batch) -> Result<Tensor> {
    generation::decode(vae, &posterior_modes(vae, batch)?, Some(batch))
}

/// E[x | z] (N, D) averaged over k draws z ~ q(z | x).
///
/// # Errors
/// As [`posterior_draws`] and [`generation::decode`].
pub fn reconstruct_averaged(vae: &Vae, batch: &Batch, k: i64, seed: u64) -> Result<Tensor> {
    let z = posterior_draws(vae, batch, k, seed)?.z;
    let mut sum = batch.x.zeros_like();
    for draw in 0..k {
        sum += generation::decode(vae, &z.select(0, draw), Some(batch))?;
    }
    Ok(sum / k as f64)
}
