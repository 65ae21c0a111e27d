//! The evidence lower bound.

use super::{Evaluation, summation};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::posterior::{Draws, Posterior};
use crate::vae::Vae;
use lvm_core::mutant::planted;
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
    /// By the same draws, with the parameters of log q held fixed: what is left out is zero in expectation, and without it the gradient has
    /// no noise where q is the posterior. Roeder, Wu & Duvenaud 2017.
    StickingTheLanding,
}

/// E_q[log p(x | z)] − β KL(q(z | x) ‖ p(z)), with S draws a row.
///
/// Where z is discrete, E_q is the sum over its values, and no draw is made. Kingma & Welling 2014; β: Higgins et al. 2017; free bits: Kingma et al. 2016, eq. 15.
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
        check_beta(self.beta)?;
        if !(self.free_nats >= 0.0 && self.free_nats.is_finite()) {
            return Err(Error::config("free_nats", format!("is {}; it must be a number that is not negative", self.free_nats)));
        }
        Ok(())
    }

    pub(crate) fn evaluate(&self, vae: &Vae, batch: &Batch, kl_weight: f64, noise: &mut Noise) -> Result<Evaluation> {
        let posterior = vae.posterior(batch);
        let posterior = posterior.as_ref();
        let weight = if planted("vae_beta_ignored") { 1.0 } else { self.beta * kl_weight };
        if let (Some(log_q), Some(kl)) = (posterior.log_probabilities(), vae.parts.prior.kl(posterior)) {
            let pushed = self.floored(vae, posterior, batch, &kl)? * weight;
            return summation::elbo(vae, batch, &log_q, &kl, &pushed)
                .ok_or_else(|| Error::config("posterior", "is discrete, but the prior is not: choose a categorical prior"));
        }
        let Draws { z, log_q } = posterior.draw(self.draws, noise);
        let closed = match self.kl {
            KlTerm::Analytic => vae.parts.prior.kl(posterior),
            _ => None,
        };
        let (reconstruction, kl) = match closed {
            Some(kl) => (mean_over_draws(&vae.log_likelihood(&z, batch)), kl),
            None => {
                let joint = vae.log_joint(&z, batch);
                let log_q = match self.kl {
                    KlTerm::Analytic | KlTerm::Draws => log_q,
                    KlTerm::StickingTheLanding => posterior.detach().log_prob(&z).ok_or_else(|| {
                        let message = "sticking_the_landing needs log q of given z, which this posterior has not: use draws";
                        Error::config("kl", message)
                    })?,
                };
                (mean_over_draws(&joint.log_likelihood), mean_over_draws(&(log_q - &joint.log_prior)))
            }
        };
        let surrogate = &reconstruction - self.floored(vae, posterior, batch, &kl)? * weight;
        let (reconstruction, kl) = (reconstruction.detach(), kl.detach());
        Ok(Evaluation { surrogate, bound: &reconstruction - &kl, reconstruction, kl })
    }

    /// The KL term of what is maximised: itself, or with free nats Σ_l max(λ, mean over the batch of KL_l), the same for every row.
    fn floored(&self, vae: &Vae, posterior: &dyn Posterior, batch: &Batch, kl: &Tensor) -> Result<Tensor> {
        if self.free_nats == 0.0 {
            return Ok(kl.shallow_clone());
        }
        let Some(by_latent) = vae.parts.prior.kl_by_latent(posterior) else {
            let message = "needs a KL that is a sum over latents: a diagonal posterior with a standard normal prior";
            return Err(Error::config("free_nats", message));
        };
        let mean = match &batch.weights {
            // a row of weight 0 is not there
            Some(w) => (by_latent * w.unsqueeze(1)).sum_dim_intlist([0].as_slice(), false, None) / w.sum(None::<Kind>).clamp_min(1e-30),
            None => by_latent.mean_dim([0].as_slice(), false, None),
        };
        Ok(mean.clamp_min(self.free_nats).sum(None::<Kind>).expand_as(kl))
    }
}

pub(crate) fn check_beta(beta: f64) -> Result<()> {
    if !(beta >= 0.0 && beta.is_finite()) {
        return Err(Error::config("beta", format!("is {beta}; it must be a number that is not negative")));
    }
    Ok(())
}

/// (k, N) → (N).
pub(crate) fn mean_over_draws(values: &Tensor) -> Tensor {
    if values.size()[0] == 1 { values.squeeze_dim(0) } else { values.mean_dim([0].as_slice(), false, None) }
}
