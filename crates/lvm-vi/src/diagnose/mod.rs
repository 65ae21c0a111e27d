//! How wrong an approximate posterior is.
//!
//! | file | question |
//! |---|---|
//! | `psis` | is the tail of p/q light enough for weighted draws of q to be trusted? |
//! | `importance` | what do weighted draws say of the evidence and of the posterior's moments? |
//! | `chi_square` | by how much can a moment of q be wrong at most? |
//! | `optimality` | is q the best of its family, or did the optimiser stop early? |
//! | `calibration` | is the mean of q right on average over simulated data? |
//! | `sandwich` | how closely is the evidence known, from below and above? |
//! | `verdict` | can this q be used? |
//! | `reason` | a verdict as words |
//! | `parameters` | the same for each latent, for people |

mod calibration;
mod chi_square;
mod importance;
mod optimality;
mod parameters;
mod psis;
mod reason;
mod sandwich;
mod verdict;

pub use calibration::{Vsbc, vsbc};
pub use chi_square::{ErrorBounds, error_bounds};
pub use importance::{Moments, WeightedDraws};
pub use optimality::Optimality;
pub use psis::{Psis, psis, psis_threshold};
pub use reason::{Level, Reason, Verdict};
pub use verdict::{Diagnose, Diagnosis, Known};
