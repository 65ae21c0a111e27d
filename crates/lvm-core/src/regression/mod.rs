//! Linear regression y = Xβ + ε, ε ~ N(0, σ²): least squares by QR with iterative refinement, and the exact posterior under a flat prior.

mod double_length;
mod least_squares;
mod posterior;

pub use least_squares::{LeastSquares, least_squares};
pub use posterior::FlatPosterior;
