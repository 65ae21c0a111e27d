//! The importance-weighted bound.

use super::elbo::mean_over_draws;
use super::{Evaluation, score_function};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::posterior::Draws;
use crate::vae::Vae;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The gradient with respect to the parameters of q.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IwaeGradient {
    /// Reparameterised once: its signal-to-noise ratio falls as k grows.
    Pathwise,
    /// Doubly reparameterised: Tucker et al. 2019, eq. 8.
    #[default]
    DoublyReparameterized,
}

/// IWAE_k = E[log (1/k) Σ_i p(x, z_i)/q(z_i | x)].
///
/// Burda, Grosse & Salakhutdinov 2016, eq. 8. Of rows with missing entries log p(x, z) is that of the entries that are there, and this is the
/// MIWAE bound of Mattei & Frellsen 2019, eq. 4. Where z is discrete the gradient is by the score function with the control variate of
/// Mnih & Rezende 2016 (VIMCO).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Iwae {
    /// k.
    pub draws: i64,
    /// The gradient of the encoder; the decoder's is the same for both. Of no account where z is discrete.
    #[serde(default)]
    pub gradient: IwaeGradient,
}

impl Iwae {
    pub(crate) fn check(&self) -> Result<()> {
        if self.draws < 1 {
            return Err(Error::config("draws", format!("is {}; at least 1 is needed", self.draws)));
        }
        Ok(())
    }

    pub(crate) fn evaluate(&self, vae: &Vae, batch: &Batch, kl_weight: f64, noise: &mut Noise) -> Result<Evaluation> {
        if kl_weight != 1.0 {
            return Err(Error::config("warm_up", "weights the KL term, which the importance-weighted bound has not: leave it out"));
        }
        let log_k = (self.draws as f64).ln();
        let posterior = vae.posterior(batch);
        let Draws { z, log_q } = posterior.draw(self.draws, noise);
        let (joint, surrogate, log_w);
        let gradient = match posterior.log_probabilities() {
            Some(_) => None,
            None => Some(self.gradient),
        };
        match gradient {
            None => {
                joint = vae.log_joint(&z, batch);
                log_w = &joint.log_likelihood + &joint.log_prior - &log_q;
                surrogate = log_w.logsumexp([0].as_slice(), false) - log_k + score_function::importance_weighted(&log_w, &log_q);
            }
            Some(IwaeGradient::Pathwise) => {
                joint = vae.log_joint(&z, batch);
                log_w = &joint.log_likelihood + &joint.log_prior - &log_q;
                surrogate = log_w.logsumexp([0].as_slice(), false) - log_k;
            }
            Some(IwaeGradient::DoublyReparameterized) => {
                // the decoder sees a copy of z, so that the two paths get weights of their own:
                // ∇θ = Σ w̃ ∇θ log p(x, z),   ∇φ = Σ w̃² (∂ log w/∂z) (∂z/∂φ)
                let copy = z.detach().set_requires_grad(true);
                let Some(log_q_copy) = posterior.detach().log_prob(&copy) else {
                    let message = "doubly_reparameterized needs log q of given z, which this posterior has not: use pathwise";
                    return Err(Error::config("gradient", message));
                };
                joint = vae.log_joint(&copy, batch);
                log_w = &joint.log_likelihood + &joint.log_prior - log_q_copy;
                let normalised = log_w.detach().softmax(0, None);
                let weighted = (&log_w * &normalised).sum_dim_intlist([0].as_slice(), false, None);
                // w̃ ∂ log w/∂z
                let slope = Tensor::run_backward(&[weighted.sum(None::<Kind>)], &[&copy], true, false).swap_remove(0);
                let path = (&z * slope).sum_dim_intlist([-1].as_slice(), false, None) * normalised;
                surrogate = weighted + path.sum_dim_intlist([0].as_slice(), false, None);
            }
        }
        let bound = log_w.detach().logsumexp([0].as_slice(), false) - log_k;
        let reconstruction = mean_over_draws(&joint.log_likelihood.detach());
        let kl = mean_over_draws(&(log_q - &joint.log_prior).detach());
        Ok(Evaluation { surrogate, bound, reconstruction, kl })
    }
}
