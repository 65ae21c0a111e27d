//! The evidence lower bound.

use super::Evaluation;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::vae::Vae;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How the KL term is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlTerm {
    /// In closed form where there is one, by draws where not.
    #[default]
    Analytic,
    /// By the same draws as the likelihood: log q(z | x) − log p(z).
    Draws,
}

/// E_q[log p(x | z)] − β KL(q(z | x) ‖ p(z)), with S draws a row.
///
/// Kingma & Welling 2014; β: Higgins et al. 2017; free bits: Kingma et al. 2016, eq. 15.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Elbo {
    /// S.
    pub draws: i64,
    /// The KL term.
    pub kl: KlTerm,
    /// β, 1 for the bound itself. What is reported as the bound has β = 1 always.
    pub beta: f64,
    /// λ: a latent whose KL, averaged over the batch, is below λ nats is not pushed further down. 0: no floor.
    pub free_nats: f64,
}

impl Default for Elbo {
    fn default() -> Self {
        Elbo { draws: 1, kl: KlTerm::Analytic, beta: 1.0, free_nats: 0.0 }
    }
}

impl Elbo {
    pub(crate) fn check(&self) -> Result<()> {
        if self.draws < 1 {
            return Err(Error::config("draws", format!("is {}; at least 1 is needed", self.draws)));
        }
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            return Err(Error::config("beta", format!("is {}; it must be a number that is not negative", self.beta)));
        }
        if !(self.free_nats >= 0.0 && self.free_nats.is_finite()) {
            return Err(Error::config("free_nats", format!("is {}; it must be a number that is not negative", self.free_nats)));
        }
        Ok(())
    }

    pub(crate) fn evaluate(&self, vae: &Vae, batch: &Batch, kl_weight: f64, noise: &mut Noise) -> Result<Evaluation> {
        let terms = vae.terms(batch, self.draws, noise);
        let reconstruction = mean_over_draws(&terms.log_joint.log_likelihood);
        let by_latent = vae.parts.prior.kl_by_latent(terms.posterior.as_ref());
        let analytic = match self.kl {
            KlTerm::Analytic => vae.parts.prior.kl(terms.posterior.as_ref()),
            KlTerm::Draws => None,
        };
        let kl = analytic.unwrap_or_else(|| mean_over_draws(&(&terms.log_q - &terms.log_joint.log_prior)));
        let pushed = match (&by_latent, self.free_nats > 0.0) {
            // Σ_l max(λ, mean over the batch of KL_l), the same for every row
            (Some(by_latent), true) => {
                let floored = by_latent.mean_dim([0].as_slice(), false, None).clamp_min(self.free_nats);
                floored.sum(None::<Kind>).expand_as(&kl)
            }
            (None, true) => {
                return Err(Error::config(
                    "free_nats",
                    "needs a KL that is a sum over latents: a diagonal posterior with a standard normal prior",
                ));
            }
            (_, false) => kl.shallow_clone(),
        };
        let surrogate = &reconstruction - pushed * (self.beta * kl_weight);
        let (reconstruction, kl) = (reconstruction.detach(), kl.detach());
        Ok(Evaluation { surrogate, bound: &reconstruction - &kl, reconstruction, kl })
    }
}

/// (k, N) → (N).
pub(crate) fn mean_over_draws(values: &Tensor) -> Tensor {
    values.mean_dim([0].as_slice(), false, None)
}
