//! Training steps written out by hand for the models that are trained most: perceptrons, a diagonal Gaussian q, a standard normal prior.
//!
//! What libtorch does in a hundred operations with a graph behind them is here two passes over the batch, on this thread and
//! the others of a team ([`threads`]): one goes forward and backward through the model with sixteen rows side by side ([`lanes`], [`panel`]), one makes the gradient of a few rows of
//! a weight matrix at a time and steps along it at once ([`update`]). No operation of libtorch is called, whose threads would
//! contend with ours for the processor.
//!
//! *Which models.* [`Elbo`](crate::objective::Elbo) with any number of draws, any β and warm-up, with the KL term in closed form and no free
//! bits; encoder and decoder [`Mlp`](crate::nets::Mlp) of any depth with any activation but GELU; Bernoulli and Gaussian likelihoods,
//! standardised or not, with any variance; any input transformation, masks, conditions, missing entries and row weights; f32 and f64 on the CPU.
//! Everything else is differentiated by libtorch. Which way is taken follows from the model alone. Both are the same sums of the same
//! terms with the same draws, so results agree to rounding, and either way goes on bit for bit from a checkpoint. Here they do not depend on the
//! number of threads either.
//!
//! *Steps that are skipped.* A step whose gradient is not finite must leave the parameters alone, but here the step is taken while
//! parts of the gradient are still to come. It is taken only after |∂W_ij| ≤ Σ_n |δ_ni| Σ_n |h_nj| has shown that all of it is finite; where
//! that can't be shown, and where the gradient may have to be shortened, the gradient is made whole first. Zeros of the encoder's input are passed
//! over only if all parameters were finite at the start: a weight of infinity must spoil a step wherever it stands.

mod density;
mod elementary;
mod lanes;
mod latent;
mod panel;
mod perceptron;
mod plan;
mod product;
#[cfg(test)]
mod proof;
mod rows;
mod step;
mod threads;
mod update;

use super::{State, Training};
use crate::data::Dataset;
use crate::error::Result;
use step::Stepper;
use tch::Kind;

/// The direct way for one model, with its buffers.
pub(super) enum Direct {
    Single(Stepper<f32>),
    Double(Stepper<f64>),
}

impl Direct {
    /// `None` where the model is left to libtorch.
    pub(super) fn of(training: &Training, state: &State, data: &Dataset) -> Option<Self> {
        match data.rows.x.kind() {
            Kind::Float => Stepper::new(training, &state.vae, data).map(Direct::Single),
            Kind::Double => Stepper::new(training, &state.vae, data).map(Direct::Double),
            _ => None,
        }
    }

    /// One step on the rows of these numbers.
    ///
    /// # Errors
    /// As [`Training::run`].
    pub(super) fn step(&mut self, training: &Training, state: &mut State, numbers: &[i64], at: (f64, f64), data: &Dataset) -> Result<()> {
        match self {
            Direct::Single(stepper) => stepper.step(training, state, numbers, at, data),
            Direct::Double(stepper) => stepper.step(training, state, numbers, at, data),
        }
    }
}
