//! Latent-variable models with closed-form mathematics, on ndarray.
//!
//! A latent-variable model explains an observed x by an unobserved z: p(x, z) = p(z) p(x | z). Five tasks, one vocabulary
//! ([`model`]): generate, find the MAP latent, infer p(z | x), evaluate log p(x), estimate parameters ([`mod@fit`]).
//!
//! This crate does no input or output, prints nothing, owns no thread pool and keeps no global state.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bound;
pub mod conjugate;
pub mod criteria;
pub mod dist;
pub mod error;
pub mod fa;
pub mod file;
pub mod fit;
pub mod gmm;
pub mod imputation;
pub mod linalg;
pub mod linear_gaussian;
pub mod model;
pub mod moments;
#[doc(hidden)]
pub mod mutant;
pub mod ppca;
pub mod random;
pub mod regression;
pub mod rows;
pub mod selection;
mod simd;
pub mod special;
mod squarem;
pub mod sweep;

pub use error::{Error, ErrorKind, Result};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
