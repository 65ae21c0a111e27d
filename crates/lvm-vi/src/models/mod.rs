//! Models supplied with the crate.

mod design;
pub mod linear_regression;
pub mod logistic;
pub mod poisson;

pub use linear_regression::LinearRegression;
pub use logistic::LogisticRegression;
pub use poisson::PoissonRegression;
