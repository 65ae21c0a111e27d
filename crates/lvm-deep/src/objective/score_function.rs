//! The score-function gradient.

use super::Evaluation;
use super::elbo::{check_beta, mean_over_draws};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::posterior::Draws;
use crate::vae::Vae;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The evidence lower bound with ∇_φ E_q\[f\] = E_q\[(f − b) ∇_φ log q\]: for any q that evaluates log q, discrete ones included, without a
/// derivative in z.
///
/// The control variate b of a draw is the mean of f over the other draws of the same row: the gradient stays unbiased, because they are
/// independent. f is log p(x | z), with the KL term in closed form, or with β (log p(z) − log q(z | x)) added where there is none.
/// Mnih & Rezende 2016, §2.2; Kool, van Hoof & Welling 2019.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreFunction {
    /// Draws a row, at least 2.
    pub draws: i64,
    /// β, 1 for the bound itself. What is reported as the bound has β = 1 always.
    pub beta: f64,
}

impl Default for ScoreFunction {
    fn default() -> Self {
        ScoreFunction { draws: 4, beta: 1.0 }
    }
}

impl ScoreFunction {
    pub(crate) fn check(&self) -> Result<()> {
        if self.draws < 2 {
            return Err(Error::config(
                "draws",
                format!("is {}; the other draws are the control variate, so at least 2 are needed", self.draws),
            ));
        }
        check_beta(self.beta)
    }

    pub(crate) fn evaluate(&self, vae: &Vae, batch: &Batch, kl_weight: f64, noise: &mut Noise) -> Result<Evaluation> {
        let posterior = vae.posterior(batch);
        let Draws { z, .. } = tch::no_grad(|| posterior.draw(self.draws, noise));
        let Some(log_q) = posterior.log_prob(&z) else {
            return Err(Error::config("objective", "score_function needs log q of given z, which this posterior has not: use elbo"));
        };
        let joint = vae.log_joint(&z, batch);
        let weight = self.beta * kl_weight;
        let (kl, f, pushed) = match vae.parts.prior.kl(posterior.as_ref()) {
            Some(kl) => (kl.shallow_clone(), joint.log_likelihood.detach(), &joint.log_likelihood - kl * weight),
            None => {
                let kl = &log_q - &joint.log_prior;
                (mean_over_draws(&kl), (&joint.log_likelihood - &kl * weight).detach(), &joint.log_likelihood + &joint.log_prior * weight)
            }
        };
        // f_k − mean of the others = (S f_k − Σ f)/(S − 1)
        let s = self.draws as f64;
        let centred = (&f * s - f.sum_dim_intlist([0].as_slice(), true, None::<Kind>)) / (s - 1.0);
        let surrogate = mean_over_draws(&(pushed + centred * log_q));
        let (reconstruction, kl) = (mean_over_draws(&joint.log_likelihood.detach()), kl.detach());
        Ok(Evaluation { surrogate, bound: &reconstruction - &kl, reconstruction, kl })
    }
}

/// Σ_k (L − L₋ₖ) log q(z_k), the score term of the importance-weighted bound L = log (1/K) Σ_i w_i, with L₋ₖ the bound in which w_k is replaced
/// by the geometric mean of the others. Mnih & Rezende 2016, eqs 8 to 10 (VIMCO). (K, N) → (N)
pub(crate) fn importance_weighted(log_w: &Tensor, log_q: &Tensor) -> Tensor {
    let log_w = log_w.detach();
    let k = log_w.size()[0];
    let log_k = (k as f64).ln();
    let bound = log_w.logsumexp([0].as_slice(), false) - log_k;
    let signal = if k == 1 {
        bound.unsqueeze(0)
    } else {
        let others = (log_w.sum_dim_intlist([0].as_slice(), true, None::<Kind>) - &log_w) / (k - 1) as f64;
        // (K, K, N): in place k the weights with the k-th replaced
        let own = Tensor::eye(k, (log_w.kind(), log_w.device())).unsqueeze(-1);
        let replaced = log_w.unsqueeze(0) + own * (others - &log_w).unsqueeze(0);
        bound - (replaced.logsumexp([1].as_slice(), false) - log_k)
    };
    (signal * log_q).sum_dim_intlist([0].as_slice(), false, None::<Kind>)
}
