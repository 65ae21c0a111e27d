//! Variational fits against what is known beside them: another start, the exact answer for one component, draws of the parameters.

use super::bayesian::mixture_like;
use super::finding::{Finding, Limits, PROGRAM, Pair, identity, size};
use super::{Checks, Subject};
use crate::stored::{Model, documents};
use lvm_core::Result;
use lvm_core::fit::Stopping;
use lvm_core::rows::RowSource;
use lvm_core::special::lgamma;
use lvm_verify::check::Tolerance;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::Lda;
use lvm_vi::cavi::mixture::{BayesianMixture, BayesianMixtureModel};
use lvm_vi::cavi::multinomial_mixture::BayesianMultinomialMixture;
use lvm_vi::diagnose::{Level, psis, psis_threshold};

/// The seed of the other start: none that a user is likely to have taken.
const OTHER_SEED: u64 = 0x6f74_6865_7220_7365;
/// Nats in all that another start may be better by: a Bayes factor of e, hardly worth mentioning (Kass & Raftery 1995).
const WORTH_MENTIONING: f64 = 1.0;
/// Draws of the parameters at most, and at least for k to mean something.
const DRAWS: (usize, usize) = (1000, 200);
/// Multiplications spent on draws.
const WORK: f64 = 2e10;

/// What is known beside the fit; `mean` is its ELBO per row.
pub(super) fn check(model: &Model, subject: &Subject<'_>, mean: f64, checks: &mut Checks) -> Result<()> {
    checks.add(another_start(model, subject, mean)?);
    checks.add(one_component(model, subject)?);
    if let Model::Bgmm(model) = model {
        match pareto(model, subject)? {
            Some(finding) => checks.add(Some(finding)),
            None => checks.notes.push("Pareto k of q(parameters) was not computed: draws over so many rows take too long".to_owned()),
        }
    }
    Ok(())
}

/// A fit of the same model from another seed.
fn another_start(model: &Model, subject: &Subject<'_>, mean: f64) -> Result<Option<Finding>> {
    let stopping = |default: Stopping| Stopping { max_iterations: default.max_iterations.max(subject.trace.len()), ..default };
    let other = match model {
        Model::Bgmm(model) => {
            let vb = mixture_like(model, model.n_components());
            BayesianMixture { stopping: stopping(vb.stopping), ..vb }.fit(subject.rows, OTHER_SEED)?.objective()
        }
        Model::Multinomial(model) => {
            let default = BayesianMultinomialMixture::default();
            let vb = BayesianMultinomialMixture {
                components: model.words().len(),
                weight_concentration: model.priors().0,
                word_concentration: model.priors().1,
                restarts: 1,
                stopping: stopping(default.stopping),
                ..default
            };
            vb.fit(&documents(subject.rows)?, OTHER_SEED)?.objective()
        }
        Model::Lda(model) => {
            let default = Lda::default();
            let lda = Lda {
                topics: model.n_topics(),
                alpha: Some(model.alpha()),
                eta: Some(model.eta()),
                local: model.local(),
                restarts: 1,
                stopping: stopping(default.stopping),
                ..default
            };
            lda.fit(&documents(subject.rows)?, OTHER_SEED)?.objective()
        }
        // no random start
        _ => return Ok(None),
    };
    let better = subject.total_weight * (other - mean);
    let limits = Limits { pass: WORTH_MENTIONING, warn: f64::INFINITY, worst: Level::Warn };
    let reason = format!(
        "the bound has several optima; a fit from another seed ends {:.3} nats {} in all; one nat, a Bayes factor of e, is hardly worth mentioning",
        better.abs(),
        if better < 0.0 { "lower" } else { "higher" }
    );
    let quantity = "nats by which a fit from another seed is better".to_owned();
    Ok(Some(size("restart", quantity, better.max(0.0), 1, &limits, &reason, "fit again with more --restarts, or another --seed")))
}

/// With one component the bound is the exact evidence, which is known by another way.
fn one_component(model: &Model, subject: &Subject<'_>) -> Result<Option<Finding>> {
    let (found, expected) = match model {
        Model::Bgmm(model) => {
            let one = mixture_like(model, 1).fit(subject.rows, 0)?;
            // log p(x) = log p(x, θ) − log p(θ | x) at any θ
            (one.objective() * subject.total_weight, one.model.parameter_log_weights(subject.rows, 1, subject.seed)?[0])
        }
        Model::Multinomial(model) => {
            let (weight_concentration, word_concentration) = model.priors();
            let vb = BayesianMultinomialMixture { components: 1, weight_concentration, word_concentration, ..Default::default() };
            let documents = documents(subject.rows)?;
            (vb.fit(&documents, 0)?.objective() * subject.total_weight, dirichlet_multinomial(&documents, word_concentration, true))
        }
        Model::Lda(model) => {
            let lda = Lda { topics: 1, alpha: Some(model.alpha()), eta: Some(model.eta()), ..Default::default() };
            let documents = documents(subject.rows)?;
            (lda.fit(&documents, 0)?.objective() * subject.total_weight, dirichlet_multinomial(&documents, model.eta(), false))
        }
        _ => return Ok(None),
    };
    let reason = "of one component q is the posterior itself, and the ELBO of these rows the exact log evidence; 1e-9 of it for sums in another order";
    let pair = Pair { found, expected, scale: 1.0 + expected.abs() };
    let quantity = "ELBO of the model with one component, and the exact log evidence";
    Ok(identity("one-component", quantity, [pair], &Tolerance::relative(1e-9, reason), PROGRAM))
}

/// log p(all words) with β ~ Dirichlet(η, …, η) integrated out; with the number of orders in which a document's words can stand, if they have
/// none.
fn dirichlet_multinomial(documents: &Documents, eta: f64, unordered: bool) -> f64 {
    let mut totals = vec![0.0; documents.vocabulary()];
    let mut log_orders = 0.0;
    for d in 0..documents.len() {
        let (words, counts) = documents.get(d);
        words.iter().zip(counts).for_each(|(w, n)| totals[*w as usize] += documents.weight(d) * n);
        let each: f64 = counts.iter().map(|n| lgamma(n + 1.0)).sum();
        log_orders += documents.weight(d) * (lgamma(counts.iter().sum::<f64>() + 1.0) - each);
    }
    let (v, n) = (totals.len() as f64, totals.iter().sum::<f64>());
    let words: f64 = totals.iter().map(|t| lgamma(eta + t) - lgamma(eta)).sum();
    lgamma(v * eta) - lgamma(v * eta + n) + words + if unordered { log_orders } else { 0.0 }
}

/// The tail of p/q over the parameters of a Bayesian mixture; none where a draw takes too long.
fn pareto(model: &BayesianMixtureModel, subject: &Subject<'_>) -> Result<Option<Finding>> {
    let (k, d) = model.components().means().dim();
    let pass = (subject.rows.n_rows() * k * d * d) as f64;
    let draws = DRAWS.0.min((WORK / pass) as usize);
    if draws < DRAWS.1 {
        return Ok(None);
    }
    let fitted = psis(&model.parameter_log_weights(subject.rows, draws, subject.seed)?)?;
    let limits = Limits { pass: psis_threshold(draws), warn: f64::INFINITY, worst: Level::Warn };
    let reason = format!(
        "draws of q(parameters) weighted by the posterior around the same mode, {:.0} of {draws} of them effective: above the limit \
         q is far narrower than the posterior where components overlap",
        fitted.effective_draws
    );
    let remedy = "take the means of q as they are, not its standard deviations; fewer components may leave none that overlap";
    Ok(Some(size("pareto", "Pareto k of q(parameters)".to_owned(), fitted.pareto_k.max(0.0), draws, &limits, &reason, remedy)))
}
