//! O1, O5 and P1: whether the engine ends at the best member of the family, whether that is stationary by draws, and how far it is from
//! the posterior.

use super::{Optima, Reference, family};
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::layers::shared::covariance_scale;
use crate::posterior::Posterior;
use crate::report::exhibit::Exhibit;
use crate::suite::{Budget, Group, Outcome};
use lvm_core::fit::Status;
use lvm_core::linalg;
use lvm_core::random::{Purpose, stream};
use lvm_vi::deterministic::Shape;
use ndarray::{Array1, Array2, Axis};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// O1 with the deterministic engine, and the five numbers.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn reached(g: &mut Group<'_>, case: &Case, optima: &Optima<'_>, shape: Shape) -> Outcome {
    let (reference, fitted) = (Reference::of(case, shape)?, optima.get(shape)?);
    let (q, name) = (&fitted.model, family(shape));
    let converged = fitted.status == Status::Converged;
    g.holds(
        format!("{name}: status"),
        if converged { "converged" } else { "not converged" },
        "converged",
        converged,
        "the optimum exists: the file has it",
    );
    let t = reference.tolerance();
    g.array_scaled(format!("{name}: mean"), Source::Q, &q.mean, &reference.mean, &reference.sd, &relative(&t));
    match shape {
        Shape::Diagonal => g.array(format!("{name}: sd"), Source::Q, &q.standard_deviations(), &reference.sd, &relative(&t)),
        Shape::Full => {
            let scale = covariance_scale(&reference.covariance);
            g.array_scaled(format!("{name}: covariance"), Source::Q, &q.covariance, &reference.covariance, &scale, &relative(&t));
        }
    }
    let evidence = case.get("truth.log_evidence")?.number()?;
    let elbo = Tolerance::absolute(
        1e-6 + reference.of_elbo().absolute,
        "VERIFY O1: 1e-6 for a deterministic engine, beside the file's own quadrature",
    );
    g.scalar(format!("{name}: ELBO"), Source::Q, q.elbo, reference.elbo, &elbo);
    g.scalar(format!("{name}: KL to the posterior"), Source::Q, evidence - q.elbo, reference.kl, &elbo);
    let error = case.get("truth.error_estimate")?.number()?;
    let exact = |value: f64, tolerance: f64| Figure::exact(value, Source::Q, tolerance);
    let headline = Headline::new(
        &case.id,
        name,
        "fixed point",
        exact(evidence, error.max(1e-10)),
        exact(reference.elbo, reference.of_elbo().absolute),
        exact(q.elbo, reference.of_elbo().absolute),
    );
    // R3: 0.01 nats, 0.001 for d ≤ 5
    g.headline(headline, if q.mean.len() <= 5 { 0.001 } else { 0.01 });
    Ok(())
}

fn relative(t: &Tolerance) -> Tolerance {
    Tolerance::relative(t.absolute, t.reason.clone())
}

/// O5: E_q[∇ log p] = 0 and E_q[∇² log p] = −S⁻¹ (its diagonal for mean field) at the end of a run, by draws and by the gradient of the
/// model alone. With u = m + L ε and w = Lᵀ∇ log p(u), Stein's identity makes these E\[w\] = 0 and E\[w ∘ ε\] = −1; ε and −1 = −E\[ε ∘ ε\]
/// are added under the mean, which takes most of the noise away where q is near the posterior.
///
/// # Errors
/// If the library refuses or the model can't be evaluated.
pub(super) fn stationary(g: &mut Group<'_>, model: &dyn Posterior, optima: &Optima<'_>, shape: Shape) -> Outcome {
    let q = &optima.get(shape)?.model;
    let d = q.mean.len();
    let l = linalg::cholesky(q.covariance.view()).map_err(|e| e.of("covariance of q"))?;
    let (margin, n) = if g.budget == Budget::Quick { (0.5, 2_000) } else { (0.25, 16_000) };
    let seed = g.seed(usize::from(shape == Shape::Full) as u64);
    let mut look = 0;
    let draw = |n: usize| {
        look += 1;
        let rows: Vec<Result<Vec<f64>, lvm_vi::target::TargetError>> = (0..n)
            .into_par_iter()
            .map(|i| {
                let mut rng = stream(seed.wrapping_add(look), Purpose::Diagnosis, i as u64);
                let noise: Array1<f64> = (0..d).map(|_| StandardNormal.sample(&mut rng)).collect();
                let u = &q.mean + &l.dot(&noise);
                let mut gradient = vec![0.0; d];
                model.log_density_grad(&u.to_vec(), &mut gradient)?;
                let whitened = l.t().dot(&Array1::from(gradient)) + &noise;
                Ok(whitened.iter().copied().chain(whitened.iter().zip(&noise).map(|(w, e)| w * e)).collect())
            })
            .collect();
        let mut out = Array2::zeros((n, 2 * d));
        for (mut row, found) in out.axis_iter_mut(Axis(0)).zip(rows) {
            row.assign(&Array1::from(found?));
        }
        Ok(out)
    };
    let reason = "Bonnet and Price: E_q[∇ log p] = 0, E_q[∇² log p] = −S⁻¹, in whitened units";
    // an optimum found to 1e-6 leaves that much where draws do not vary
    g.unbiased(format!("{}: stationary by draws", family(shape)), (&Array1::zeros(2 * d), Source::I), (margin, 1e-6), n, reason, draw)
}

/// P1: the error of q against the posterior is the error of q*: reproduced, not judged.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn errors(g: &mut Group<'_>, case: &Case, optima: &Optima<'_>, shape: Shape) -> Outcome {
    let (reference, q) = (Reference::of(case, shape)?, &optima.get(shape)?.model);
    let (mean, sd) = (case.get("truth.unconstrained.mean")?.vector()?, case.get("truth.unconstrained.sd")?.vector()?);
    if mean.len() != q.mean.len() || sd.len() != q.mean.len() {
        return Err("truth.unconstrained: not as long as q".to_owned().into());
    }
    let (ours, name) = (q.standard_deviations(), family(shape));
    let t = reference.tolerance();
    let (shift, ratio) = ((&q.mean - &mean) / &sd, &ours / &sd);
    let (shift_truth, ratio_truth) = ((&reference.mean - &mean) / &sd, &reference.sd / &sd);
    // q's standard deviation may be larger than the posterior's, in whose units this is
    let wide = ratio_truth.iter().fold(1.0, |m: f64, r| m.max(*r));
    let t = Tolerance::absolute(t.absolute * wide, t.reason);
    g.array(format!("{name}: (mean − posterior mean)/sd"), Source::Q, &shift, &shift_truth, &t);
    g.array(format!("{name}: sd/posterior sd"), Source::Q, &ratio, &ratio_truth, &t);
    let node = case.get(&format!("vi_optimum.{}.error_vs_posterior_unconstrained", super::field(shape)))?;
    let largest = shift.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let (low, high) = ratio.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
    let summary = [("max_abs_mean_error_in_posterior_sd", largest), ("min_sd_ratio", low), ("max_sd_ratio", high)];
    for (field, ours) in summary {
        g.scalar(format!("{name}: {}", field.replace('_', " ")), Source::Q, ours, node.get(field)?.number()?, &t);
    }
    let pairs = |mean: &Array1<f64>, sd: &Array1<f64>| mean.iter().copied().zip(sd.iter().copied()).collect();
    g.exhibits.push(Exhibit::Forest {
        case: format!("{}, {name}", case.id),
        names: (1..=mean.len()).map(|i| format!("u{i}")).collect(),
        ours: pairs(&q.mean, &ours),
        truth: pairs(&mean, &sd),
    });
    Ok(())
}
