//! Estimators of the gradient of the bound ELBO(λ) = E_q[log p(z, data) − log q(z; λ)], each unbiased for a fixed target.
//!
//! | estimator | needs | zero variance at q = p | file |
//! |---|---|---|---|
//! | [`Gradient::QuadraticControl`] | gradient of log p, reparameterised q | yes, once it has learnt; near 0 at the best q for a p that is nearly Gaussian | `quadratic_control` |
//! | [`Gradient::PathwiseClosedEntropy`] | the same | no | `pathwise` |
//! | [`Gradient::Pathwise`] | the same | no | `pathwise` |
//! | [`Gradient::StickingTheLanding`] | the same | yes | `sticking_the_landing` |
//! | [`Gradient::ScoreFunction`] | log p only, any q | yes with a control variate | `score_function` |
//! | [`Gradient::Importance`] | gradient of log p, reparameterised q; the bound is IWAE_k | yes | `importance` |

mod draw;
mod importance;
mod moments;
mod pathwise;
mod quadratic_control;
mod score_function;
mod sticking_the_landing;

pub(crate) use draw::{Tally, check_dimension, check_positive, next_value};
pub use moments::{Moments, moments, moments_of};
pub use score_function::score_function;

use crate::family::Family;
use crate::target::LogDensityGrad;
use lvm_core::{ErrorKind, Result};
use ndarray::Array2;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How the gradient of the bound is estimated from draws.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Gradient {
    /// [`PathwiseClosedEntropy`](Gradient::PathwiseClosedEntropy) less the noise that a quadratic model of log p explains, and plus the
    /// mean of what is taken away: the default. The model is fitted to earlier draws (least squares on d + 1 numbers for each entry of
    /// ∇ log p, first after 2 (d + 2) draws), and used as far as they say that it helps. Where the posterior is nearly Gaussian hardly
    /// any noise is left in any family; correlated latents under a [`MeanField`](crate::family::MeanField) gain most. Costs O(d²) a draw;
    /// beyond 256 latents, and for as long as draws have to be left out, it is `PathwiseClosedEntropy`.
    #[default]
    QuadraticControl,
    /// Reparameterised log joint, entropy in closed form: the noise of the entropy is gone.
    PathwiseClosedEntropy,
    /// Reparameterised, log joint and log q by the same draws.
    Pathwise,
    /// Reparameterised, without the score term, whose mean is zero: exact at q = p. To be preferred when the family can come near the
    /// posterior; it has the higher variance when it can't.
    StickingTheLanding,
    /// log p at the draws only, no gradient of it.
    ScoreFunction {
        /// What is subtracted to lower the variance.
        control: Control,
    },
    /// The bound IWAE_k instead of the ELBO, doubly reparameterised. One draw is a group of k particles.
    Importance {
        /// k.
        particles: usize,
    },
}

/// The control variate of the score-function estimator: a baseline b that does not depend on the draw it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Control {
    /// b = 0.
    None,
    /// b = the mean over the other draws of the step (at least two draws).
    #[default]
    LeaveOneOut,
    /// b = the running mean over earlier draws, held in a [`Memory`].
    RunningMean {
        /// The weight of the past, in [0, 1); 0.9 remembers about ten draws.
        decay: f64,
    },
}

/// What an estimator carries from one step to the next. Part of the state of a run: with it a resumed run goes on as if it had never stopped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The running mean of log p(z) − log q(z); none before the first step.
    pub baseline: Option<f64>,
    /// The model of [`Gradient::QuadraticControl`].
    #[serde(default)]
    quadratic: quadratic_control::QuadraticControl,
}

impl Memory {
    /// L (d, d) with L Lᵀ = −H, the curvature of log p by the model of [`Gradient::QuadraticControl`]: (L Lᵀ)⁻¹ g is the step of Newton's
    /// method along a gradient g. None without a model, or where it has no maximum.
    pub(crate) fn curvature(&self, d: usize) -> Option<Array2<f64>> {
        let slope = self.quadratic.slope(d)?;
        let precision = Array2::from_shape_fn((d, d), |(i, j)| -0.5 * (slope[[i, j]] + slope[[j, i]]));
        lvm_core::linalg::cholesky(precision.view()).ok()
    }
}

/// What came of one estimate of the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// The estimate of the bound from the same draws, in nats.
    pub elbo: f64,
    /// Draws used (groups of k for [`Gradient::Importance`]).
    pub draws: usize,
    /// Draws left out, for a recoverable error or a value or gradient that is NaN or infinite. The estimate is then of the bound of q
    /// restricted to the usable region (module [`bound`](crate::bound)).
    pub skipped: usize,
}

impl Gradient {
    /// An estimate of the gradient of the bound in λ, written over `gradient` (parameters), from `draws` draws.
    ///
    /// `memory` belongs to the run, not to the estimator: `Memory::default()` at the start, then always the same one.
    ///
    /// # Errors
    /// If the dimensions of q, target and `gradient` don't fit, `draws` or k is 0, there are too few draws for the control variate, the
    /// target fails for good ([`ErrorKind::Density`]), or every draw had to be left out ([`ErrorKind::NoUsableDraw`]).
    pub fn estimate<F: Family, T: LogDensityGrad + ?Sized>(
        &self,
        q: &F,
        target: &T,
        draws: usize,
        memory: &mut Memory,
        rng: &mut dyn Rng,
        gradient: &mut [f64],
    ) -> Result<Drawn> {
        check_dimension(q, target)?;
        check_positive("draws", draws)?;
        let (expected, found) = (q.parameters().len(), gradient.len());
        if expected != found {
            return Err(ErrorKind::Shape { what: "buffer of the gradient", expected, found }.into());
        }
        gradient.fill(0.0);
        match *self {
            Gradient::QuadraticControl => quadratic_control::estimate(q, target, draws, &mut memory.quadratic, rng, gradient),
            Gradient::PathwiseClosedEntropy => pathwise::closed_entropy(q, target, draws, rng, gradient),
            Gradient::Pathwise => pathwise::total(q, target, draws, rng, gradient),
            Gradient::StickingTheLanding => sticking_the_landing::estimate(q, target, draws, rng, gradient),
            Gradient::ScoreFunction { control } => score_function(q, target, control, draws, memory, rng, gradient),
            Gradient::Importance { particles } => importance::estimate(q, target, particles, draws, rng, gradient),
        }
    }
}

/// The mean over the draws used, of what was summed over them.
fn mean(sum: f64, tally: &Tally, gradient: &mut [f64]) -> Result<Drawn> {
    let weight = tally.weight()?;
    gradient.iter_mut().for_each(|g| *g *= weight);
    // E_q[log w | usable] + log q(usable)
    let share = tally.used as f64 / (tally.used + tally.skipped) as f64;
    Ok(Drawn { elbo: sum * weight + share.ln(), draws: tally.used, skipped: tally.skipped })
}
