//! Probabilistic PCA and factor analysis: the posterior is known, so everything can be checked against it.

use super::finding::{PROGRAM, Pair, identity};
use super::fit::{self, Score, each_row};
use super::{Checks, Divergence, Subject};
use lvm_core::Result;
use lvm_core::fa::{self, FaMl, FactorAnalysis, Method};
use lvm_core::fit::{RepairKind, Stopping};
use lvm_core::linear_gaussian::{GaussianPosterior, LinearGaussian};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel};
use lvm_core::ppca::{Ppca, PpcaEm, Scheme, Start};
use lvm_core::random::{Purpose, Stream, stream};
use lvm_core::rows::RowSource;
use lvm_verify::check::Tolerance;
use lvm_vi::local::{LearnedModel, PerDatum, Shape, elbo_rows, mean_field};
use ndarray::{Array1, Array2};
use rand::RngExt;

const ONE_ITERATION: Stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
/// Probabilistic PCA.
pub(super) fn ppca(model: &Ppca, subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    posterior(model, model.linear_gaussian(), subject, checks)?;
    if !subject.fitted {
        return Ok(());
    }
    let last = model.parameters().len() - 1;
    let floored = subject.repaired(|kind| matches!(kind, RepairKind::NoiseFloored { .. }));
    maximum(model, subject, checks, |j| j != last || !floored)?;
    let em = PpcaEm {
        components: model.components(),
        start: Start::Parameters(model.clone()),
        scheme: Scheme::Plain,
        restarts: 1,
        stopping: ONE_ITERATION,
    };
    let after = em.fit(subject.rows, 0)?.objective();
    let rounding = fit::rounding(model.linear_gaussian());
    checks.add(Some(fit::gain("gain of one more EM iteration", subject.mean_log_evidence(), after, rounding, subject.status)));
    Ok(())
}

/// Factor analysis.
pub(super) fn factor_analysis(model: &FactorAnalysis, subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    let inner = model.linear_gaussian();
    posterior(inner, inner, subject, checks)?;
    if model.rotation().is_some() {
        checks.notes.push("the posterior was checked before the rotation, which changes neither log p(x) nor the fit".to_owned());
    }
    if !subject.fitted {
        return Ok(());
    }
    let (d, q) = inner.loadings().dim();
    let held = |j: usize| subject.repaired(|kind| matches!(kind, RepairKind::Heywood { variable, .. } if d + d * q + variable == j));
    // the likelihood still rises at a uniqueness held at its floor, and the loadings of that variable follow
    let free = |j: usize| {
        !held(
            d + d * q
                + if j < d {
                    j
                } else if j < d + d * q {
                    (j - d) / q
                } else {
                    j - d - d * q
                },
        )
    };
    maximum(inner, subject, checks, free)?;
    let em = FaMl {
        factors: q,
        method: Method::Em,
        start: fa::Start::Parameters(model.clone()),
        restarts: 1,
        stopping: ONE_ITERATION,
        ..FaMl::default()
    };
    let after = em.fit(subject.rows, 0)?.objective();
    let before = subject.mean_log_evidence();
    checks.add(Some(fit::gain("gain of one more EM iteration", before, after, fit::rounding(inner), subject.status)));
    Ok(())
}

/// The posterior against Bayes' theorem, evidence against score, and what approximations of the posterior make of both.
fn posterior<M>(model: &M, inner: &LinearGaussian, subject: &Subject<'_>, checks: &mut Checks) -> Result<()>
where
    M: LearnedModel + Infer<Q = GaussianPosterior> + Evidence,
{
    let probe = subject.probe()?;
    let q = model.infer(&probe)?;
    let evidence = model.log_evidence(&probe)?;
    bayes(model, &q, &evidence, &probe, subject.seed, checks)?;
    fisher(model, inner, &probe, subject.seed, checks)?;

    let factorised = mean_field(inner, &probe)?;
    let (bounds, kl) = (elbo_rows(inner, &factorised, &probe)?, factorised.kl(&q)?);
    let pairs = bounds.iter().zip(&kl).zip(&evidence);
    let pairs = pairs.map(|((b, k), e)| Pair { found: b + k, expected: *e, scale: 1.0 + b.abs() + k.abs() });
    let reason = "exact for every row, whatever q; 1e-9 of the terms for rounding";
    checks.add(identity("mean field", "mean-field ELBO + KL = log p(x)", pairs, &Tolerance::relative(1e-9, reason), PROGRAM));

    let newton = PerDatum { shape: Shape::Full, ..PerDatum::default() }.fit(inner, &probe)?.model;
    let pairs = newton.kl(&q)?.to_vec().into_iter().map(|found| Pair { found, expected: 0.0, scale: 1.0 });
    let reason = "an optimiser that is told log p(x, z) only must end at the posterior; it stops where a row gains less than 1e-12 nats";
    checks.add(identity("full rank", "KL of the best Gaussian q to p(z|x)", pairs, &Tolerance::absolute(1e-8, reason), PROGRAM));

    checks.divergence = Some(Divergence::new(&subject.probed, kl.to_vec()));
    Ok(())
}

/// log p(x, z) − log p(z | x) is log p(x) at any z: at draws from the posterior, and far from it at draws from the prior.
fn bayes<M>(model: &M, q: &GaussianPosterior, evidence: &Array1<f64>, probe: &dyn RowSource, seed: u64, checks: &mut Checks) -> Result<()>
where
    M: LatentModel<Z = Array2<f64>>,
{
    let mut rng: Stream = stream(seed, Purpose::Diagnosis, 0);
    let mut pairs = Vec::new();
    for z in [q.sample(&mut rng), q.sample(&mut rng), model.sample_z(probe.n_rows(), &mut rng)] {
        let (joint, log_q) = (model.log_joint(probe, &z)?, q.log_prob(&z)?);
        let all = joint.iter().zip(&log_q).zip(evidence);
        pairs.extend(all.map(|((j, l), e)| Pair { found: j - l, expected: *e, scale: 1.0 + j.abs() + l.abs() }));
    }
    let reason = "Bayes' theorem at random z; 1e-9 of the terms for rounding, with room for an ill-conditioned posterior";
    checks.add(identity("bayes", "log p(x,z) - log p(z|x) = log p(x)", pairs, &Tolerance::relative(1e-9, reason), PROGRAM));
    Ok(())
}

/// ∇_θ log p(x) = E[∇_θ log p(x, z) | x] (Fisher's identity), along random directions at random points near θ, where neither side is zero.
fn fisher<M>(model: &M, inner: &LinearGaussian, probe: &dyn RowSource, seed: u64, checks: &mut Checks) -> Result<()>
where
    M: LearnedModel + Infer<Q = GaussianPosterior> + Evidence,
{
    let theta = model.parameters();
    let (d, q) = inner.loadings().dim();
    // means and loadings move in units of the noise, logarithms of variances in units of one
    let unit = |j: usize| match j {
        j if j < d => inner.noise()[j].sqrt(),
        j if j < d + d * q => inner.noise()[(j - d) / q].sqrt(),
        _ => 1.0,
    };
    let mut pairs = Vec::new();
    for look in 1..=3 {
        let mut rng = stream(seed, Purpose::Diagnosis, look);
        let mut away = |size: f64| -> Vec<f64> { (0..theta.len()).map(|j| size * unit(j) * rng.random_range(-1.0..1.0)).collect() };
        let (shift, direction) = (away(0.3), away(1.0));
        let at = |h: f64| -> Result<M> {
            let moved: Vec<f64> = theta.iter().zip(&shift).zip(&direction).map(|((t, s), v)| t + s + h * v).collect();
            model.with_parameters(&moved)
        };
        let slope = |h: f64| -> Result<f64> {
            let sum = |h: f64| -> Result<f64> { Ok(fit::total(&at(h)?.log_evidence(probe)?.to_vec(), probe)) };
            Ok((sum(h)? - sum(-h)?) / (2.0 * h))
        };
        // Richardson: the error of the difference quotient is of order h⁴
        let h = 1e-3;
        let expected = (4.0 * slope(h)? - slope(2.0 * h)?) / 3.0;
        let score = score(&at(0.0)?, probe)?;
        let along = score.sum.iter().zip(&direction).map(|(s, v)| s * v);
        let scale = score.squares.iter().zip(&direction).map(|(b, v)| b.sqrt() * v.abs()).sum::<f64>();
        pairs.push(Pair { found: along.sum(), expected, scale: scale + expected.abs() });
    }
    let reason = "the score by the posterior against the slope of the evidence by differences, at three points near the fit; 1e-6 of the terms, \
                  which a step of 1e-3 with extrapolation keeps";
    checks.add(identity("fisher", "score = slope of log p(x)", pairs, &Tolerance::relative(1e-6, reason), PROGRAM));
    Ok(())
}

/// The score of every parameter, by Fisher's identity.
fn score<M: LearnedModel + Infer<Q = GaussianPosterior>>(model: &M, rows: &dyn RowSource) -> Result<Score> {
    let q = model.infer(rows)?;
    let mut score = Score::new(model.parameters().len());
    let mut gradient = score.sum.clone();
    each_row(rows, |n, x, weight| {
        gradient.fill(0.0);
        let mean = q.mean().row(n).to_vec();
        model.add_parameter_gradient(x, &mean, q.covariance(n), 1.0, &mut gradient);
        score.add(&gradient, weight);
    })?;
    Ok(score)
}

fn maximum<M>(model: &M, subject: &Subject<'_>, checks: &mut Checks, free: impl Fn(usize) -> bool) -> Result<()>
where
    M: LearnedModel + Infer<Q = GaussianPosterior>,
{
    checks.add(Some(score(model, subject.rows)?.finding(subject.status, free)));
    Ok(())
}
