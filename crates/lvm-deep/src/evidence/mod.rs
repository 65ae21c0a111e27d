//! log p(x) of every row: bounds by draws, annealed importance sampling, quadrature, and what the gap between them is made of.
//!
//! ```text
//! ELBO  ≤  IWAE_k  ≤  E[log w_AIS]-type lower bounds  ≤  log p(x)  ≤  E[−log(1/w)] of reverse annealing
//! ```
//!
//! Every estimate names its standard error ([`lvm_core::bound::Estimate`]). Draws depend on the seed, the row and the draw alone: rows and
//! draws may be cut into pieces of any size ([`EvaluationMemory`]) and the same numbers are drawn. What a matrix product rounds may depend
//! on how many rows it has, so results for two memory bounds agree to rounding, and for the same bound to the last bit.

pub mod annealed;
pub mod ascent;
pub mod gaps;
mod hamiltonian;
pub mod importance_weighted;
pub mod memory;
pub mod quadrature;
pub(crate) mod row_noise;

pub use annealed::{Annealed, AnnealedEvidence, Path, Sandwich};
pub use ascent::{Ascent, Maximum};
pub use gaps::{Expectation, Gaps, Optimum};
pub use importance_weighted::{Importance, elbo, importance, iwae};
pub use memory::EvaluationMemory;
pub use quadrature::{Quadrature, QuadratureEvidence, elbo_by_quadrature, elbo_by_summation, summation};

use crate::data::Batch;
use crate::tensor::to_values;
use lvm_core::bound::{Bound, Estimate};

/// The rows' estimates with their total under the batch's row weights.
pub(crate) fn bound_of(rows: Vec<Estimate>, batch: &Batch, draws: usize) -> Bound {
    let weights = batch.weights.as_ref().map(to_values);
    let weight = |n: usize| weights.as_ref().map_or(1.0, |w| w[n]);
    // a row of weight zero is not there, whatever its bound
    let present = || rows.iter().enumerate().filter(|(n, _)| weight(*n) > 0.0);
    let mean = present().map(|(n, e)| weight(n) * e.mean).sum();
    let variance: f64 = present().map(|(n, e)| (weight(n) * e.std_err).powi(2)).sum();
    Bound { total: Estimate { mean, std_err: variance.sqrt(), draws }, rows }
}
