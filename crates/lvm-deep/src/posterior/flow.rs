//! A diagonal Gaussian pushed through a flow.

use super::diagonal::DiagonalPosterior;
use super::{Draws, Family, Posterior};
use crate::error::Result;
use crate::flow::{Autoregressive, Flow, Gate, Made, Planar, Reverse, forward_all, inverse_all};
use crate::nets::Activation;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// Starts of planar parameters that all rows share: small, so that the flow starts close to the identity.
const PLANAR_START: Start = Start::Normal(0.1);

/// T planar steps on a diagonal Gaussian: z = f_T ∘ … ∘ f₁(z₀), log q(z) = log q₀(z₀) − Σ_t log |det ∂f_t/∂z_{t−1}|.
///
/// Features are m (L) and v (L) of the base, then, where the flow is amortised, w (L), u (L) and b of each step. The density of a given z has
/// no closed form: [`Posterior::log_prob`] is `None`. Rezende & Mohamed 2015.
#[derive(Debug)]
pub struct PlanarFlow {
    latents: i64,
    steps: i64,
    /// w (L), u (L) and b as one vector for each step; `None`: the encoder delivers them.
    shared: Option<Vec<Tensor>>,
}

impl PlanarFlow {
    /// Of T steps over L latents, with parameters from the encoder or the same for all rows.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, latents: i64, steps: i64, amortised: bool) -> Result<Self> {
        let shared = match amortised {
            true => None,
            false => Some((0..steps).map(|t| scope.trained(&t.to_string(), &[2 * latents + 1], PLANAR_START)).collect::<Result<_>>()?),
        };
        Ok(PlanarFlow { latents, steps, shared })
    }

    /// w, u and b in one vector (2L + 1), or one for each row (N, 2L + 1).
    fn step(&self, packed: &Tensor) -> Box<dyn Flow> {
        let l = self.latents;
        Box::new(Planar { normal: packed.narrow(-1, 0, l), push: packed.narrow(-1, l, l), offset: packed.select(-1, 2 * l) })
    }
}

impl Family for PlanarFlow {
    fn n_features(&self) -> i64 {
        2 * self.latents + if self.shared.is_some() { 0 } else { self.steps * (2 * self.latents + 1) }
    }

    fn at(&self, features: &Tensor) -> Box<dyn Posterior> {
        let (l, width) = (self.latents, 2 * self.latents + 1);
        let steps = match &self.shared {
            Some(shared) => shared.iter().map(|packed| self.step(packed)).collect(),
            None => (0..self.steps).map(|t| self.step(&features.narrow(-1, 2 * l + t * width, width))).collect(),
        };
        Box::new(FlowPosterior { base: DiagonalPosterior::of(features, l), steps })
    }

    fn share(&self) -> Box<dyn Family> {
        let shared = self.shared.as_ref().map(|s| s.iter().map(Tensor::shallow_clone).collect());
        Box::new(PlanarFlow { latents: self.latents, steps: self.steps, shared })
    }
}

/// T inverse autoregressive steps on a diagonal Gaussian, with the order of the latents reversed between steps.
///
/// Features are m (L) and v (L) of the base, then a context (H) that every step's net is told. Draws take one pass a step; the density of a
/// given z takes L passes a step, one latent after another. Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016, algorithm 1.
#[derive(Debug)]
pub struct InverseAutoregressive {
    latents: i64,
    context: i64,
    steps: Vec<Autoregressive>,
}

impl InverseAutoregressive {
    /// Of T steps over L latents with a context of H numbers and hidden layers of these widths in the net of every step.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, latents: i64, steps: i64, context: i64, hidden: &[i64]) -> Result<Self> {
        let step = |t: i64| {
            let net = Made::new(&mut scope.at(&t.to_string()), latents, context, hidden, Activation::Elu)?;
            Ok(Autoregressive::new(net, None, Gate::Average))
        };
        Ok(InverseAutoregressive { latents, context, steps: (0..steps).map(step).collect::<Result<_>>()? })
    }
}

impl Family for InverseAutoregressive {
    fn n_features(&self) -> i64 {
        2 * self.latents + self.context
    }

    fn at(&self, features: &Tensor) -> Box<dyn Posterior> {
        let context = (self.context > 0).then(|| features.narrow(-1, 2 * self.latents, self.context));
        let mut steps: Vec<Box<dyn Flow>> = Vec::new();
        for (t, step) in self.steps.iter().enumerate() {
            if t > 0 {
                steps.push(Box::new(Reverse));
            }
            steps.push(Box::new(step.with_context(context.as_ref().map(Tensor::shallow_clone))));
        }
        Box::new(FlowPosterior { base: DiagonalPosterior::of(features, self.latents), steps })
    }

    fn share(&self) -> Box<dyn Family> {
        let steps = self.steps.iter().map(|s| s.with_context(None)).collect();
        Box::new(InverseAutoregressive { latents: self.latents, context: self.context, steps })
    }
}

/// A diagonal Gaussian of N rows pushed through a flow.
pub struct FlowPosterior {
    /// Of z₀.
    pub base: DiagonalPosterior,
    /// From z₀ to z.
    pub steps: Vec<Box<dyn Flow>>,
}

impl Posterior for FlowPosterior {
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws {
        let base = self.base.draw(k, noise);
        let (z, log_det) = forward_all(&self.steps, &base.z);
        Draws { z, log_q: base.log_q - log_det }
    }

    fn log_prob(&self, z: &Tensor) -> Option<Tensor> {
        let (base, log_det) = inverse_all(&self.steps, z)?;
        Some(self.base.log_prob(&base)? - log_det)
    }

    fn detach(&self) -> Box<dyn Posterior> {
        Box::new(FlowPosterior { base: self.base.detached(), steps: self.steps.iter().map(|s| s.detach()).collect() })
    }

    fn mode(&self) -> Tensor {
        let mode = self.base.mode().unsqueeze(0);
        forward_all(&self.steps, &mode).0.squeeze_dim(0)
    }
}
