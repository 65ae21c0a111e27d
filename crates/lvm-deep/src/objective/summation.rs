//! Sums over all values of a discrete latent.

use super::Evaluation;
use crate::data::Batch;
use crate::vae::Vae;
use tch::{Kind, Tensor};

/// log p(x, z = k) of every value k of a discrete z and every row, by its two terms.
pub struct Summation {
    /// log p(x_n | z = k), (K, N).
    pub log_likelihood: Tensor,
    /// log p(z = k), (K).
    pub log_prior: Tensor,
}

impl Summation {
    /// log p(x, z = k), (K, N).
    pub fn log_joint(&self) -> Tensor {
        &self.log_likelihood + self.log_prior.unsqueeze(1)
    }

    /// log p(x) = log Σ_k p(x, z = k), (N): exact.
    pub fn log_evidence(&self) -> Tensor {
        self.log_joint().logsumexp([0].as_slice(), false)
    }

    /// log p(z = k | x), (N, K): exact.
    pub fn log_posterior(&self) -> Tensor {
        self.log_joint().log_softmax(0, None).transpose(0, 1)
    }
}

impl Vae {
    /// Evaluates the model at every value of its latent; `None` where z is not discrete. The decoder runs on K rows where its outputs do not
    /// depend on the batch, on K N where they do.
    pub fn summation(&self, batch: &Batch) -> Option<Summation> {
        let values = self.parts.prior.support()?;
        let (k, n) = (values.size()[0], batch.n_rows());
        let outputs = if self.parts.decoder.reads_rows(batch) {
            self.outputs(&values.unsqueeze(1).expand([k, n, -1], false), batch)
        } else {
            // (K, 1, P): the same for all rows
            self.parts.decoder.outputs(&values, batch).unsqueeze(1)
        };
        Some(Summation { log_likelihood: self.log_likelihood_of(&outputs, batch), log_prior: self.parts.prior.log_prob(&values) })
    }
}

/// Σ_k q(k | x) log p(x | k) − β KL, with the KL term as a function of what is given: no draws, no variance.
pub(crate) fn elbo(vae: &Vae, batch: &Batch, log_q: &Tensor, kl: &Tensor, pushed: &Tensor) -> Option<Evaluation> {
    let sum = vae.summation(batch)?;
    let reconstruction = (log_q.exp() * sum.log_likelihood.transpose(0, 1)).sum_dim_intlist([-1].as_slice(), false, None::<Kind>);
    let surrogate = &reconstruction - pushed;
    let (reconstruction, kl) = (reconstruction.detach(), kl.detach());
    Some(Evaluation { surrogate, bound: &reconstruction - &kl, reconstruction, kl })
}
