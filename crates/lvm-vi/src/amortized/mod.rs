//! Amortized inference: one function for all data, ψ_n = f_φ(x_n), in place of parameters ψ_n for each.
//!
//! ```text
//! log p(x_n) − ELBO(f_φ(x_n)) = [log p(x_n) − max_ψ ELBO(ψ)]  +  [max_ψ ELBO(ψ) − ELBO(f_φ(x_n))]
//!                               approximation gap (family)        amortization gap (encoder)          Cremer, Li & Duvenaud 2018
//! ```

mod affine;
mod encoder;
mod gap;
mod least_squares;
mod network;
mod objective;
mod training;

pub use encoder::{Encoder, EncoderConfig};
pub use gap::{AmortizationGap, Amortized};
pub use least_squares::LinearEncoderNewton;
pub use network::{Activation, Network};
pub use objective::AmortizedGradient;
pub use training::{AmortizedVi, JointAscent, TrainingState};
