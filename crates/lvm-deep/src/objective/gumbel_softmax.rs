//! The Gumbel-softmax relaxation.

use super::Evaluation;
use super::elbo::{check_beta, mean_over_draws};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::posterior::categorical::{gumbel, one_hot_of_largest};
use crate::vae::Vae;
use serde::{Deserialize, Serialize};

/// The evidence lower bound of a discrete latent with z relaxed to softmax((log q + g)/τ), g Gumbel noise: a gradient through z that is biased,
/// the less so the lower τ, and the noisier.
///
/// The KL term is the exact one of the discrete q. The bound reported is that of the discrete model, from the one-hot draws of which the relaxed
/// ones are softened; it takes a second pass of the decoder, without gradient. Jang, Gu & Poole 2017; Maddison, Mnih & Teh 2017.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GumbelSoftmax {
    /// Draws a row.
    pub draws: i64,
    /// τ.
    pub temperature: f64,
    /// β, 1 for the bound itself. What is reported as the bound has β = 1 always.
    pub beta: f64,
}

impl Default for GumbelSoftmax {
    fn default() -> Self {
        GumbelSoftmax { draws: 1, temperature: 0.5, beta: 1.0 }
    }
}

impl GumbelSoftmax {
    pub(crate) fn check(&self) -> Result<()> {
        if self.draws < 1 {
            return Err(Error::config("draws", format!("is {}; at least 1 is needed", self.draws)));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(Error::config("temperature", format!("is {}; it must be positive", self.temperature)));
        }
        check_beta(self.beta)
    }

    pub(crate) fn evaluate(&self, vae: &Vae, batch: &Batch, kl_weight: f64, noise: &mut Noise) -> Result<Evaluation> {
        let posterior = vae.posterior(batch);
        let (Some(log_q), Some(kl)) = (posterior.log_probabilities(), vae.parts.prior.kl(posterior.as_ref())) else {
            return Err(Error::config("objective", "gumbel_softmax is for a categorical posterior: use elbo for this one"));
        };
        let scores = &log_q + gumbel(&[&[self.draws], log_q.size().as_slice()].concat(), noise);
        let relaxed = (&scores / self.temperature).softmax(-1, None);
        let surrogate = mean_over_draws(&vae.log_likelihood(&relaxed, batch)) - &kl * (self.beta * kl_weight);
        let reconstruction = tch::no_grad(|| mean_over_draws(&vae.log_likelihood(&one_hot_of_largest(&scores), batch)));
        let kl = kl.detach();
        Ok(Evaluation { surrogate, bound: &reconstruction - &kl, reconstruction, kl })
    }
}
