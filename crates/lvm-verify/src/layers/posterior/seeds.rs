//! O1 by draws: every optimiser in every family from independent seeds, since one run has unknown noise (R5): does it reach q*, and does it
//! know how near it is.

use super::{Reference, family};
use crate::case::Case;
use crate::check::Layer;
use crate::check::Source;
use crate::headline::{Figure, Headline};
use crate::posterior::Posterior;
use crate::report::exhibit::Exhibit;
use crate::stochastic::{Claim, Estimate, Truth, two_sided};
use crate::suite::{Budget, Group, Outcome, Problem, Suite};
use lvm_core::fit::Status;
use lvm_vi::deterministic::{FixedPoint, Shape};
use lvm_vi::family::{FullRank, MeanField, kl};
use lvm_vi::fit::{Stopping, Vi};
use lvm_vi::optimizer::{Geometry, Optimizer};
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use std::cell::RefCell;

/// The tolerance asked of every run: a 95 % statement, in standard deviations of q for means and of the logarithm for standard deviations.
const TOLERANCE: f64 = 0.02;
/// A stated interval may miss as often as this.
const MISSES: f64 = 0.05;

/// An optimiser as it is tested.
#[derive(Clone, Copy)]
struct Engine {
    name: &'static str,
    optimizer: Optimizer,
    /// Steps at most, after which a run may end as not converged; none for the default, which has to converge.
    most: Option<usize>,
}

/// All of them, the default first.
fn engines(budget: Budget) -> [Engine; 4] {
    let most = Some(if budget == Budget::Nightly { 400_000 } else { OTHERS_STEPS });
    let of = |name, optimizer, most| Engine { name, optimizer, most };
    [
        of("natural gradient", Optimizer::natural_gradient(), None),
        of("Adam", Optimizer::adam(0.02), most),
        of("distance over gradients", Optimizer::distance_over_gradients(), most),
        of("decaying steps", Optimizer::robbins_monro(1.0, 10.0, 0.6), most),
    ]
}

/// Steps of the engines that are not the default, in a full run.
const OTHERS_STEPS: usize = 20_000;

/// Whether a budget has room for an engine on a posterior, by what one evaluation of log p costs (numbers read) and the parameters of q. The
/// natural gradient is the default of the library and is run where the others would take too long; nightly runs have all of them wherever a
/// run takes less than some minutes.
fn affordable(budget: Budget, model: &dyn Posterior, shape: Shape, default: bool) -> bool {
    let (cost, d) = (model.cost(), model.dim());
    match (budget, shape, default) {
        (Budget::Quick, Shape::Diagonal, true) => cost <= 100,
        (Budget::Quick, ..) => false,
        (Budget::Full, Shape::Diagonal, true) => cost <= 1400 && d <= 10,
        (Budget::Full, Shape::Full, true) => cost <= 1400 && d <= 8,
        (Budget::Full, ..) => cost <= 100 && d <= 8,
        (Budget::Nightly, Shape::Diagonal, _) => cost <= 100_000,
        (Budget::Nightly, Shape::Full, _) => cost <= 12_000,
    }
}

/// A group for each engine and family that the budget has room for.
pub(super) fn all(suite: &mut Suite<'_>, case: &Case, model: &dyn Posterior) {
    for shape in [Shape::Diagonal, Shape::Full] {
        if case.find(&format!("vi_optimum.{}", super::field(shape))).is_none() {
            continue;
        }
        for (i, engine) in engines(suite.selection.budget).into_iter().enumerate() {
            if affordable(suite.selection.budget, model, shape, i == 0) {
                suite.group(Layer::O, "O1", &case.id, |g| match shape {
                    Shape::Diagonal => stochastic(g, case, model, (shape, engine), MeanField::standard(model.dim())?),
                    Shape::Full => stochastic(g, case, model, (shape, engine), FullRank::standard(model.dim())?),
                });
            }
        }
    }
}

/// The end of one run beside q*.
struct End {
    converged: bool,
    /// (mean − mean*)/sd*, then log sd/sd* (2 d).
    errors: Vec<f64>,
    /// Share of the errors beyond what the run itself says may be left.
    missed: f64,
    /// ELBO(q*) − ELBO(q), nats.
    gap: f64,
    /// KL(q ‖ q*) and KL(q* ‖ q), nats.
    divergence: [f64; 2],
    /// The noisy ELBO of each step.
    trace: Vec<f64>,
}

/// One run from N(0, I).
fn run<F: Geometry>(model: &dyn Posterior, reference: &Reference, engine: Engine, start: &F, seed: u64) -> Result<End, Problem> {
    let max_iterations = engine.most.unwrap_or(Stopping::default().max_iterations);
    let stopping = Stopping { tolerance: TOLERANCE, max_iterations, ..Stopping::default() };
    let fitted = Vi { stopping, optimizer: engine.optimizer, ..Vi::new(start.clone()) }.fit(&Sized(model), seed)?;
    let (q, stated) = (&fitted.model.q, &fitted.model.error);
    let (mean, sd, covariance) = (q.mean(), q.standard_deviations(), q.covariance());
    let means = (&mean - &reference.mean) / &reference.sd;
    let scales = (&sd / &reference.sd).mapv(f64::ln);
    let errors: Vec<f64> = means.into_iter().chain(scales).collect();
    let beyond = errors.iter().zip(stated.mean.iter().chain(&stated.log_sd)).filter(|(e, s)| !(e.abs() <= **s)).count();
    let elbo = FixedPoint::elbo(model.expectation()?.as_ref(), mean.view(), covariance.view())?;
    let missed = beyond as f64 / errors.len() as f64;
    let gaussian = |mean: &Array1<f64>, covariance: &Array2<f64>| FullRank::new(&mean.to_vec(), covariance.view());
    let (ours, best) = (gaussian(&mean, &covariance)?, gaussian(&reference.mean, &reference.covariance)?);
    let divergence = [kl(&ours, &best)?, kl(&best, &ours)?];
    let converged = fitted.status == Status::Converged;
    Ok(End { converged, errors, missed, gap: reference.elbo - elbo, divergence, trace: fitted.trace })
}

/// (step, mean ELBO) of some 300 stretches of a run.
fn thinned(trace: &[f64]) -> Vec<(f64, f64)> {
    let length = trace.len().div_ceil(300).max(1);
    let middle = |i: usize| (i * length) as f64 + 0.5 * length as f64;
    trace.chunks(length).enumerate().map(|(i, c)| (middle(i), c.iter().sum::<f64>() / c.len() as f64)).collect()
}

/// A posterior of a size known.
pub(super) struct Sized<'m>(pub(super) &'m dyn Posterior);

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

/// O1 of one engine in one family, pathwise gradients.
fn stochastic<F: Geometry>(g: &mut Group<'_>, case: &Case, model: &dyn Posterior, (shape, engine): (Shape, Engine), start: F) -> Outcome {
    let reference = Reference::of(case, shape)?;
    let n = g.budget.seeds();
    let name = format!("{}, stochastic, {}", family(shape), engine.name);
    let base = g.seed(name.bytes().fold(0, |h: u64, b| h.wrapping_mul(31).wrapping_add(u64::from(b))));
    let ends: RefCell<Vec<End>> = RefCell::default();
    // runs 0..n, made where they are not there yet
    let make = |n: usize| -> Outcome {
        let mut ends = ends.borrow_mut();
        if ends.len() < n {
            let seeds = ends.len()..n;
            let one = |i: usize| run(model, &reference, engine, &start, base.wrapping_add(i as u64));
            ends.extend(seeds.into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(())
    };
    make(n)?;
    let converged = ends.borrow().iter().filter(|e| e.converged).count();
    let found = format!("{converged} of {n}");
    if engine.most.is_some() && converged < n {
        // those that say so are not judged; a run that calls itself converged is
        g.holds(format!("{name}: converged, or says that it has not"), found, "every run", true, "its status tells the two apart (O3)");
        let far = ends.borrow().iter().filter(|e| e.converged && !(e.gap.abs() <= 0.1)).count();
        g.holds(
            format!("{name}: converged far from q*"),
            format!("{far} of {converged}"),
            "none",
            far == 0,
            "a run that says it has converged is within 0.1 nats of ELBO(q*), ten times the margin of their mean",
        );
        return Ok(());
    }
    let reason = "the optimum exists, and a run has a million steps";
    g.holds(format!("{name}: runs that say they have converged"), found, format!("{n} of {n}"), converged == n, reason);
    let evidence = case.get("truth.log_evidence")?.number()?;
    if engine.name == "natural gradient" {
        let trace = thinned(&ends.borrow()[0].trace);
        g.exhibits.push(Exhibit::Elbo { case: format!("{}, {name}", case.id), trace, evidence, optimum: reference.elbo });
    }
    let zeros = Array1::zeros(2 * model.dim());
    let mut from = 0;
    g.within_each(
        format!("{name}: (mean − mean*)/sd* and log sd/sd*"),
        (&zeros, reference.tolerance().absolute, Source::Q),
        // R3: 0.02 sd and 2 %
        0.02,
        n,
        "q* of the file; the mean over independent seeds",
        |n| {
            make(from + n)?;
            let rows: Vec<f64> = ends.borrow()[from..from + n].iter().flat_map(|e| e.errors.iter().copied()).collect();
            from += n;
            Array2::from_shape_vec((n, zeros.len()), rows).map_err(|e| Problem(e.to_string()))
        },
    )?;
    let mut scalar = |what: &str, truth: Truth, claim: Claim, reason: &str, of: &dyn Fn(&End) -> f64| {
        let mut from = 0;
        g.expectation(format!("{name}: {what}"), (truth, Source::Q), claim, n, reason, |n| {
            make(from + n)?;
            let values = ends.borrow()[from..from + n].iter().map(of).collect();
            from += n;
            Ok(values)
        })
    };
    // R3: 0.01 nats; each of 2 d errors of δ costs δ²/2 (means) or δ² (log sds)
    let zero = |error: f64| Truth { value: 0.0, error };
    let error = reference.of_elbo().absolute;
    scalar("optimiser gap in nats", zero(error), Claim::Within(0.01), "ELBO(q*) of the file less the exact ELBO of q", &|e| e.gap)?;
    // what the file's own optimum may be off by shows in KL to second order only
    let to = "KL(q ‖ q*) in closed form: 0.01 nats as for the gap, and the square of 0.02 sd in each latent";
    let most = 0.01 + 2.0 * TOLERANCE * TOLERANCE * reference.mean.len() as f64;
    scalar("KL(q ‖ q*)", zero(0.0), Claim::Within(most), to, &|e| e.divergence[0])?;
    scalar("KL(q* ‖ q)", zero(0.0), Claim::Within(most), to, &|e| e.divergence[1])?;
    let claim = Claim::AtMost(0.2);
    let reason = "a run states 95 % intervals for what is left: the share of them that miss q*";
    scalar("share of stated intervals that miss", Truth::from(MISSES), claim, reason, &|e| e.missed)?;
    let reached: Estimate = ends.borrow().iter().map(|e| reference.elbo - e.gap).collect();
    let z = two_sided(g.alpha_of_look());
    let exact = |value: f64, tolerance: f64| Figure::exact(value, Source::Q, tolerance);
    let (log_p, best) = (exact(evidence, case.get("truth.error_estimate")?.number()?.max(1e-10)), exact(reference.elbo, error));
    let engine = format!("stochastic, {}, {} seeds", engine.name, reached.draws);
    g.headline(Headline::new(&case.id, family(shape), &engine, log_p, best, Figure::estimated(&reached, z)), 0.02);
    Ok(())
}
