//! O1 by draws: the stochastic engine from independent seeds, since one run has unknown noise (R5): does it reach q*, and does it know how
//! near it is.

use super::Reference;
use crate::case::Case;
use crate::check::Source;
use crate::posterior::Posterior;
use crate::report::exhibit::Exhibit;
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::fit::Status;
use lvm_vi::deterministic::{FixedPoint, Shape};
use lvm_vi::family::{Family, MeanField};
use lvm_vi::fit::{Stopping, Vi};
use rayon::prelude::*;
use std::cell::RefCell;

/// The tolerance asked of every run: a 95 % statement, in standard deviations of q for means and of the logarithm for standard deviations.
const TOLERANCE: f64 = 0.02;
/// A stated interval may miss as often as this.
const MISSES: f64 = 0.05;

/// The end of one run beside q*.
struct End {
    converged: bool,
    /// (mean − mean*)/sd*, then log sd/sd* (2 d).
    errors: Vec<f64>,
    /// Share of the errors beyond what the run itself says may be left.
    missed: f64,
    /// ELBO(q*) − ELBO(q), nats.
    gap: f64,
    /// The noisy ELBO of each step.
    trace: Vec<f64>,
}

/// One run from N(0, I).
fn run(model: &dyn Posterior, reference: &Reference, seed: u64) -> Result<End, Problem> {
    let stopping = Stopping { tolerance: TOLERANCE, ..Stopping::default() };
    let fitted = Vi { stopping, ..Vi::new(MeanField::standard(model.dim())?) }.fit(&Sized(model), seed)?;
    let (q, stated) = (&fitted.model.q, &fitted.model.error);
    let (mean, sd) = (q.mean(), q.standard_deviations());
    let means = (&mean - &reference.mean) / &reference.sd;
    let scales = (&sd / &reference.sd).mapv(f64::ln);
    let errors: Vec<f64> = means.into_iter().chain(scales).collect();
    let beyond = errors.iter().zip(stated.mean.iter().chain(&stated.log_sd)).filter(|(e, s)| !(e.abs() <= **s)).count();
    let elbo = FixedPoint::elbo(model.expectation()?.as_ref(), mean.view(), q.covariance().view())?;
    let missed = beyond as f64 / errors.len() as f64;
    Ok(End { converged: fitted.status == Status::Converged, errors, missed, gap: reference.elbo - elbo, trace: fitted.trace })
}

/// (step, mean ELBO) of some 300 stretches of a run.
fn thinned(trace: &[f64]) -> Vec<(f64, f64)> {
    let length = trace.len().div_ceil(300).max(1);
    let middle = |i: usize| (i * length) as f64 + 0.5 * length as f64;
    trace.chunks(length).enumerate().map(|(i, c)| (middle(i), c.iter().sum::<f64>() / c.len() as f64)).collect()
}

/// A posterior of a size known.
struct Sized<'m>(&'m dyn Posterior);

impl lvm_vi::target::LogDensity for Sized<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, lvm_vi::target::TargetError> {
        self.0.log_density(z)
    }
}

impl lvm_vi::target::LogDensityGrad for Sized<'_> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, lvm_vi::target::TargetError> {
        self.0.log_density_grad(z, gradient)
    }
}

/// O1, mean field, pathwise gradients and natural steps.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn stochastic(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let reference = Reference::of(case, Shape::Diagonal)?;
    let n = g.budget.seeds();
    let base = g.seed(0);
    let ends: RefCell<Vec<End>> = RefCell::default();
    // runs from..from + n, made where they are not there yet
    let take = |from: usize, n: usize, of: &dyn Fn(&End) -> f64| -> Result<Vec<f64>, Problem> {
        let mut ends = ends.borrow_mut();
        if ends.len() < from + n {
            let seeds = ends.len()..from + n;
            let new = seeds.into_par_iter().map(|i| run(model, &reference, base.wrapping_add(i as u64))).collect::<Result<Vec<_>, _>>()?;
            ends.extend(new);
        }
        Ok(ends[from..from + n].iter().map(of).collect())
    };
    let converged = take(0, n, &|e| f64::from(u8::from(e.converged)))?.iter().sum::<f64>() as usize;
    let reason = "the optimum exists, and a run has a million steps";
    g.holds("runs that say they have converged", format!("{converged} of {n}"), format!("{n} of {n}"), converged == n, reason);
    let trace = thinned(&ends.borrow()[0].trace);
    let evidence = case.get("truth.log_evidence")?.number()?;
    g.exhibits.push(Exhibit::Elbo { case: format!("{}, mean field, stochastic", case.id), trace, evidence, optimum: reference.elbo });
    let quick = g.budget == Budget::Quick;
    // R3: 0.02 sd and 2 %; few seeds can't see as little
    let margin = if quick { 0.05 } else { 0.02 };
    let d = model.dim();
    for i in 0..2 * d {
        let (what, at) = if i < d { ("(mean − mean*)/sd*", i) } else { ("log sd/sd*", i - d) };
        let mut from = 0;
        let reason = "q* of the file; the mean over independent seeds";
        let truth = (Truth { value: 0.0, error: reference.tolerance().absolute }, Source::Q);
        g.expectation(format!("stochastic, {what}[{at}]"), truth, Claim::Within(margin), n, reason, |n| {
            let values = take(from, n, &|e| e.errors[i]);
            from += n;
            values
        })?;
    }
    let mut from = 0;
    // R3: 0.01 nats; each of 2 d errors of δ costs δ²/2 (means) or δ² (log sds)
    let truth = (Truth { value: 0.0, error: reference.of_elbo().absolute }, Source::Q);
    g.expectation(
        "stochastic, optimiser gap in nats",
        truth,
        Claim::Within(0.01),
        n,
        "ELBO(q*) of the file less the exact ELBO of q",
        |n| {
            let values = take(from, n, &|e| e.gap);
            from += n;
            values
        },
    )?;
    let mut from = 0;
    let (truth, claim) = ((Truth::from(MISSES), Source::I), Claim::AtMost(if quick { 0.4 } else { 0.2 }));
    let reason = "a run states 95 % intervals for what is left: the share of them that miss q*";
    g.expectation("stochastic, share of stated intervals that miss", truth, claim, n, reason, |n| {
        let values = take(from, n, &|e| e.missed);
        from += n;
        values
    })
}
