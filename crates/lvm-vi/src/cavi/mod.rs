//! Conjugate models in closed form: coordinate ascent, and stochastic natural-gradient ascent on the same natural parameters.
//!
//! With a factorised q(z) = Π_j q_j(z_j), the ELBO is largest in one factor, the others held, at
//!
//! ```text
//! log q_j*(z_j) = E_{q_−j}[log p(x, z)] + const                                                              PRML 10.9
//! ```
//!
//! In a conjugate exponential family this is an update of natural parameters η_j in closed form. Stochastic variational inference moves
//! only part of the way, η ← (1 − ρ_t) η + ρ_t η̂_t, to an η̂_t made from a minibatch as if it stood for all rows (Hoffman, Blei, Wang &
//! Paisley 2013); with all rows and ρ = 1 that is coordinate ascent again.
//!
//! A conjugate model of one's own is written as a [`conjugate::ConjugateModel`] and gets both.

pub mod bayesian_ppca;
pub mod conjugate;
pub mod document_source;
pub mod documents;
pub mod gaussian_target;
pub mod lda;
pub mod linear_regression;
pub mod minibatch;
pub mod mixture;
pub mod multinomial_mixture;
