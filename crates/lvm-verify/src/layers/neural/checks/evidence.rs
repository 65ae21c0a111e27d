//! V3, V4: the library's own estimators of evidence and of the gap's two parts, at fixed weights.

use super::fixed::autoencoder;
use crate::case::{Case, Node};
use crate::check::{Source, Tolerance};
use crate::stochastic::{Claim, Truth};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::random::Purpose;
use lvm_deep::Kind;
use lvm_deep::data::Batch;
use lvm_deep::evidence::{Annealed, Ascent, EvaluationMemory, Expectation, Gaps, Optimum, Path, Quadrature, iwae};
use lvm_deep::noise::Noise;
use lvm_deep::tensor::to_values;
use lvm_deep::vae::Vae;
use ndarray::Array1;

/// Standard errors within which a one-sided or two-sided comparison of draws is held: false alarm below 6e-7 each (normal mean of draws).
const Z: f64 = 5.0;

/// V3: log p by quadrature, the bound by single draws, IWAE from below, annealing from both sides.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(in super::super) fn estimators(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (vae, batch, _) = autoencoder(case, Kind::Double)?;
    let truth = case.get("truth.log_p")?.vector()?;
    let rounding =
        Tolerance::absolute(1e-10, "the quadrature of the file is good to 1e-13, the library's own says 1e-13 for such decoders");
    let quadrature = Quadrature::default().evaluate(&vae, &batch)?;
    g.array("log p by the library's quadrature", Source::Q, &quadrature.log_evidence, &truth, &rounding);
    g.array("posterior mean by quadrature", Source::Q, &quadrature.mean, &case.get("truth.posterior_mean")?.matrix()?, &rounding);

    // one draw for each row: the mean over rows of log w has the mean ELBO as its expectation
    let mut call = 0;
    let mean_elbo = Truth { value: case.get("truth.mean_elbo")?.number()?, error: 0.0 };
    let seed = g.seed(0);
    g.expectation(
        "mean ELBO by draws",
        (mean_elbo, Source::Q),
        Claim::Within(0.05),
        12_000,
        "draws of log p(x, z) − log q(z | x)",
        |n| {
            call += 1;
            let mut noise = Noise::new(seed, Purpose::Diagnosis, call, Kind::Double, tch::Device::Cpu);
            let log_w =
                tch::no_grad(|| vae.terms(&batch, n as i64, &mut noise).log_weights().mean_dim([1].as_slice(), false, None::<Kind>));
            Ok::<_, Problem>(to_values(&log_w))
        },
    )?;

    importance_weighted(g, &vae, &batch, &truth)?;
    annealed(g, &vae, &batch, &truth)
}

/// E[IWAE_k] rises in k and stays below log p.
fn importance_weighted(g: &mut Group<'_>, vae: &Vae, batch: &Batch, truth: &Array1<f64>) -> Outcome {
    let total = truth.sum();
    let mut last = f64::NEG_INFINITY;
    for k in [1, 10, 100, 5000] {
        let repeats = if k == 5000 { 4 } else { 40 };
        let bound = iwae(vae, batch, k, repeats, EvaluationMemory::default(), g.seed(1))?.total;
        let above = (bound.mean - total).max(0.0);
        let noise = Tolerance::absolute(
            Z * bound.std_err,
            format!("{Z} standard errors of {} repeats; a bound from below in expectation", bound.draws),
        );
        g.bounded(format!("IWAE_{k} above log p, all rows"), Source::Q, above, &noise);
        g.holds(
            format!("IWAE_{k} above the bound of fewer draws"),
            format!("{:.3}", bound.mean),
            format!("at least {last:.3} less {Z} errors"),
            bound.mean >= last - Z * bound.std_err,
            "Burda et al. 2016, theorem 1",
        );
        last = bound.mean;
    }
    let n = truth.len() as f64;
    g.bounded(
        "what IWAE_5000 lacks, nats a row",
        Source::Q,
        (total - last).max(0.0) / n,
        &Tolerance::absolute(0.25, "the bias of log mean w for weights as heavy-tailed as these; 10 nats at k = 1"),
    );
    Ok(())
}

/// Annealing agrees with quadrature, and on simulated rows forwards and backwards enclose it.
fn annealed(g: &mut Group<'_>, vae: &Vae, batch: &Batch, truth: &Array1<f64>) -> Outcome {
    let rows = batch.narrow(0, 12);
    let (temperatures, chains) = if g.quick { (60, 32) } else { (200, 64) };
    let annealed = Annealed { temperatures, path: Path::Prior, chains, ..Default::default() };
    let found = annealed.evaluate(vae, &rows, g.seed(2))?;
    let (ours, exact) = (found.bound.total, truth.iter().take(12).sum::<f64>());
    let noise = Tolerance::absolute(
        Z * ours.std_err + found.bound.rows.iter().map(|r| r.std_err.powi(2)).sum::<f64>(),
        format!("{Z} standard errors, and half the squared error of each row by which a log of a mean is low"),
    );
    g.scalar("log p by annealing, 12 rows", Source::Q, ours.mean, exact, &noise);
    g.bounded(
        "standard error of annealing, nats a row",
        Source::I,
        ours.std_err / 12.0,
        &Tolerance::absolute(0.05, "a pass without power is not a pass"),
    );

    let mut rng = lvm_core::random::stream(g.seed(3), Purpose::Sample, 0);
    let mut noise = Noise::from_rng(&mut rng, Kind::Double, tch::Device::Cpu);
    let z = vae.parts.prior.sample(12, &mut noise);
    let outputs = vae.outputs(&z.unsqueeze(0), &rows).squeeze_dim(0);
    let simulated = Batch::new(tch::no_grad(|| vae.parts.likelihood.sample(&outputs, &rows, &mut noise)));
    let exact = Quadrature::default().evaluate(vae, &simulated)?.log_evidence.sum();
    let sandwich = annealed.sandwich(vae, &simulated, &z, g.seed(4))?;
    let (lower, upper) = (&sandwich.lower.bound.total, &sandwich.upper.total);
    g.bounded(
        "annealing forwards above log p",
        Source::Q,
        (lower.mean - exact).max(0.0),
        &Tolerance::absolute(Z * lower.std_err, format!("{Z} standard errors")),
    );
    g.bounded(
        "annealing backwards below log p",
        Source::Q,
        (exact - upper.mean).max(0.0),
        &Tolerance::absolute(Z * upper.std_err, format!("{Z} standard errors")),
    );
    let width = (upper.mean - lower.mean).abs() / 12.0;
    let noise = Z * lower.std_err.hypot(upper.std_err) / 12.0;
    g.bounded(
        "width of the sandwich, nats a row",
        Source::I,
        width,
        &Tolerance::absolute(0.05 + noise, format!("0.05 nats and {Z} standard errors of both sides")),
    );
    Ok(())
}

/// V4: the gap is approximation and amortization, each by the optimum of the family for a row.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(in super::super) fn gaps(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (vae, batch, _) = autoencoder(case, Kind::Double)?;
    let optima: Vec<Node<'_>> = case.get("optimal_gaussians")?.list()?;
    let rows = batch.narrow(0, optima.len() as i64);
    let ascent = Ascent { gradient_tolerance: 1e-8, ..Default::default() };
    // with a fifth of a standard deviation the rule is good for 1e-6 to 1e-10
    let step = if g.quick { 0.2 } else { 0.1 };
    let optimum = Optimum::new(&vae, &rows, Expectation::Quadrature(step), &ascent, g.seed(0))?;
    let log_p = Quadrature::default().evaluate(&vae, &rows)?.log_evidence;
    let gaps = Gaps::new(&log_p, &optimum)?;
    let field =
        |name: &str| -> Result<Array1<f64>, Problem> { Ok(optima.iter().map(|o| o.get(name)?.number()).collect::<Result<_, _>>()?) };
    let allowed = Tolerance::absolute(1e-6, "a gradient below 1e-8 leaves its square over the curvature; the catalogue asks for 1e-4");
    g.array("ELBO at the optimum of a row", Source::Q, &optimum.elbo, &field("meanfield_elbo")?, &allowed);
    g.array("approximation gap", Source::Q, &gaps.approximation, &field("approximation_gap")?, &allowed);
    g.array("amortization gap", Source::Q, &gaps.amortization, &field("amortisation_gap")?, &allowed);
    let total = case.get("truth.gap")?.vector()?.iter().take(optima.len()).copied().collect::<Array1<f64>>();
    g.array("the parts add up to log p − ELBO", Source::Q, &gaps.total(), &total, &Tolerance::absolute(1e-9, "quadrature and rounding"));
    Ok(())
}
