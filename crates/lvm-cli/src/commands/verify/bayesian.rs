//! Models fitted by variational inference: the posterior is not known, so the bound and its fixed point are checked.

use super::finding::{Finding, Limits, size};
use super::{Checks, Subject, fit, restarts};
use crate::stored::{Model, documents};
use lvm_core::Result;
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, SecondMoments};
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::lda::{Lda, LdaModel, LdaStart, LocalStopping};
use lvm_vi::cavi::mixture::{BayesianMixture, BayesianMixtureModel, MixtureStart, PriorSettings};
use lvm_vi::cavi::multinomial_mixture::{BayesianMultinomialMixture, MultinomialMixturePosterior, MultinomialStart};
use lvm_vi::diagnose::Level;

const ONE_ITERATION: Stopping = Stopping { max_iterations: 1, tolerance: 0.0 };

/// The ELBO per row, computed again; NaN for a model that it can't be computed of without its fit.
pub(super) fn mean_elbo(model: &Model, subject: &Subject<'_>) -> Result<f64> {
    let elbo = match model {
        Model::Bgmm(model) => model.elbo(subject.rows)?.total(),
        Model::Multinomial(model) => model.elbo(&documents(subject.rows)?)?,
        Model::Lda(model) => {
            let documents = documents(subject.rows)?;
            model.elbo(&documents, model.infer(&documents)?.gamma.view())?
        }
        Model::Bppca(model) => return refitted_ppca(model.loadings().ncols(), subject.trace.len(), subject),
        Model::Gmm(_) | Model::Ppca(_) | Model::Fa(_) => fit::total(&subject.log_evidence, subject.rows),
    };
    Ok(elbo / subject.total_weight)
}

/// The ELBO of Bayesian PCA after so many iterations: the ascent has no random start, so it goes the same way again.
fn refitted_ppca(components: usize, iterations: usize, subject: &Subject<'_>) -> Result<f64> {
    let stopping = Stopping { max_iterations: iterations.max(1), tolerance: 0.0 };
    Ok(BayesianPpca { components: Some(components), stopping, ..BayesianPpca::default() }.fit(subject.rows, 0)?.objective())
}

/// What the ELBO per row computed again may be short of its own optimum: the ascent in each document of LDA ends by its stopping rule. It is
/// monotone and contracts, so what it still gains in a thousandth of that rule's tolerance is what was left.
pub(super) fn local_slack(model: &Model, subject: &Subject<'_>, now: f64) -> Result<f64> {
    let Model::Lda(model) = model else { return Ok(0.0) };
    let local = model.local();
    let to_the_end = LocalStopping { max_iterations: 100 * local.max_iterations, tolerance: 1e-3 * local.tolerance };
    let patient = LdaModel::new(model.lambda().clone(), model.alpha(), model.eta(), to_the_end)?;
    let documents = documents(subject.rows)?;
    let gamma = patient.infer(&documents)?.gamma;
    Ok((patient.elbo(&documents, gamma.view())? / subject.total_weight - now).max(0.0))
}

/// The bound of the record against the one computed again.
pub(super) fn record(model: &Model, recorded: f64, now: f64, slack: f64) -> Option<Finding> {
    let quantity = "ELBO per row, of the file and now";
    if !matches!(model, Model::Lda(_)) {
        return fit::record(quantity, recorded, now, 0.0);
    }
    let rounding = 1e-9 * (1.0 + recorded.abs());
    let limits = Limits { pass: rounding + 2.0 * slack, warn: 1e-2 * (1.0 + recorded.abs()), worst: Level::Fail };
    let reason = "the ascent in each document starts afresh: where it ends in the same optimum it is short by what it gains when it goes on, \
                  and so was the fit's own; in another optimum by up to 1e-2 of the bound, which is a warning";
    let difference = now - recorded;
    let remedy = match difference.abs() <= limits.warn {
        true => "nothing needs doing: some documents have more than one best share of the topics",
        false => "the file or the table has been changed since the fit; if these are other rows than it was fitted to, say --held-out",
    };
    let found = size("record", quantity.to_owned(), difference, 1, &limits, reason, remedy);
    Some(Finding { found: now, expected: recorded, ..found })
}

/// One more iteration must gain nothing, and the bound never have fallen.
pub(super) fn check(model: &Model, subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    checks.notes.push(
        "the exact posterior of this model is not known: its means can be relied on as those of the best factorised q, its standard deviations \
         are too small where factors depend on each other"
            .to_owned(),
    );
    if !subject.fitted {
        checks.add(bound_of_rows(model, subject)?);
        return Ok(());
    }
    let online = matches!(model, Model::Lda(_));
    let fall = subject.trace.windows(2).map(|pair| (pair[0] - pair[1]) / (1.0 + pair[0].abs())).fold(0.0, f64::max);
    // with minibatches the bound of all documents may fall for a while
    let limits = Limits { pass: 1e-9, warn: 1.0, worst: if online { Level::Warn } else { Level::Fail } };
    let reason = "coordinate ascent never lowers the bound but for rounding; an online fit may, between passes";
    let quantity = "largest fall of the ELBO, relative".to_owned();
    checks.add(Some(size("trace", quantity, fall, subject.trace.len(), &limits, reason, "an online fit: more passes or larger batches")));
    let recorded = subject.trace.last().copied().unwrap_or(f64::NAN);
    let after = match model {
        Model::Bgmm(model) => mixture_again(model, subject)?,
        Model::Multinomial(model) => multinomial_again(model, subject)?,
        Model::Bppca(model) => refitted_ppca(model.loadings().ncols(), subject.trace.len() + 1, subject)?,
        Model::Lda(model) => {
            let lda = Lda {
                topics: model.n_topics(),
                alpha: Some(model.alpha()),
                eta: Some(model.eta()),
                start: LdaStart::Lambda(model.lambda().clone()),
                restarts: 1,
                local: model.local(),
                stopping: ONE_ITERATION,
            };
            // both from fresh starts of the documents
            let now = mean_elbo(&Model::Lda(model.clone()), subject)?;
            let gain = lda.fit(&documents(subject.rows)?, 0)?.objective() - now;
            // steps of a contraction become shorter: the next gains no more than the last did
            let last = subject.trace.windows(2).next_back().map_or(0.0, |pair| (pair[1] - pair[0]).abs());
            let slack = local_slack(&Model::Lda(model.clone()), subject, now)?;
            let limits = Limits { pass: last + 2.0 * slack + 1e-9 * (1.0 + now.abs()), warn: f64::INFINITY, worst: Level::Warn };
            let reason = "where the fit has ended, steps become shorter: one more iteration over all documents gains no more than the last \
                          one of the record, and what the ascents in the documents were short of";
            let remedy = "fit again with more iterations (--max-iter) and a smaller --tol";
            checks.add(Some(size("iteration", "gain of one more iteration".to_owned(), gain.max(0.0), 1, &limits, reason, remedy)));
            return restarts::check(&Model::Lda(model.clone()), subject, now, checks);
        }
        Model::Gmm(_) | Model::Ppca(_) | Model::Fa(_) => return Ok(()),
    };
    checks.add(Some(fit::gain("gain of one more iteration", recorded, after, 0.0, subject.status)));
    restarts::check(model, subject, recorded, checks)
}

/// On other rows there is no record to compare with: every row must have a finite score.
fn bound_of_rows(_model: &Model, subject: &Subject<'_>) -> Result<Option<Finding>> {
    let unusable = subject.log_evidence.iter().filter(|v| !v.is_finite()).count();
    let limits = Limits { pass: 0.0, warn: 0.0, worst: Level::Fail };
    let reason = "log p(x) of every row must be a number";
    Ok(Some(size(
        "score",
        "rows without a finite score".to_owned(),
        unusable as f64,
        subject.log_evidence.len(),
        &limits,
        reason,
        "leave them out",
    )))
}

/// The settings of a fit under the priors of `model`, of so many components.
pub(super) fn mixture_like(model: &BayesianMixtureModel, components: usize) -> BayesianMixture {
    let prior = model.prior();
    BayesianMixture {
        components,
        covariance: match model.components().scale_inverse() {
            SecondMoments::Full(_) => CovarianceType::Full,
            SecondMoments::Diagonal(_) => CovarianceType::Diagonal,
        },
        weights: model.weight_prior(),
        prior: PriorSettings {
            mean: Some(prior.mean().clone()),
            mean_precision: prior.mean_precision(),
            dof: Some(prior.dof()),
            scale_inverse: Some(prior.scale_inverse().clone()),
        },
        restarts: 1,
        ..Default::default()
    }
}

fn mixture_again(model: &BayesianMixtureModel, subject: &Subject<'_>) -> Result<f64> {
    let start = MixtureStart::Posterior(model.clone());
    let vb = BayesianMixture { start, stopping: ONE_ITERATION, ..mixture_like(model, model.n_components()) };
    Ok(vb.fit(subject.rows, 0)?.objective())
}

fn multinomial_again(model: &MultinomialMixturePosterior, subject: &Subject<'_>) -> Result<f64> {
    let documents = documents(subject.rows)?;
    let vb = BayesianMultinomialMixture {
        components: model.words().len(),
        weight_concentration: model.priors().0,
        word_concentration: model.priors().1,
        start: MultinomialStart::Responsibilities(model.infer(&documents)?.probabilities()),
        restarts: 1,
        stopping: ONE_ITERATION,
    };
    Ok(vb.fit(&documents, 0)?.objective())
}
