//! The checks, layer by layer. Each function takes a [`Suite`] and adds its groups to it.

use crate::case::Case;
use crate::check::Layer;
use crate::suite::{Group, Outcome, Suite};

pub mod bayesian_pca;
pub mod bernoulli;
pub mod calibration;
pub mod conditionals;
pub mod conjugate;
pub mod coordinate_ascent;
pub mod determinism;
pub mod documents;
mod documents_by_hand;
pub mod estimators;
pub mod factors;
pub mod files;
pub mod gaussian_target;
pub mod generation;
pub mod golden;
pub mod gradients;
pub mod heywood;
pub mod importance;
pub mod latent_classes;
pub mod local;
pub mod low_rank;
pub mod metamorphic;
pub mod mixture;
pub mod natural_gradient;
pub mod neural;
pub mod numerics;
pub mod optimizers;
pub mod own_conjugate;
pub mod posterior;
pub mod ppca;
pub mod real;
pub mod refusals;
pub mod scalar_mixture;
pub mod shared;
pub mod simulators;
pub mod special;
pub mod tail_fit;
pub mod target;
pub mod terms;
pub mod transforms;
pub mod variances;
pub mod vb_mixture;
pub mod verdicts;

/// The checks of one kind of case: the layer and the id of the catalogue, and the comparison itself.
pub type CaseCheck = fn(&mut Group<'_>, &Case) -> Outcome;

/// The checks of a kind; none for a kind that is not supported yet.
pub fn checks_of(kind: &str) -> &'static [(Layer, &'static str, CaseCheck)] {
    match kind {
        "special" => &[(Layer::N, "N1", numerics::special)],
        "numerics" => &[(Layer::N, "N2", numerics::torture)],
        "exact_regression" => &[(Layer::N, "N3", numerics::regression)],
        "gmm_em" => &[(Layer::C, "C1", mixture::trajectory), (Layer::C, "C2", mixture::fixed_point)],
        "ppca" => &[(Layer::C, "C4", ppca::optimum), (Layer::C, "C4", ppca::em), (Layer::C, "C4", ppca::linear_vae)],
        "factor_analysis" => &[(Layer::C, "C5", factors::optimum), (Layer::C, "C5", factors::em)],
        "conjugate" => &[(Layer::C, "C7", conjugate::conjugate), (Layer::C, "C6", coordinate_ascent::normal_gamma)],
        "vb_gmm" => &[(Layer::C, "C3", vb_mixture::trajectory), (Layer::C, "C3", vb_mixture::fixed_point)],
        "psis" => &[(Layer::P, "P3", verdicts::psis)],
        "gaussian_target" => &[
            (Layer::S, "S2", gradients::gaussian),
            (Layer::S, "S2", variances::gaussian),
            (Layer::S, "S3", gaussian_target::no_noise),
            (Layer::S, "S4", gaussian_target::variance),
            (Layer::S, "S6", importance::bounds),
            (Layer::C, "C6", coordinate_ascent::gaussian),
            (Layer::O, "O1", gaussian_target::optima),
            (Layer::O, "O1", gaussian_target::low_rank),
            (Layer::O, "O6", gaussian_target::one_step),
            (Layer::P, "P5", gaussian_target::tail),
            (Layer::P, "P5", verdicts::tail_index),
        ],
        "vae_exact" => neural::CASE_CHECKS,
        _ => &[],
    }
}

/// Runs the checks of one case.
pub fn case(suite: &mut Suite<'_>, case: &Case) {
    if case.kind == "posterior" {
        return posterior::all(suite, case);
    }
    let checks = checks_of(&case.kind);
    for (layer, id, check) in checks {
        suite.group(*layer, id, &case.id, |group| check(group, case));
    }
    if checks.is_empty() {
        suite.group(Layer::C, "-", &case.id, |group| {
            group.not_supported(&case.kind);
            Ok(())
        });
    }
}

/// What needs no reference case, in parts: real data against the oracle, identities, refusals, determinism.
pub const BUILT_IN: &[fn(&mut Suite<'_>)] = &[
    transforms::all,
    conditionals::all,
    simulators::all,
    estimators::all,
    low_rank::all,
    natural_gradient::all,
    own_conjugate::all,
    conjugate::all,
    heywood::all,
    scalar_mixture::all,
    optimizers::all,
    tail_fit::all,
    real::all,
    local::all,
    gradients::all,
    variances::all,
    latent_classes::all,
    documents::all,
    bayesian_pca::all,
    bernoulli::all,
    target::all,
    verdicts::all,
    calibration::all,
    neural::all,
    generation::all,
    metamorphic::mixture::all,
    metamorphic::ppca::all,
    metamorphic::factors::all,
    metamorphic::bayesian::all,
    refusals::all,
    files::all,
    determinism::all,
    golden::all,
];
