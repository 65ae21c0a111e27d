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
mod published;

pub use published::{Family, PUBLISHED, Published};

/// The checks of a `vae_exact` case.
pub const CASE_CHECKS: &[(Layer, &str, CaseCheck)] = &[
    (Layer::V, "V1", checks::forward),
    (Layer::V, "V2", checks::gradient),
    (Layer::V, "V2", checks::sampled_gradient),
    (Layer::V, "V3", checks::estimators),
    (Layer::V, "V4", checks::gaps),
    (Layer::V, "V7", checks::devices),
];

/// The groups that need no case.
pub fn all(suite: &mut Suite<'_>) {
    // the smallest table alone where time is short and no group is asked for by its id
    let thorough = suite.selection.budget != Budget::Quick || !suite.selection.ids.is_empty();
    for published in &PUBLISHED[..if thorough { 5 } else { 1 }] {
        let case = format!("linear autoencoder of {}", published.name());
        suite.group(Layer::V, "V5", &case, |g| checks::linear(g, published, Family::Diagonal));
    }
    if thorough {
        for published in &PUBLISHED[..4] {
            let case = format!("linear autoencoder with full covariance of {}", published.name());
            suite.group(Layer::V, "V5", &case, |g| checks::linear(g, published, Family::FullCovariance));
        }
        let images = &PUBLISHED[5];
        let case = format!("linear autoencoder of {}, from the axes of one with full covariance", images.name());
        suite.group(Layer::V, "V5", &case, |g| checks::from_axes(g, images));
        let wine = &PUBLISHED[2];
        suite.group(Layer::V, "V5", "latents that a linear autoencoder of wine uses", |g| checks::collapse(g, wine, 6, &[1, 3, 5]));
    }
    suite.group(Layer::V, "V6", "loss of wine in parts", checks::scaling);
    suite.group(Layer::V, "V8", "densities of decoders", checks::densities);
    suite.group(Layer::V, "V9", "flows", checks::flows);
}
