//! Factor analysis: correlated columns explained by a few common factors, each column with noise of its own.

mod bartlett;
mod concentrated;
mod coordinate;
mod em;
mod fisher;
mod jacobi;
mod krylov;
mod likelihood_ratio;
mod maximum_likelihood;
mod missing;
mod model;
mod quasi_newton;
pub mod rotation;
mod sample_covariance;
mod selection;
mod solution;
mod start;

pub use bartlett::BartlettScores;
pub use likelihood_ratio::LikelihoodRatio;
pub use maximum_likelihood::{FaMl, Method};
pub use model::{FactorAnalysis, Rotated};
pub use rotation::{Normalization, Rotation};
pub use selection::FaSelect;
pub use start::Start;

/// ((D − q)² − D − q) / 2: entries of the covariance matrix less free parameters of a factor model. Below zero the parameters are not
/// determined by the covariance.
///
/// ```
/// assert_eq!(lvm_core::fa::degrees_of_freedom(6, 2), 4);
/// ```
pub fn degrees_of_freedom(columns: usize, factors: usize) -> i64 {
    let (d, q) = (columns as i64, factors as i64);
    ((d - q).pow(2) - d - q) / 2
}
