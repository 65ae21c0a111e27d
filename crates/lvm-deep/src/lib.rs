//! Neural latent-variable models on libtorch: variational autoencoders for tables, images, sequences and counts, with the same five tasks
//! as every other model of this family and tied to the exact ones: a linear autoencoder must end at probabilistic PCA.
//!
//! ```text
//! log p(x) ≥ ELBO = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))
//! ```
//!
//! From the bottom up: [`nets`] are functions of tensors, [`likelihood`], [`posterior`] and [`prior`] are the densities they parametrise,
//! [`vae`] puts them together, [`objective`] says what is maximised, [`train`] maximises it, and [`model`] lends the result the traits of
//! `lvm-core`. Everything is in nats, normalised, with every constant kept, and sums (never averages) over columns and latents.
//!
//! Nothing here reads libtorch's global random state: every draw comes from a stream derived from the seed, so that a run is repeated, and
//! resumed, bit for bit on a CPU with the same number of threads.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod architecture;
pub mod checkpoint;
pub mod data;
pub mod device;
pub mod error;
pub mod evidence;
pub mod flow;
pub mod likelihood;
pub mod model;
pub mod nets;
pub mod noise;
pub mod objective;
pub mod optimizer;
pub mod parameters;
pub mod posterior;
pub mod prior;
mod raw;
pub mod tasks;
pub mod tensor;
pub mod train;
pub mod vae;

pub use error::{Error, ErrorKind, Result};
pub use tch::{Kind, Tensor};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
