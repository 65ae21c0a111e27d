//! One of K values.

use super::Prior;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use crate::posterior::{Posterior, categorical};
use tch::{Kind, Tensor};

/// p(z = k) = softmax(a)_k, of one-hot rows z; uniform at the start, and for good where a is not trained.
#[derive(Debug)]
pub struct Categorical {
    /// a (K).
    logits: Tensor,
}

impl Categorical {
    /// Of K values.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, values: i64, trained: bool) -> Result<Self> {
        let logits = match trained {
            true => scope.trained("logits", &[values], Start::Zero)?,
            false => Tensor::zeros([values], (scope.kind(), scope.device())),
        };
        Ok(Categorical { logits })
    }
}

impl Prior for Categorical {
    fn latents(&self) -> i64 {
        self.logits.size()[0]
    }

    fn log_prob(&self, z: &Tensor) -> Tensor {
        (z * self.logits.log_softmax(-1, None)).sum_dim_intlist([-1].as_slice(), false, None::<Kind>)
    }

    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor {
        categorical::one_hot_of_largest(&(self.logits.detach() + categorical::gumbel(&[n, self.latents()], noise)))
    }

    fn support(&self) -> Option<Tensor> {
        Some(Tensor::eye(self.latents(), (self.logits.kind(), self.logits.device())))
    }

    fn kl(&self, q: &dyn Posterior) -> Option<Tensor> {
        let log_q = q.log_probabilities()?;
        // Σ_k q_k (log q_k − log p_k)
        Some((log_q.exp() * (&log_q - self.logits.log_softmax(-1, None))).sum_dim_intlist([-1].as_slice(), false, None::<Kind>))
    }

    fn kl_by_latent(&self, q: &dyn Posterior) -> Option<Tensor> {
        // z is one latent, though it stands as K numbers
        self.kl(q).map(|kl| kl.unsqueeze(-1))
    }
}
