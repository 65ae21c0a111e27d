//! P4 of a target: the verdict of `Diagnose`, whether it keeps its promise where the moments are known or can be simulated, and the five
//! numbers.

use super::Truth;
use super::runs::{Judged, Run, Runs};
use crate::check::{Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::report::confusion::Judgement;
use crate::stochastic::{detectable_bias, two_sided};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::bound::Estimate;
use lvm_vi::diagnose::{Diagnose, Diagnosis, Known, Level};
use ndarray::Array1;

/// Means and standard deviations of the posterior, with what they may be off by, in units of those standard deviations.
struct Moments {
    mean: Array1<f64>,
    sd: Array1<f64>,
    error: f64,
}

/// P4 of one family.
pub(super) fn judge<F: Judged>(g: &mut Group<'_>, runs: &Runs<'_, F>) -> Outcome {
    let all = runs.all(g)?;
    let (target, truth, name) = (runs.target, &runs.target.truth, F::NAME);
    let q = &all[0].model.q;
    let restarts: Vec<F> = all[1..].iter().map(|r| r.model.q.clone()).collect();
    let known = Known { log_evidence: truth.log_evidence, restarts: &restarts, vsbc: None };
    let found = Diagnose::default().run_knowing(q, target.density, g.seed(0), &known)?;
    let level = found.verdict.level;
    let said = format!("{level}, k {:.2}", found.pareto_k);
    let why: Vec<String> = found.verdict.reasons.iter().map(|r| format!("{}: {}", r.level, r.finding)).collect();
    // that a mean field fails is an answer, and may be the right one; where the richest family fails nothing here can be used
    let (expected, fine) = if F::DIAGONAL { ("an answer", !why.is_empty()) } else { ("pass or warn", level != Level::Fail) };
    g.holds(format!("{name}: verdict"), said, expected, fine, &why.join("; "));
    if let Some(moments) = moments(g, runs)? {
        let (mean_error, scale_error) = errors(q, &moments);
        let judgement = Judgement {
            case: target.name.to_owned(),
            q: name.to_owned(),
            optimum: true,
            level,
            pareto_k: found.pareto_k,
            mean_error: (mean_error - moments.error).max(0.0),
            scale_error: (scale_error - moments.error).max(0.0),
        };
        let expected = format!("means off by {mean_error:.3} sd at most, sds by {:.1} %", 100.0 * scale_error);
        let reason = "a pass promises means within 0.1 sd and sds within 15 % of the truth";
        g.holds(format!("{name}: no false pass"), level.to_string(), expected, judgement.is_good() || level != Level::Pass, reason);
        g.judgements.push(judgement);
    }
    five_numbers(g, name, truth, &all[0], &found);
    Ok(())
}

/// The largest error of a mean in posterior standard deviations, and of a standard deviation as a share.
fn errors<F: Judged>(q: &F, truth: &Moments) -> (f64, f64) {
    let largest = |v: Array1<f64>| v.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
    (largest((&q.mean() - &truth.mean) / &truth.sd), largest(&q.standard_deviations() / &truth.sd - 1.0))
}

/// What is known of the moments: from the caller, or by simulation.
fn moments<F: Judged>(g: &mut Group<'_>, runs: &Runs<'_, F>) -> Result<Option<Moments>, Problem> {
    let truth = &runs.target.truth;
    match (&truth.mean, &truth.standard_deviations) {
        (Some(mean), Some(sd)) => Ok(Some(Moments { mean: mean.clone(), sd: sd.clone(), error: 0.0 })),
        _ => simulated(g, runs),
    }
}

/// Chains of NUTS around the first q.
#[cfg(feature = "nuts")]
fn simulated<F: Judged>(g: &mut Group<'_>, runs: &Runs<'_, F>) -> Result<Option<Moments>, Problem> {
    let q = &runs.first(g)?.model.q;
    // the latents in units of q: chains then start and step where the posterior is
    let nuts =
        lvm_vi::simulate::Nuts { centre: Some(q.mean()), spread: q.standard_deviations().mean().unwrap_or(1.0), ..Default::default() };
    let chains = nuts.run(runs.target.density, g.seed(1))?;
    let (r_hat, divergences) = (chains.max_r_hat(), chains.divergences);
    let effective = chains.effective_draws.iter().copied().fold(f64::INFINITY, f64::min);
    let believed = r_hat < 1.02 && divergences == 0;
    let reason = "chains that disagree or diverge judge nobody (4 chains of 1000 draws)";
    g.holds(format!("{}: simulation", F::NAME), format!("R̂ {r_hat:.3}, {divergences} divergences"), "R̂ below 1.02, none", believed, reason);
    // four standard errors: of a mean 1/√n, of a standard deviation 1/√2n
    Ok(believed.then(|| Moments { mean: chains.mean(), sd: chains.standard_deviations(), error: 4.0 / effective.sqrt() }))
}

#[cfg(not(feature = "nuts"))]
fn simulated<F: Judged>(g: &mut Group<'_>, _: &Runs<'_, F>) -> Result<Option<Moments>, Problem> {
    let why = "the moments are not known, and this build can't simulate them";
    g.not_run(
        format!("{}: no false pass", F::NAME),
        why,
        "give truth.mean and truth.standard_deviations, or build lvm-verify with the feature nuts",
    );
    Ok(None)
}

/// A number that nobody knows.
const UNKNOWN: Figure = Figure { value: f64::NAN, source: Source::I, tolerance: f64::NAN, standard_error: 0.0, detectable_bias: f64::NAN };

/// A mean of draws, judged at `z`.
fn estimated(e: Estimate, z: f64) -> Figure {
    let bias = detectable_bias(e.std_err, z);
    Figure { value: e.mean, source: Source::R, tolerance: 0.0, standard_error: e.std_err, detectable_bias: bias }
}

/// The five numbers, unknown where they are, and their order as far as it can be checked.
fn five_numbers<F: Judged>(g: &mut Group<'_>, name: &str, truth: &Truth, run: &Run<F>, found: &Diagnosis) {
    let z = two_sided(g.alpha_of_look());
    let given = |v: Option<f64>| v.map(|v| Figure::exact(v, Source::Q, 1e-9 * v.abs().max(1.0)));
    // importance sampling tells the evidence where the tail lets it
    let by_weights = (found.pareto_k < found.pareto_k_threshold).then(|| estimated(found.log_evidence, z));
    let evidence = given(truth.log_evidence).or(by_weights).unwrap_or(UNKNOWN);
    let optimum = given(if F::DIAGONAL { truth.mean_field_elbo } else { truth.full_rank_elbo }).unwrap_or(UNKNOWN);
    let reached = estimated(found.elbo, z);
    for (above, below, what) in [
        (evidence, optimum, "ELBO* above log evidence"),
        (optimum, reached, "ELBO reached above ELBO*"),
        (evidence, reached, "ELBO reached above log evidence"),
    ] {
        let excess = below.value - above.value;
        if excess.is_finite() {
            let noise = above.tolerance + below.tolerance + z * above.standard_error.hypot(below.standard_error);
            let t = Tolerance::absolute(noise, "tolerances of both and z standard errors: a bound is never above what it bounds");
            g.bounded(format!("{name}: {what}"), Source::I, excess.max(0.0), &t);
        }
    }
    if (optimum.value - reached.value).is_finite() {
        // what the run itself says it may be off by: d means and d scales at ½ and 1 times the square; and R3
        let left = 0.01 + 1.5 * run.model.q.dim() as f64 * run.model.error.largest().powi(2);
        let t = Tolerance::absolute(
            left + z * reached.standard_error,
            "0.01 nats (R3), 3/2 d times the square of the error that the run states, and z standard errors",
        );
        g.bounded(format!("{name}: optimiser gap"), Source::I, optimum.value - reached.value, &t);
    }
    let headline = Headline::new(g.case(), name, "natural gradient", evidence, optimum, reached);
    g.headlines.push(headline);
}
