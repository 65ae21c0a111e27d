//! P1: the exact optimum of each family beside the posterior: means, covariances, KL and ELBO, row by row.

use super::{Setting, Truth};
use crate::check::{Source, Tolerance};
use crate::layers::shared::covariance_scale;
use crate::oracle::{ABSENT, ENABLE, Lapack};
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Outcome};
use lvm_core::model::{Evidence, Infer};
use lvm_vi::local::{self, LocalGaussian, PerDatum, Shape};
use ndarray::{Array1, Array2};

/// Mean field and full covariance in closed form and by ascent, each row against its posterior.
///
/// # Errors
/// If the library refuses.
pub(super) fn posteriors(g: &mut Group<'_>, s: &Setting) -> Outcome {
    let truth = s.truth()?;
    let t = &truth.tolerance;
    let posterior = local::full_covariance(&s.model, &s.x)?;
    let scale = Array2::from_shape_fn(truth.mean.dim(), |(_, i)| truth.covariance[[i, i]].sqrt());
    let size = truth.mean.iter().zip(&scale).fold(1.0, |m: f64, (z, s)| m.max((z / s).abs()));
    let unit = Tolerance::relative(t.relative * size, format!("{}; times the largest |z̄|/sd", t.reason));
    match Lapack::get() {
        None => g.not_run("analytic posterior against dense formulas", ABSENT, ENABLE),
        Some(_) => {
            g.array_scaled("full rank: means of all rows", Source::Q, posterior.mean(), &truth.mean, &scale, &unit);
            let scale = covariance_scale(&truth.covariance);
            g.array_scaled("full rank: covariance", Source::Q, &posterior.covariance(0).to_owned(), &truth.covariance, &scale, t);
            g.array("log p(x) of all rows", Source::Q, &s.model.log_evidence(&s.x)?, &truth.log_evidence, t);
        }
    }
    let q = local::mean_field(&s.model, &s.x)?;
    g.array_scaled("mean field: means are the posterior's", truth.source, q.mean(), &truth.mean, &scale, &unit);
    let variances = truth.precision.diag().mapv(|l| 1.0 / l);
    let rounding = Tolerance::relative(16.0 * (s.x.ncols() + 16) as f64 * f64::EPSILON, "16·(D+16)·ε: a sum of D positive terms, twice");
    g.array("mean field: variances are 1/Λ_ii", Source::E, &q.covariance(0).diag().to_owned(), &variances, &rounding);
    let kl = q.kl(&s.model.infer(&s.x)?)?;
    let gap = Array1::from_elem(kl.len(), truth.family_gap);
    g.array("mean field: KL(q ‖ p) = ½ (Σ log Λ_ii − log det Λ) in every row", Source::E, &kl, &gap, t);
    rows(g, s, &truth, "mean field", &q)?;
    rows(g, s, &truth, "full rank", &LocalGaussian::from(&posterior))?;
    for (name, shape) in [("mean field", Shape::Diagonal), ("full rank", Shape::Full)] {
        ascent(g, s, &truth, name, shape)?;
    }
    principal_axes(g, s)?;
    let pair = |covariance: &Array2<f64>| truth.mean.row(0).iter().zip(covariance.diag()).map(|(m, v)| (*m, v.sqrt())).collect();
    g.exhibits.push(Exhibit::Forest {
        case: format!("{}, row 1, mean field", g.case()),
        names: (1..=truth.mean.ncols()).map(|i| format!("z{i}")).collect(),
        ours: pair(&q.covariance(0)),
        truth: pair(&truth.covariance),
    });
    Ok(())
}

/// ELBO_n + KL_n = log p(x_n), the three by different code.
fn rows(g: &mut Group<'_>, s: &Setting, truth: &Truth, name: &str, q: &LocalGaussian) -> Outcome {
    let elbo = local::elbo_rows(&s.model, q, &s.x)?;
    let some = elbo.len().min(200);
    let kl = (0..some).map(|n| truth.kl(n, &q.mean().row(n).to_owned(), &q.covariance(n))).collect::<Result<Array1<f64>, _>>()?;
    let sum = &kl + &elbo.iter().take(some).copied().collect::<Array1<f64>>();
    let evidence: Array1<f64> = truth.log_evidence.iter().take(some).copied().collect();
    g.array(format!("{name}: ELBO + KL = log p(x), {some} rows"), truth.source, &sum, &evidence, &truth.tolerance);
    let above = elbo.iter().zip(&truth.log_evidence).fold(0.0, |m: f64, (e, p)| m.max(e - p));
    let t = Tolerance::absolute(truth.allowed(), truth.tolerance.reason.clone());
    g.bounded(format!("{name}: ELBO above log p(x), all rows"), truth.source, above, &t);
    Ok(())
}

/// The ascent of every datum's own parameters ends at the closed form.
fn ascent(g: &mut Group<'_>, s: &Setting, truth: &Truth, name: &str, shape: Shape) -> Outcome {
    let q = PerDatum { shape, ..Default::default() }.fit(&s.model, &s.x)?.model;
    let kl = q.kl(&s.model.infer(&s.x)?)?;
    let best = Array1::from_elem(kl.len(), if shape == Shape::Diagonal { truth.family_gap } else { 0.0 });
    let t = Tolerance::absolute(1e-12 + truth.tolerance.absolute, "PerDatum's own promise of 1e-12 nats a row, and rounding of the KL");
    g.array(format!("{name}: KL after ascent of each row"), Source::E, &kl, &best, &t);
    Ok(())
}

/// Turned back to where Λ is diagonal the mean field is exact.
fn principal_axes(g: &mut Group<'_>, s: &Setting) -> Outcome {
    let w = s.model.loadings();
    let scaled = w / &s.model.noise().mapv(f64::sqrt).insert_axis(ndarray::Axis(1));
    let (_, axes) = lvm_core::linalg::eigh(scaled.t().dot(&scaled).view())?;
    let model = lvm_core::linear_gaussian::LinearGaussian::new(s.model.mean().clone(), w.dot(&axes), s.model.noise().clone())?;
    let kl = local::mean_field(&model, &s.x)?.kl(&model.infer(&s.x)?)?;
    let truth = Truth::of(&model, &s.x)?;
    let largest = kl.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let t = Tolerance::absolute(truth.tolerance.absolute, format!("0 where WᵀΨ⁻¹W is diagonal; {}", truth.tolerance.reason));
    g.bounded("mean field along the principal axes: KL", Source::E, largest, &t);
    Ok(())
}
