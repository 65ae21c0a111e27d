//! V: neural models, against quadrature and against the exact models that they contain.
//!
//! The checks need libtorch and are compiled with the feature `deep`; without it each group says so. `cargo xtask verify` runs them in a
//! program of their own, after all others: libtorch brings a LAPACK with it, which must not take the place of the oracle's.

use super::CaseCheck;
use crate::check::Layer;
use crate::suite::{Group, Outcome, Suite};

#[cfg(feature = "deep")]
mod exact_case;
#[cfg(feature = "deep")]
mod linear;
#[cfg(feature = "deep")]
mod loss;

/// Tables on which a linear autoencoder must end at probabilistic PCA, with the number of latents.
pub const LINEAR: [(&str, usize); 4] = [("iris", 2), ("wine", 5), ("tobamovirus", 2), ("digits", 10)];

/// The checks of a `vae_exact` case.
pub const CASE_CHECKS: &[(Layer, &str, CaseCheck)] = &[(Layer::V, "V1", forward)];

/// V1: densities, encoder, bound at fixed weights.
fn forward(g: &mut Group<'_>, case: &crate::case::Case) -> Outcome {
    with_libtorch(g, |g| {
        #[cfg(feature = "deep")]
        return exact_case::forward(g, case);
        #[cfg(not(feature = "deep"))]
        return Ok((g, case)).map(|_| ());
    })
}

/// The groups that need no case.
pub fn all(suite: &mut Suite<'_>) {
    for (table, latents) in LINEAR {
        let case = format!("linear autoencoder of {table}, {latents} latents");
        suite.group(Layer::V, "V5", &case, |g| {
            with_libtorch(g, |g| {
                #[cfg(feature = "deep")]
                return linear::ends_at_ppca(g, table, latents);
                #[cfg(not(feature = "deep"))]
                return Ok((g, table, latents)).map(|_| ());
            })
        });
    }
    suite.group(Layer::V, "V6", "loss of wine in parts", |g| {
        with_libtorch(g, |_g| {
            #[cfg(feature = "deep")]
            return loss::scaling(_g);
            #[cfg(not(feature = "deep"))]
            return Ok(());
        })
    });
}

/// Runs the body, or says what is missing.
fn with_libtorch(g: &mut Group<'_>, body: impl FnOnce(&mut Group<'_>) -> Outcome) -> Outcome {
    if cfg!(feature = "deep") {
        return body(g);
    }
    g.not_run("neural models", "this program was built without libtorch", "cargo xtask verify --layer V");
    Ok(())
}
