//! Models supplied with the crate: regressions as targets over global latents, and a model of binary tables with local ones.

pub mod bernoulli_factor;
mod design;
pub mod linear_regression;
pub mod logistic;
pub mod poisson;
mod single;
mod strips;

pub use bernoulli_factor::BernoulliFactor;
pub use linear_regression::LinearRegression;
pub use logistic::LogisticRegression;
pub use poisson::PoissonRegression;
