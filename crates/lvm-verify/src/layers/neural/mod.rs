//! V: neural models, against quadrature and against the exact models that they contain.
//!
//! The checks need libtorch and are compiled with the feature `deep`; without it each group says so. `cargo xtask verify` runs them in a
//! program of their own, after all others: libtorch brings a LAPACK with it, which must not take the place of the oracle's.

use super::CaseCheck;
use crate::check::Layer;
use crate::suite::{Budget, Suite};

#[cfg(not(feature = "deep"))]
#[path = "absent.rs"]
mod checks;
#[cfg(feature = "deep")]
mod checks;

/// Tables on which a linear autoencoder must end at probabilistic PCA, with the number of latents.
pub const LINEAR: [(&str, usize); 3] = [("iris", 2), ("wine", 5), ("digits", 10)];

/// The checks of a `vae_exact` case.
pub const CASE_CHECKS: &[(Layer, &str, CaseCheck)] = &[
    (Layer::V, "V1", checks::forward),
    (Layer::V, "V2", checks::gradient),
    (Layer::V, "V3", checks::estimators),
    (Layer::V, "V4", checks::gaps),
];

/// The groups that need no case.
pub fn all(suite: &mut Suite<'_>) {
    // the smallest table alone where time is short
    let tables = if suite.selection.budget == Budget::Quick { 1 } else { LINEAR.len() };
    for &(table, latents) in &LINEAR[..tables] {
        suite.group(Layer::V, "V5", &format!("linear autoencoder of {table}, {latents} latents"), |g| checks::linear(g, table, latents));
    }
    suite.group(Layer::V, "V6", "loss of wine in parts", checks::scaling);
}
