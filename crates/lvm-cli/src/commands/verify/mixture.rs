//! Gaussian mixtures: the responsibilities are the posterior, so everything can be checked against them.

use super::finding::{PROGRAM, Pair, identity};
use super::fit::{self, Score, each_row};
use super::{Checks, Divergence, Subject};
use lvm_core::fit::{RepairKind, Stopping};
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::model::{Evidence, Infer, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{Missing, RowSource};
use lvm_core::{Result, linalg};
use lvm_verify::check::Tolerance;
use lvm_vi::local::coordinate_ascent_step;
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;

/// A Gaussian mixture.
pub(super) fn check(model: &GaussianMixture, subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    let probe = subject.probe()?;
    let evidence = model.log_evidence(&probe)?;
    bayes(model, &evidence, &probe, checks)?;

    let q = coordinate_ascent_step(model, &probe)?;
    let kl = q.kl(model.infer(&probe)?.log_probabilities())?;
    let bounds = q.elbo_rows(model, &probe)?;
    let pairs = bounds.iter().zip(&kl).zip(&evidence);
    let pairs = pairs.map(|((b, k), e)| Pair { found: b + k, expected: *e, scale: 1.0 + b.abs() });
    let reason =
        "categorical q is any distribution over components: the best has KL 0 and its ELBO is log p(x); 1e-9 of the terms for rounding";
    checks.add(identity("mean field", "categorical ELBO + KL = log p(x)", pairs, &Tolerance::relative(1e-9, reason), PROGRAM));
    checks.divergence = Some(Divergence::new(&subject.probed, kl.to_vec()));

    if subject.rows.missing() == Missing::Integrate {
        checks.notes.push("with missing cells the score of a mixture is not checked; one more iteration of EM is".to_owned());
    } else {
        fisher(model, &probe, subject.seed, checks)?;
    }
    if subject.fitted {
        maximum(model, subject, checks)?;
    }
    Ok(())
}

/// log p(x, z = k) − log p(z = k | x) is log p(x) for every component that is possible.
fn bayes(model: &GaussianMixture, evidence: &Array1<f64>, probe: &dyn RowSource, checks: &mut Checks) -> Result<()> {
    let responsibilities = model.responsibilities(probe)?;
    let mut pairs = Vec::new();
    for k in 0..model.n_components() {
        let joint = model.log_joint(probe, &Array1::from_elem(probe.n_rows(), k))?;
        let all = joint.iter().zip(responsibilities.column(k)).zip(evidence);
        // below that a responsibility has lost digits to underflow
        let possible = all.filter(|((_, r), _)| **r > 1e-290);
        pairs.extend(possible.map(|((j, r), e)| Pair { found: j - r.ln(), expected: *e, scale: 1.0 + j.abs() + r.ln().abs() }));
    }
    let reason = "Bayes' theorem for every component of every row; 1e-9 of the terms for rounding";
    checks.add(identity("bayes", "log p(x,z) - log p(z|x) = log p(x)", pairs, &Tolerance::relative(1e-9, reason), PROGRAM));
    let pairs = responsibilities.sum_axis(Axis(1)).to_vec().into_iter().map(|found| Pair { found, expected: 1.0, scale: 1.0 });
    let reason = "probabilities; 1e-12 for the rounding of a sum";
    checks.add(identity("responsibilities", "sum of the responsibilities of a row", pairs, &Tolerance::absolute(1e-12, reason), PROGRAM));
    Ok(())
}

/// Σ_k⁻¹ of every component.
fn precisions(model: &GaussianMixture) -> Result<Vec<Array2<f64>>> {
    let d = model.dim();
    let inverse = |c: ndarray::ArrayView2<'_, f64>| -> Result<Array2<f64>> {
        Ok(linalg::cholesky_inverse(linalg::cholesky(c).map_err(|e| e.of("a covariance"))?.view()))
    };
    match model.covariances() {
        Covariances::Full(c) => c.axis_iter(Axis(0)).map(inverse).collect(),
        Covariances::Tied(c) => Ok(vec![inverse(c.view())?; model.n_components()]),
        Covariances::Diagonal(c) => Ok(c.rows().into_iter().map(|v| Array2::from_diag(&v.mapv(f64::recip))).collect()),
        Covariances::Spherical(c) => Ok(c.iter().map(|v| Array2::eye(d) / *v).collect()),
    }
}

/// The score of logits of the weights (K), means (K, D) and covariances, by Fisher's identity.
///
/// ```text
/// ∂/∂ logit_k = γ_k − π_k,   ∂/∂μ_k = γ_k a_k,   ∂/∂Σ_k = ½ γ_k (a_k a_kᵀ − Σ_k⁻¹),   a_k = Σ_k⁻¹ (x − μ_k)
/// ```
fn score(model: &GaussianMixture, rows: &dyn RowSource) -> Result<Score> {
    let (k_all, d) = model.means().dim();
    let (shape, precisions) = (model.covariance_type(), precisions(model)?);
    let entries = match shape {
        CovarianceType::Full | CovarianceType::Tied => d * (d + 1) / 2,
        CovarianceType::Diagonal => d,
        CovarianceType::Spherical => 1,
    };
    let own = |k: usize| if shape == CovarianceType::Tied { 0 } else { k };
    let blocks = if shape == CovarianceType::Tied { 1 } else { k_all };
    let mut score = Score::new(k_all + k_all * d + blocks * entries);
    let mut gradient = score.sum.clone();
    let responsibilities = model.responsibilities(rows)?;
    let mut away = Array1::zeros(d);
    each_row(rows, |n, x, weight| {
        gradient.fill(0.0);
        for k in 0..k_all {
            let r = responsibilities[[n, k]];
            away.iter_mut().zip(x).zip(model.means().row(k)).for_each(|((a, x), m)| *a = x - m);
            let a = precisions[k].dot(&away);
            gradient[k] = r - model.weights()[k];
            (0..d).for_each(|j| gradient[k_all + k * d + j] = r * a[j]);
            let at = k_all + k_all * d + own(k) * entries;
            let of = |i: usize, j: usize| 0.5 * r * (a[i] * a[j] - precisions[k][[i, j]]);
            match shape {
                CovarianceType::Full | CovarianceType::Tied => {
                    let lower = (0..d).flat_map(|i| (0..=i).map(move |j| (i, j)));
                    gradient[at..at + entries].iter_mut().zip(lower).for_each(|(g, (i, j))| *g += of(i, j));
                }
                CovarianceType::Diagonal => (0..d).for_each(|j| gradient[at + j] += of(j, j)),
                CovarianceType::Spherical => gradient[at] += (0..d).map(|j| of(j, j)).sum::<f64>(),
            }
        }
        score.add(&gradient, weight);
    })?;
    Ok(score)
}

/// The score of the means by the responsibilities against the slope of the evidence by differences, at points near the fit.
fn fisher(model: &GaussianMixture, probe: &dyn RowSource, seed: u64, checks: &mut Checks) -> Result<()> {
    let (k_all, d) = model.means().dim();
    // smallest conditional standard deviations: 1/√(Σ⁻¹)_jj
    let precisions = precisions(model)?;
    let mut pairs = Vec::new();
    for look in 1..=3 {
        let mut rng = stream(seed, Purpose::Diagnosis, look);
        let mut away =
            |size: f64| Array2::from_shape_fn((k_all, d), |(k, j)| size * rng.random_range(-1.0..1.0) / precisions[k][[j, j]].sqrt());
        let (shift, direction) = (away(0.3), away(1.0));
        let at =
            |h: f64| GaussianMixture::new(model.weights().clone(), model.means() + &shift + &direction * h, model.covariances().clone());
        let slope = |h: f64| -> Result<f64> {
            let sum = |h: f64| -> Result<f64> { Ok(fit::total(&at(h)?.log_evidence(probe)?.to_vec(), probe)) };
            Ok((sum(h)? - sum(-h)?) / (2.0 * h))
        };
        // Richardson: the error of the difference quotient is of order h⁴
        let h = 1e-3;
        let expected = (4.0 * slope(h)? - slope(2.0 * h)?) / 3.0;
        let score = score(&at(0.0)?, probe)?;
        let means = score.sum[k_all..].iter().zip(&score.squares[k_all..]).zip(&direction);
        let (found, scale) = means.fold((0.0, expected.abs()), |(f, s), ((sum, squares), v)| (f + sum * v, s + squares.sqrt() * v.abs()));
        pairs.push(Pair { found, expected, scale });
    }
    let reason = "the score of the means by the responsibilities against the slope of the evidence by differences, at three points near the fit; \
                  1e-6 of the terms, which a step of 1e-3 with extrapolation keeps";
    checks.add(identity("fisher", "score = slope of log p(x)", pairs, &Tolerance::relative(1e-6, reason), PROGRAM));
    Ok(())
}

fn maximum(model: &GaussianMixture, subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    if subject.repaired(|kind| matches!(kind, RepairKind::CovarianceFloored { .. })) {
        checks.notes.push(
            "a covariance was held at the floor: the likelihood has no maximum there, so neither score nor iteration was checked; use fewer \
             components, another shape or --reg"
                .to_owned(),
        );
        return Ok(());
    }
    if subject.rows.missing() != Missing::Integrate {
        checks.add(Some(score(model, subject.rows)?.finding(subject.status, |_| true)));
    }
    let em = GmmEm {
        components: model.n_components(),
        covariance: model.covariance_type(),
        start: Start::Parameters(model.clone()),
        restarts: 1,
        stopping: Stopping { max_iterations: 1, tolerance: 0.0 },
        ..GmmEm::default()
    };
    let after = em.fit(subject.rows, 0)?.objective();
    checks.add(Some(fit::gain("gain of one more EM iteration", subject.mean_log_evidence(), after, 0.0, subject.status)));
    Ok(())
}
