//! Two layers of latents.

use super::{Prior, StandardNormal};
use crate::error::Result;
use crate::flow::Perceptron;
use crate::nets::Activation;
use crate::noise::Noise;
use crate::parameters::Scope;
use crate::posterior::Posterior;
use crate::posterior::diagonal::DiagonalPosterior;
use tch::Tensor;

/// p(z) = p(z₂) p(z₁ | z₂) with z = (z₁, z₂) in one vector: z₂ ~ N(0, I), z₁ | z₂ ~ N(m(z₂), diag e^{v(z₂)}) by a net.
///
/// Kingma & Welling 2014 with two stochastic layers, as in Burda et al. 2016, figure 1; the posterior that goes with it is
/// [`posterior::Hierarchical`](crate::posterior::Hierarchical). KL terms are by draws.
#[derive(Debug)]
pub struct Hierarchical {
    lower: i64,
    upper: StandardNormal,
    net: Perceptron,
}

impl Hierarchical {
    /// Of L₁ lower and L₂ upper latents, with hidden layers of these widths from z₂ to z₁.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, lower: i64, upper: i64, hidden: &[i64], activation: Activation) -> Result<Self> {
        let net = Perceptron::new(scope, upper, hidden, 2 * lower, activation, None)?;
        Ok(Hierarchical { lower, upper: StandardNormal { latents: upper }, net })
    }

    /// p(z₁ | z₂) of z₂ (…, L₂).
    fn lower(&self, upper: &Tensor) -> DiagonalPosterior {
        DiagonalPosterior::of(&self.net.forward(upper), self.lower)
    }
}

impl Prior for Hierarchical {
    fn latents(&self) -> i64 {
        self.lower + self.upper.latents
    }

    fn log_prob(&self, z: &Tensor) -> Tensor {
        let (lower, upper) = (z.narrow(-1, 0, self.lower), z.narrow(-1, self.lower, self.upper.latents));
        self.upper.log_prob(&upper) + self.lower(&upper).log_density(&lower)
    }

    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor {
        let upper = self.upper.sample(n, noise);
        let lower = self.lower(&upper).draw(1, noise).z.squeeze_dim(0);
        Tensor::cat(&[lower, upper], -1)
    }
}
