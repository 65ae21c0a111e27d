//! Models fitted by variational inference: the posterior is not known, so the bound and its fixed point are checked.

use super::finding::{Finding, Limits, Pair, identity, size};
use super::{Checks, Subject, fit};
use crate::stored::{Model, documents};
use lvm_core::Result;
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, SecondMoments};
use lvm_verify::check::Tolerance;
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::lda::{Lda, LdaStart};
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

/// The bound of the record against the one computed again.
pub(super) fn record(model: &Model, recorded: f64, now: f64) -> Option<Finding> {
    let quantity = "ELBO per row, of the file and now";
    if !matches!(model, Model::Lda(_)) {
        return fit::record(quantity, recorded, now);
    }
    let reason =
        "the ascent in each document starts afresh, and stops where it no longer moves by much: it may end elsewhere; 1e-2 of the bound";
    let remedy = "the file or the table has been changed since the fit; if these are other rows than it was fitted to, say --held-out";
    let pair = Pair { found: now, expected: recorded, scale: recorded };
    identity("record", quantity, [pair], &Tolerance::relative(1e-2, reason), remedy)
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
            let gain = lda.fit(&documents(subject.rows)?, 0)?.objective() - recorded;
            let limits = Limits { pass: 1e-2, warn: f64::INFINITY, worst: Level::Warn };
            let reason = "a batch step gains little where the fit has ended; 1e-2 nats a document, as each document stops a little short";
            let remedy = "fit again with more iterations (--max-iter) and a smaller --tol";
            checks.add(Some(size("iteration", "gain of one more iteration".to_owned(), gain.max(0.0), 1, &limits, reason, remedy)));
            return Ok(());
        }
        Model::Gmm(_) | Model::Ppca(_) | Model::Fa(_) => return Ok(()),
    };
    checks.add(Some(fit::gain("gain of one more iteration", recorded, after, subject.status)));
    Ok(())
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

fn mixture_again(model: &BayesianMixtureModel, subject: &Subject<'_>) -> Result<f64> {
    let prior = model.prior();
    let vb = BayesianMixture {
        components: model.n_components(),
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
        start: MixtureStart::Posterior(model.clone()),
        restarts: 1,
        stopping: ONE_ITERATION,
    };
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
