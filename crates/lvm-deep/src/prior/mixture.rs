//! The mixture of Gaussians.

use super::Prior;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use crate::posterior::categorical;
use crate::posterior::diagonal::LOG_VARIANCE_LIMIT;
use std::f64::consts::PI;
use tch::{Kind, Tensor};

/// p(z) = Σ_k π_k N(z; μ_k, diag e^{v_k}).
///
/// Log-weights are log_softmax(a) with a (K), μ and v are (K, L); trained, or held where they start and to be set by
/// [`Parameters::set`](crate::parameters::Parameters::set) (`prior.logits`, `prior.means`, `prior.log_variances`). KL terms are by draws.
#[derive(Debug)]
pub struct Mixture {
    logits: Tensor,
    means: Tensor,
    log_variances: Tensor,
}

impl Mixture {
    /// Of K components over L latents: equal weights, means drawn from N(0, I), variances 1.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, latents: i64, components: i64, trained: bool) -> Result<Self> {
        let mut make = |name: &str, shape: &[i64], start: Start| match trained {
            true => scope.trained(name, shape, start),
            false => scope.fixed_at(name, shape, start),
        };
        Ok(Mixture {
            logits: make("logits", &[components], Start::Zero)?,
            means: make("means", &[components, latents], Start::Normal(1.0))?,
            log_variances: make("log_variances", &[components, latents], Start::Zero)?,
        })
    }

    fn log_variances(&self) -> Tensor {
        self.log_variances.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
    }

    /// log π_k + log N(z; μ_k, diag e^{v_k}), (…, K).
    fn log_joint(&self, z: &Tensor) -> Tensor {
        let v = self.log_variances();
        let square = (z.unsqueeze(-2) - &self.means).square() * (-&v).exp();
        (square + v + (2.0 * PI).ln()).sum_dim_intlist([-1].as_slice(), false, None::<Kind>) * -0.5 + self.logits.log_softmax(-1, None)
    }

    /// The component that z (…, L) came from: p(k | z), (…, K).
    pub fn responsibilities(&self, z: &Tensor) -> Tensor {
        self.log_joint(z).softmax(-1, None)
    }
}

impl Prior for Mixture {
    fn latents(&self) -> i64 {
        self.means.size()[1]
    }

    fn log_prob(&self, z: &Tensor) -> Tensor {
        self.log_joint(z).logsumexp([-1].as_slice(), false)
    }

    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor {
        let chosen = categorical::one_hot_of_largest(&(self.logits.detach() + categorical::gumbel(&[n, self.logits.size()[0]], noise)));
        let (mean, v) = (chosen.matmul(&self.means), chosen.matmul(&self.log_variances()));
        mean + (v * 0.5).exp() * noise.normal(&[n, self.latents()])
    }
}
