//! The Bayesian Gaussian mixture: coordinate ascent ([`BayesianMixture`]), stochastic natural gradients
//! ([`StochasticBayesianMixture`]) and what both return ([`BayesianMixtureModel`]).

mod coordinate_ascent;
mod elbo;
mod factors;
mod model;
mod parameter_draws;
mod predictive;
mod prior;
mod stochastic;
mod weights;

pub use coordinate_ascent::{BayesianMixture, BayesianMixtureState, MixtureStart};
pub use elbo::ElboParts;
pub use factors::GaussianWishart;
pub use model::BayesianMixtureModel;
pub use prior::{ComponentPrior, PriorSettings, Scale};
pub use stochastic::{StochasticBayesianMixture, StochasticState};
pub use weights::{WeightFactor, WeightPrior};
