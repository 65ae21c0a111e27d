//! Two layers of latents.

use super::diagonal::DiagonalPosterior;
use super::{Draws, Family, Posterior};
use crate::error::Result;
use crate::flow::Perceptron;
use crate::nets::Activation;
use crate::noise::Noise;
use crate::parameters::Scope;
use tch::Tensor;

/// q(z | x) = q(z₁ | x) q(z₂ | z₁) with z = (z₁, z₂) in one vector, both diagonal Gaussians, the second by a net of z₁.
///
/// Features are m (L₁) and v (L₁) of z₁. It goes with the [hierarchical prior](crate::prior::Hierarchical) p(z₂) p(z₁ | z₂) and a decoder
/// that [sees z₁ only](crate::nets::Decoder).
#[derive(Debug)]
pub struct Hierarchical {
    lower: i64,
    upper: i64,
    net: Perceptron,
}

impl Hierarchical {
    /// Of L₁ lower and L₂ upper latents, with hidden layers of these widths from z₁ to z₂.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, lower: i64, upper: i64, hidden: &[i64], activation: Activation) -> Result<Self> {
        Ok(Hierarchical { lower, upper, net: Perceptron::new(scope, lower, hidden, 2 * upper, activation, None)? })
    }
}

impl Family for Hierarchical {
    fn n_features(&self) -> i64 {
        2 * self.lower
    }

    fn at(&self, features: &Tensor) -> Box<dyn Posterior> {
        Box::new(HierarchicalPosterior { lower: DiagonalPosterior::of(features, self.lower), upper: self.upper, net: self.net.share() })
    }

    fn share(&self) -> Box<dyn Family> {
        Box::new(Hierarchical { lower: self.lower, upper: self.upper, net: self.net.share() })
    }
}

/// q(z₁ | x) q(z₂ | z₁) of N rows.
#[derive(Debug)]
pub struct HierarchicalPosterior {
    /// q(z₁ | x).
    pub lower: DiagonalPosterior,
    upper: i64,
    net: Perceptron,
}

impl HierarchicalPosterior {
    /// q(z₂ | z₁) of z₁ (k, N, L₁), a distribution for every draw.
    fn upper(&self, lower: &Tensor) -> DiagonalPosterior {
        DiagonalPosterior::of(&self.net.forward(lower), self.upper)
    }
}

impl Posterior for HierarchicalPosterior {
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws {
        let lower = self.lower.draw(k, noise);
        // one draw of z₂ for each of z₁: (1, k, N, L₂)
        let upper = self.upper(&lower.z).draw(1, noise);
        let z = Tensor::cat(&[&lower.z, &upper.z.squeeze_dim(0)], -1);
        Draws { z, log_q: lower.log_q + upper.log_q.squeeze_dim(0) }
    }

    fn log_prob(&self, z: &Tensor) -> Option<Tensor> {
        let latents = self.lower.mean.size()[1];
        let (lower, upper) = (z.narrow(-1, 0, latents), z.narrow(-1, latents, self.upper));
        Some(self.lower.log_prob(&lower)? + self.upper(&lower).log_prob(&upper)?)
    }

    fn detach(&self) -> Box<dyn Posterior> {
        Box::new(HierarchicalPosterior { lower: self.lower.detached(), upper: self.upper, net: self.net.detach() })
    }

    fn mode(&self) -> Tensor {
        let lower = self.lower.mode();
        let upper = self.upper(&lower).mode();
        Tensor::cat(&[lower, upper], -1)
    }
}
