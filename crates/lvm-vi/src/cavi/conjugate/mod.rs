//! Conjugate models of one's own: global latents by their natural parameters, local latents summed out row by row.
//!
//! Who writes a [`ConjugateModel`] gives the prior η₀, the family of the global latents, and for a row the expected statistics and the
//! bound that its local step leaves. From that come
//!
//! ```text
//! ELBO(η) = Σ_n w_n F_n − KL(q(θ; η) ‖ p(θ; η₀))
//! coordinate ascent       η ← η₀ + Σ_n w_n E[s_n]
//! stochastic ascent       η ← (1 − ρ_t) η + ρ_t (η₀ + N/B Σ_{n in batch} w_n E[s_n])
//! ```
//!
//! as [`elbo`], [`ConjugateAscent`] and [`StochasticConjugateAscent`] (Hoffman, Blei, Wang & Paisley 2013). The closed models beside this
//! module have kernels and parameters of their own, which are faster and keep digits that sums of x² about 0 lose.

mod ascent;
mod exponential_family;
mod factor;
mod model;
mod statistics_check;
mod stochastic;

pub use ascent::{ConjugateAscent, ConjugateState, GlobalStart};
pub use exponential_family::{ExponentialFamily, Product};
pub use factor::{Factor, Natural};
pub use model::{ConjugateModel, LocalSums, elbo};
pub use statistics_check::{StatisticsCheck, check_statistics};
pub use stochastic::{StochasticConjugateAscent, StochasticConjugateState};
