//! Latent-variable models whose posterior has no closed form.

pub mod bernoulli_factor;

pub use bernoulli_factor::BernoulliFactor;
