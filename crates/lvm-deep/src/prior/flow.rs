//! A Gaussian pulled through a flow.

use super::{Prior, StandardNormal};
use crate::error::Result;
use crate::flow::{Autoregressive, Coupling, Flow, Gate, Made, Reverse, forward_all, inverse_all};
use crate::nets::Activation;
use crate::noise::Noise;
use crate::parameters::Scope;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The steps of a [`FlowPrior`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Affine couplings: density and draws take one pass a step. Dinh et al. 2017.
    #[default]
    Coupling,
    /// Masked autoregressive: more is said in a step, but draws take L passes. Papamakarios et al. 2017.
    Autoregressive,
}

/// p(z) = N(u; 0, I) |det ∂u/∂z| with u = f_T ∘ … ∘ f₁(z): f runs from z to u, so that densities take one pass whatever the step.
///
/// The order of the latents is reversed between steps. Nets have tanh between layers, so the density is smooth. KL terms are by draws.
pub struct FlowPrior {
    steps: Vec<Box<dyn Flow>>,
    base: StandardNormal,
}

impl FlowPrior {
    /// Of T steps over L latents, with hidden layers of these widths in the net of every step.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, latents: i64, step: Step, steps: i64, hidden: &[i64]) -> Result<Self> {
        let mut made: Vec<Box<dyn Flow>> = Vec::new();
        for t in 0..steps {
            if t > 0 {
                made.push(Box::new(Reverse));
            }
            let mut scope = scope.at(&t.to_string());
            made.push(match step {
                Step::Coupling => Box::new(Coupling::new(&mut scope, latents, hidden, Activation::Tanh)?),
                Step::Autoregressive => {
                    Box::new(Autoregressive::new(Made::new(&mut scope, latents, 0, hidden, Activation::Tanh)?, None, Gate::Affine))
                }
            });
        }
        Ok(FlowPrior { steps: made, base: StandardNormal { latents } })
    }
}

impl Prior for FlowPrior {
    fn latents(&self) -> i64 {
        self.base.latents
    }

    fn log_prob(&self, z: &Tensor) -> Tensor {
        let (u, log_det) = forward_all(&self.steps, z);
        self.base.log_prob(&u) + log_det
    }

    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor {
        let u = self.base.sample(n, noise);
        // invariant: couplings, autoregressive steps and reversals all have an inverse
        inverse_all(&self.steps, &u).expect("every step of a flow prior can be inverted").0
    }
}
