//! Variational inference: the best q(z) of a family for a posterior p(z | x) known up to its normalising constant, and a statement of
//! how far that best is from the posterior.
//!
//! ```text
//! log p(x) = ELBO(q) + KL(q ‖ p(z | x)),   ELBO(q) = E_q[log p(x, z) − log q(z)]
//! ```
//!
//! Three errors are kept apart throughout: of the program (log joint, gradient, value of the bound), of the optimiser (does the run end
//! at the best member q* of the family) and of the family (how far q* is from the posterior).

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod amortized;
pub mod bijection;
pub mod bound;
pub mod cavi;
pub mod check;
pub mod deterministic;
pub mod diagnose;
pub mod estimator;
pub mod expectation;
pub mod family;
pub mod file;
pub mod fit;
pub mod local;
pub mod models;
pub mod optimizer;
#[cfg(feature = "nuts")]
pub mod simulate;
pub mod target;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
