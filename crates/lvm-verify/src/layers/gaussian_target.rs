//! A Gaussian as target: every method has an exact answer there.

use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::layers::shared::file_tolerance;
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::fit::Status;
use lvm_core::linalg;
use lvm_core::random::{Purpose, stream};
use lvm_vi::bound::log_weights;
use lvm_vi::deterministic::{FixedPoint, GaussianOptimum, Shape};
use lvm_vi::estimator::{Gradient, Memory};
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{Family, FullRank, LowRank, MeanField, Variational};
use lvm_vi::fit::{self as vi, Vi};
use ndarray::{Array1, Array2};

fn target(case: &Case) -> Result<GaussianTarget, Problem> {
    Ok(GaussianTarget::from_precision(case.get("target.mean")?.vector()?, case.get("target.precision")?.matrix()?)?)
}

/// The optimum after `iterations` of the deterministic engine from N(0, I), none of which may be saved by a lucky criterion.
fn optimum(target: &GaussianTarget, shape: Shape, iterations: usize) -> Result<GaussianOptimum, Problem> {
    let engine = FixedPoint { shape, gradient_tolerance: 0.0, max_iterations: iterations, ..FixedPoint::default() };
    Ok(engine.fit(target)?.model)
}

/// O1: mean-field and full-rank optimum.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn optima(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (target, t) = (target(case)?, file_tolerance(case, "deterministic_relative", 1e-10)?);
    let diagonal = FixedPoint { shape: Shape::Diagonal, ..FixedPoint::default() }.fit(&target)?.model;
    let variances = case.get("meanfield_optimum.variances")?.vector()?;
    let sd = variances.mapv(f64::sqrt);
    let mean = case.get("meanfield_optimum.mean")?.vector()?;
    g.array_scaled("mean field: mean", Source::E, &diagonal.mean, &mean, &sd, &t);
    g.array("mean field: variances 1/Λ_ii", Source::E, &diagonal.covariance.diag().to_owned(), &variances, &t);
    let elbo = case.get("meanfield_optimum.elbo")?.number()?;
    g.scalar("mean field: ELBO", Source::E, diagonal.elbo, elbo, &t);
    let full = FixedPoint::default().fit(&target)?.model;
    let covariance = case.get("target.covariance")?.matrix()?;
    let scale = super::shared::covariance_scale(&covariance);
    g.array_scaled("full rank: mean", Source::E, &full.mean, &case.get("target.mean")?.vector()?, &sd, &t);
    let conditioned = conditioned(&t, &target)?;
    g.array_scaled("full rank: covariance", Source::E, &full.covariance, &covariance, &scale, &conditioned);
    let t = Tolerance::absolute(1e-10 * target.mean().len() as f64, "VERIFY O6: 1e-10 a dimension");
    g.scalar("full rank: KL", Source::E, -full.elbo, case.get("fullrank_optimum.kl_to_posterior")?.number()?, &t);
    let exact = |value: f64| Figure::exact(value, Source::E, 1e-10);
    for (family, best, reached) in [("mean field", elbo, diagonal.elbo), ("full rank", 0.0, full.elbo)] {
        g.headline(Headline::new(&case.id, family, "fixed point", exact(0.0), exact(best), exact(reached)), 0.001);
    }
    Ok(())
}

/// Inverting Λ loses as many digits as its condition number has.
fn conditioned(t: &Tolerance, target: &GaussianTarget) -> Result<Tolerance, Problem> {
    let (values, _) = linalg::eigh(target.precision())?;
    let condition = values[0] / values[values.len() - 1];
    let reason = format!("{}, and ε times the condition number {condition:.1e} of the precision", t.reason);
    Ok(Tolerance::relative(t.relative + 8.0 * f64::EPSILON * condition, reason))
}

/// O6: one step from N(0, I) is enough.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn one_step(g: &mut Group<'_>, case: &Case) -> Outcome {
    let target = target(case)?;
    let truth = case.get("target.mean")?.vector()?;
    let sd = case.get("meanfield_optimum.variances")?.vector()?.mapv(f64::sqrt);
    for (shape, name) in [(Shape::Diagonal, "mean field"), (Shape::Full, "full rank")] {
        let q = optimum(&target, shape, 1)?;
        let t = conditioned(&Tolerance::relative(1e-10, "VERIFY O6: 1e-10"), &target)?;
        g.array_scaled(format!("{name}: mean after one step"), Source::E, &q.mean, &truth, &sd, &t);
        let variances = match shape {
            Shape::Diagonal => sd.mapv(|s| s * s),
            Shape::Full => case.get("target.covariance")?.matrix()?.diag().to_owned(),
        };
        g.array(format!("{name}: variances after one step"), Source::E, &q.covariance.diag().to_owned(), &variances, &t);
    }
    Ok(())
}

/// P5: the tail index of p/q at the mean-field optimum is 1 − λ_min(R), and KL(p ‖ q) of the diagonal Gaussian with the right marginals.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn tail(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (target, t) = (target(case)?, file_tolerance(case, "deterministic_relative", 1e-10)?);
    let q = optimum(&target, Shape::Diagonal, 2)?;
    let sd = q.standard_deviations();
    let r = correlation(&target, &sd);
    let (values, _) = linalg::eigh(r.view())?;
    let k = 1.0 - values[values.len() - 1];
    g.scalar("tail index of p/q, 1 − λ_min(S^½ Λ S^½)", Source::E, k, case.get("importance_ratio_tail.k_exact")?.number()?, &t);
    let truth = case.get("forward_kl_diagonal.variances")?.vector()?;
    let p = FullRank::new(&target.mean().to_vec(), case.get("target.covariance")?.matrix()?.view())?;
    g.array("forward KL: variances are the marginal ones", Source::E, &p.covariance().diag().to_owned(), &truth, &t);
    let marginal = MeanField::new(&target.mean().to_vec(), &truth.mapv(f64::sqrt).to_vec())?;
    let kl = lvm_vi::family::kl(&p, &marginal)?;
    g.scalar(
        "forward KL of the best diagonal Gaussian",
        Source::E,
        kl,
        case.get("forward_kl_diagonal.kl_p_to_q")?.number()?,
        &conditioned(&t, &target)?,
    );
    let reverse = lvm_vi::family::kl(&q.mean_field()?, &p)?;
    g.scalar(
        "KL(q ‖ p) in closed form",
        Source::E,
        reverse,
        case.get("meanfield_optimum.kl_to_posterior")?.number()?,
        &conditioned(&t, &target)?,
    );
    Ok(())
}

/// R = S^½ Λ S^½ of a diagonal S.
fn correlation(target: &GaussianTarget, sd: &Array1<f64>) -> Array2<f64> {
    let precision = target.precision();
    Array2::from_shape_fn(precision.dim(), |(i, j)| sd[i] * precision[[i, j]] * sd[j])
}

/// S3: the sticking-the-landing gradient is zero, draw by draw, at q = p.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn no_noise(g: &mut Group<'_>, case: &Case) -> Outcome {
    let target = target(case)?;
    let q = FullRank::new(&target.mean().to_vec(), case.get("target.covariance")?.matrix()?.view())?;
    let (mut rng, mut memory, mut gradient) =
        (stream(g.seed(0), Purpose::Diagnosis, 0), Memory::default(), vec![0.0; q.parameters().len()]);
    let mut worst = 0.0_f64;
    for _ in 0..1000 {
        Gradient::StickingTheLanding.estimate(&q, &target, 1, &mut memory, &mut rng, &mut gradient)?;
        worst = gradient.iter().fold(worst, |m, v| m.max(v.abs()));
    }
    let (values, _) = linalg::eigh(target.precision())?;
    // Λ (u − m) is compared with S⁻¹ (u − m) solved from S
    let allowed = 1e-10 * (values[0] / values[values.len() - 1]).max(1.0);
    g.bounded(
        "largest entry of 1000 gradients of one draw",
        Source::E,
        worst,
        &Tolerance::absolute(allowed, "VERIFY S3: 1e-10, times the condition number"),
    );
    Ok(())
}

/// S4: Var_q(log p/q) = (‖R‖² − d)/2 at the mean-field optimum, and its mean is −KL.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn variance(g: &mut Group<'_>, case: &Case) -> Outcome {
    let target = target(case)?;
    let variances = case.get("meanfield_optimum.variances")?.vector()?;
    let sd = variances.mapv(f64::sqrt);
    let r = correlation(&target, &sd);
    let d = sd.len() as f64;
    let exact = 0.5 * (r.iter().map(|v| v * v).sum::<f64>() - d);
    let elbo = case.get("meanfield_optimum.elbo")?.number()?;
    let q = MeanField::new(&case.get("meanfield_optimum.mean")?.vector()?.to_vec(), &sd.to_vec())?;
    let (seed, mut look) = (g.seed(0), 0);
    let mut draw = |n: usize| {
        look += 1;
        log_weights(&q, &target, n, seed.wrapping_add(look)).map(|w| w.values)
    };
    // 5 % in a full run: the squares have up to 14 times the variance of a normal's, 16 looks' worth of draws suffice
    let (share, n) = if g.budget == Budget::Quick { (0.2, 10_000) } else { (0.05, 100_000) };
    let margin = share * exact;
    let reason = "(‖R‖² − d)/2: log p/q is a quadratic form in standard normals";
    g.expectation("variance of log p/q", (Truth::from(exact), Source::E), Claim::Equal(margin), n, reason, |n| {
        Ok(draw(n)?.into_iter().map(|w| (w - elbo).powi(2)).collect())
    })?;
    g.expectation("mean of log p/q, the ELBO", (Truth::from(elbo), Source::E), Claim::Equal(0.05), n, "−KL(q ‖ p)", |n| Ok(draw(n)?))
}

/// S1, S2 and O1 of the low-rank family: its ELBO by draws is the closed form, its pathwise gradients have the mean that differences of the
/// closed form have, and runs of ranks 1, 2 and 3 end, none worse than the one before, the first none worse than the mean field.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn low_rank(g: &mut Group<'_>, case: &Case) -> Outcome {
    let target = target(case)?;
    let covariance = case.get("target.covariance")?.matrix()?;
    let (mean, d) = (target.mean().to_owned(), target.mean().len());
    let sd = covariance.diag().mapv(f64::sqrt);
    let shifted = (&mean + &(&sd * 0.3)).to_vec();
    let q = LowRank::from_covariance(&shifted, (&covariance * 1.2).view(), 1)?;
    let elbo = |q: &LowRank| FixedPoint::elbo(&target, q.mean().view(), q.covariance().view());
    let exact = elbo(&q)?;
    let (seed, mut look) = (g.seed(5), 0);
    let (margin, n) = if g.budget == Budget::Quick { (0.2, 5_000) } else { (0.02, 120_000) };
    let reason = "ELBO of a Gaussian of covariance D + B Bᵀ for a Gaussian, in closed form";
    g.expectation("rank 1: ELBO by draws", (Truth::from(exact), Source::E), Claim::Equal(margin * d as f64 / 3.0), n, reason, |n| {
        look += 1;
        Ok(log_weights(&q, &target, n, seed.wrapping_add(look))?.values)
    })?;
    let parameters = q.parameters().to_vec();
    let slope = |i: usize| -> Result<f64, Problem> {
        let at = |by: f64| {
            let mut p = parameters.clone();
            p[i] += by;
            elbo(&q.with_parameters(&p)?)
        };
        let h = 1e-4 * parameters[i].abs().max(0.1);
        Ok((8.0 * (at(h)? - at(-h)?) - (at(2.0 * h)? - at(-2.0 * h)?)) / (12.0 * h))
    };
    let truth = (0..parameters.len()).map(slope).collect::<Result<Array1<f64>, _>>()?;
    // in units in which a step of one moves q by about one nat: means by their sds, the entries of B alike
    let unit = Array1::from_shape_fn(parameters.len(), |i| if (d..2 * d).contains(&i) { 1.0 } else { sd[i % d] });
    for (index, (name, estimator)) in [
        ("pathwise", Gradient::Pathwise),
        ("pathwise, closed entropy", Gradient::PathwiseClosedEntropy),
        ("sticking the landing", Gradient::StickingTheLanding),
        ("quadratic control", Gradient::QuadraticControl),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rng = stream(g.seed(10 + index as u64), Purpose::Diagnosis, 0);
        let mut memory = Memory::default();
        let mut draw = |n: usize| -> Result<Array2<f64>, Problem> {
            let mut out = Array2::zeros((n, parameters.len()));
            let mut gradient = vec![0.0; parameters.len()];
            for mut row in out.rows_mut() {
                estimator.estimate(&q, &target, 1, &mut memory, &mut rng, &mut gradient)?;
                row.assign(&(Array1::from(gradient.clone()) * &unit));
            }
            Ok(out)
        };
        let spread = draw(2000)?.var_axis(ndarray::Axis(0), 1.0).iter().fold(0.0, |m: f64, v| m.max(*v)).sqrt();
        let n = if g.budget == Budget::Quick { 2_000 } else { 20_000 };
        let quantile = crate::stochastic::t2_quantile(g.alpha_of_look(), parameters.len(), 16 * n).sqrt() + 4.75;
        let margin = 1.3 * quantile * spread / (16.0 * n as f64).sqrt();
        let reason =
            format!("differences of the exact ELBO (fourth order); 16 times {n} draws of this spread see {margin:.2} of a natural unit");
        g.unbiased(format!("rank 1: {name}"), (&(&truth * &unit), Source::E), (margin, 1e-6), n, &reason, &mut draw)?;
    }
    // seconds each
    if g.budget == Budget::Quick {
        return Ok(());
    }
    let mut narrower = case.get("meanfield_optimum.elbo")?.number()?;
    for rank in 1..=3 {
        // of four latents rank 1 is all that is known apart from the diagonal, of two none
        let start = match LowRank::start(d, rank) {
            Ok(start) => start,
            Err(e) => {
                let says = e.to_string();
                g.holds(format!("rank {rank} is refused"), &says, "take FullRank", says.contains("FullRank"), "Ledermann 1937");
                break;
            }
        };
        let stopping = vi::Stopping { tolerance: 0.02, max_iterations: 400_000, ..Default::default() };
        let fitted = Vi { stopping, ..Vi::new(start) }.fit(&target, g.seed(20 + rank as u64))?;
        let reached = elbo(&fitted.model.q)?;
        let slack = 0.0016 * (2 * d + rank * d) as f64;
        let t = Tolerance::absolute(slack, "(2δ)² nats for each parameter that the run leaves δ = 0.02 off, a 95 % statement");
        // min δ_i/sd_i: 0 at a Heywood case, where log δ_i has no optimum (rank 1 on the correlations of iris)
        let q = &fitted.model.q;
        let own = q.parameters()[d..2 * d].iter().zip(q.standard_deviations()).map(|(l, sd)| l.exp() / sd).fold(f64::MAX, f64::min);
        g.holds(
            format!("rank {rank}: end"),
            format!("{:?} after {} steps, smallest δ/sd {own:.1e}", fitted.status, fitted.iterations()),
            "Converged, or a δ on its way to 0",
            (fitted.status == Status::Converged) != (own < 0.05),
            "a Gaussian target; as in factor analysis the best δ may be 0, which no run reaches",
        );
        let below = (narrower - reached).max(0.0);
        g.bounded(format!("rank {rank}: ELBO below that of one rank less"), Source::E, below, &t);
        g.bounded(format!("rank {rank}: ELBO above the evidence"), Source::E, reached.max(0.0), &Tolerance::rounding(d * d, 10.0));
        narrower = reached;
    }
    Ok(())
}
