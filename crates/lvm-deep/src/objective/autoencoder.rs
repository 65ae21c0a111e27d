//! The plain autoencoder.

use super::Evaluation;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::vae::Vae;

/// log p(x | z = mode of q(z | x)): no draws, no KL term, for comparison.
///
/// It is no bound of log p(x): what it reports as `bound` is the reconstruction, to be compared with other plain autoencoders only. Nothing
/// ties q or p(z) to the data, so draws from p(z) need not decode to anything like x.
pub(crate) fn evaluate(vae: &Vae, batch: &Batch) -> Result<Evaluation> {
    let posterior = vae.posterior(batch);
    if posterior.log_probabilities().is_some() {
        return Err(Error::config(
            "objective",
            "autoencoder needs latents that can be differentiated, which one of K values can't: use elbo",
        ));
    }
    let surrogate = vae.log_likelihood(&posterior.mode().unsqueeze(0), batch).squeeze_dim(0);
    let reconstruction = surrogate.detach();
    Ok(Evaluation { bound: reconstruction.shallow_clone(), kl: reconstruction.zeros_like(), reconstruction, surrogate })
}
