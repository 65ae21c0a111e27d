//! Gaussian mixtures: the model ([`GaussianMixture`]), maximum likelihood by EM ([`GmmEm`]), choice of K and covariance
//! ([`GmmSelect`]).

mod columns;
mod covariance;
mod em;
mod evaluation;
mod expectation;
mod floor;
mod kernel;
mod maximisation;
mod missing;
mod mixture;
mod posterior;
mod prepared;
mod quadratic;
mod query;
mod reseed;
mod select;
mod start;
mod statistics;

pub use covariance::{CovarianceType, Covariances};
pub use em::{GmmEm, GmmState, Start};
pub use mixture::GaussianMixture;
pub use posterior::ComponentPosterior;
pub use quadratic::{QuadraticScores, ResponsibilitySums, SecondMoments, Whitener};
pub use select::GmmSelect;
