//! New rows, from the prior, from given latents, and from the latents of given rows.

use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::noise::Noise;
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::random::{Purpose, stream};
use rand::RngExt;
use tch::Tensor;

/// Latents and the rows drawn from them.
#[derive(Debug)]
pub struct Simulated {
    /// z (N, L).
    pub z: Tensor,
    /// x ~ p(x | z), with the condition of the rows that were given.
    pub batch: Batch,
}

/// (z, x) ~ p(z) p(x | z), n times. Each z is an exact draw from p(z | x) of its own row.
///
/// `like`: n rows whose condition the new ones share, for models that have one.
///
/// # Errors
/// If `like` does not fit.
pub fn simulate(vae: &Vae, n: i64, like: Option<&Batch>, seed: u64) -> Result<Simulated> {
    guard("generating rows", || {
        let mut noise = noise(vae, seed);
        let z = tch::no_grad(|| vae.parts.prior.sample(n, &mut noise));
        let x = generate(vae, &z, like, &mut noise)?;
        let condition = like.and_then(|rows| rows.condition.as_ref()).map(Tensor::shallow_clone);
        Ok(Simulated { z, batch: Batch { condition, ..Batch::new(x) } })
    })
}

/// x ~ p(x | z), (M, D), of latents (M, L).
///
/// `like`: M rows from which the condition is taken and, where the likelihood is told it, the size of the row.
///
/// # Errors
/// If the latents or `like` do not fit.
pub fn sample_given(vae: &Vae, z: &Tensor, like: Option<&Batch>, seed: u64) -> Result<Tensor> {
    guard("generating rows", || generate(vae, z, like, &mut noise(vae, seed)))
}

/// E[x | z], (M, D), of latents (M, L).
///
/// `like`: as in [`sample_given`].
///
/// # Errors
/// If the latents or `like` do not fit, or rows are built entry after entry (then there is no mean given z alone).
pub fn decode(vae: &Vae, z: &Tensor, like: Option<&Batch>) -> Result<Tensor> {
    if crate::evidence::memory::reads_x(vae) {
        return Err(Error::config("decoder", "builds rows entry after entry and has no mean given z alone: draw rows and average them"));
    }
    let batch = rows_for(vae, z, like)?;
    guard("decoding", || {
        let _no_grad = tch::no_grad_guard();
        let outputs = vae.outputs(&z.unsqueeze(0), &batch);
        Ok(vae.parts.likelihood.mean(&outputs, &batch).squeeze_dim(0))
    })
}

/// z ~ q(z) = Σ_n w_n q(z | x_n)/Σ_n w_n, the aggregated posterior, m times: (m, L). A model whose samples from here look better than those
/// from the prior has a prior that does not fit its posteriors.
///
/// # Errors
/// If the rows do not fit the model.
pub fn aggregated_posterior(vae: &Vae, batch: &Batch, m: usize, seed: u64) -> Result<Tensor> {
    vae.check(batch)?;
    let weights = batch.weights.as_ref().map_or_else(|| vec![1.0; batch.n_rows() as usize], to_values);
    let picked = draw_index(&weights, m, &mut stream(seed, Purpose::Sample, 1));
    guard("drawing from the aggregated posterior", || {
        let _no_grad = tch::no_grad_guard();
        let rows = batch.select(&Tensor::from_slice(&picked).to_device(batch.x.device()));
        Ok(vae.posterior(&rows).draw(1, &mut noise(vae, seed)).z.squeeze_dim(0))
    })
}

/// m numbers below the number of weights, each with probability proportional to its weight.
pub(super) fn draw_index(weights: &[f64], m: usize, rng: &mut lvm_core::random::Stream) -> Vec<i64> {
    let cumulative: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, w| {
            *sum += w;
            Some(*sum)
        })
        .collect();
    let total = cumulative.last().copied().unwrap_or(0.0);
    let at = |u: f64| cumulative.partition_point(|c| *c <= u).min(weights.len().saturating_sub(1)) as i64;
    (0..m).map(|_| at(rng.random::<f64>() * total)).collect()
}

pub(super) fn noise(vae: &Vae, seed: u64) -> Noise {
    Noise::new(seed, Purpose::Sample, 0, vae.parameters.kind(), vae.parameters.device())
}

fn generate(vae: &Vae, z: &Tensor, like: Option<&Batch>, noise: &mut Noise) -> Result<Tensor> {
    let batch = rows_for(vae, z, like)?;
    Ok(tch::no_grad(|| vae.parts.decoder.generate(z, &batch, vae.parts.likelihood.as_ref(), noise)))
}

/// The rows given for latents (M, L), or rows of zeros.
fn rows_for(vae: &Vae, z: &Tensor, like: Option<&Batch>) -> Result<Batch> {
    let found = z.size();
    if found.len() != 2 || found[1] != vae.latents() {
        let found = found.last().copied().unwrap_or(0) as usize;
        return Err(ErrorKind::Shape { what: "columns of z", expected: vae.latents() as usize, found }.into());
    }
    match like {
        Some(rows) if rows.n_rows() != found[0] => {
            Err(ErrorKind::Shape { what: "rows to take the condition from", expected: found[0] as usize, found: rows.n_rows() as usize }
                .into())
        }
        Some(rows) => {
            vae.check(rows)?;
            Ok(rows.narrow(0, found[0]))
        }
        None if vae.architecture.condition > 0 => {
            let needed = vae.architecture.condition;
            Err(Error::config("condition", format!("this model is told {needed} numbers a row besides x, none were given")))
        }
        None => Ok(Batch::new(Tensor::zeros([found[0], vae.n_columns()], (vae.parameters.kind(), vae.parameters.device())))),
    }
}
