//! S6 and P2 on posteriors: bounds by draws beside the log evidence of the file, and no ELBO above it at any iterate.

use super::{Optima, Reference, family};
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Posterior;
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::special::betainc;
use lvm_vi::bound::log_weights;
use lvm_vi::deterministic::{FixedPoint, Shape};
use lvm_vi::diagnose::WeightedDraws;
use lvm_vi::family::{Family, FullRank, MeanField};
use lvm_vi::fit::Vi;
use lvm_vi::optimizer::Optimizer;

/// log p(y) and what it may be off by.
fn evidence(case: &Case) -> Result<Truth, Problem> {
    let (value, error) = (case.get("truth.log_evidence")?.number()?, case.get("truth.error_estimate")?.number()?);
    Ok(Truth { value, error: error.max(1e-10 * value.abs()) })
}

/// Draws that a look may make: so many numbers are read in all.
fn affordable(budget: Budget, model: &dyn Posterior) -> usize {
    let numbers = match budget {
        Budget::Quick => 2e6,
        Budget::Full => 2e8,
        Budget::Nightly => 4e9,
    };
    (numbers / model.cost() as f64) as usize
}

/// S6: the ELBO is not above log p(y) at any iterate of the deterministic engine, nor at those of a stochastic run, each evaluated exactly.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn iterates(g: &mut Group<'_>, case: &Case, model: &dyn Posterior, optima: &Optima<'_>) -> Outcome {
    let log_p = evidence(case)?;
    let t = Tolerance::absolute(
        6.0 * log_p.error + 1e-9 * log_p.value.abs(),
        "six times the error of the file's evidence, and rounding: an ELBO is a lower bound at every q (VERIFY §3.3)",
    );
    for shape in [Shape::Diagonal, Shape::Full] {
        if case.find(&format!("vi_optimum.{}", super::field(shape))).is_none() {
            continue;
        }
        let fitted = optima.get(shape)?;
        let highest = fitted.trace.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let quantity = format!("{}: ELBO of {} iterates above log p(y)", family(shape), fitted.trace.len());
        g.bounded(quantity, Source::Q, (highest - log_p.value).max(0.0), &t);
    }
    let (every, steps) = match (g.budget, model.is_integrated()) {
        (Budget::Quick, false) => (10, 100),
        (Budget::Quick, true) => (50, 100),
        (_, false) => (5, 1000),
        // a product rule an iterate
        (_, true) => (50, 500),
    };
    let expectation = model.expectation()?;
    for (name, optimizer) in [("natural gradient", Optimizer::natural_gradient()), ("Adam", Optimizer::adam(0.02))] {
        let vi = Vi { optimizer, ..Vi::new(MeanField::new(&vec![0.0; model.dim()], &vec![0.1; model.dim()])?) };
        let target = super::seeds::Sized(model);
        let mut state = vi.init(&target, g.seed(name.len() as u64))?;
        let (mut highest, mut looked) = (f64::NEG_INFINITY, 0);
        for step in 0..steps {
            vi.step(&mut state, &target)?;
            if step % every == 0 {
                let q = lvm_vi::family::Variational::with_parameters(&vi.start, &state.parameters)?;
                highest = highest.max(FixedPoint::elbo(expectation.as_ref(), q.mean().view(), q.covariance().view())?);
                looked += 1;
            }
        }
        let quantity = format!("mean field, {name}: exact ELBO of {looked} iterates above log p(y)");
        g.bounded(quantity, Source::Q, (highest - log_p.value).max(0.0), &t);
    }
    Ok(())
}

/// S6 by draws at q*: IWAE_k rises with k on the same draws and is not above log p(y); CUBO, where k̂ lets it be estimated, is not below.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn importance(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let log_p = evidence(case)?;
    for shape in [Shape::Diagonal, Shape::Full] {
        if case.find(&format!("vi_optimum.{}", super::field(shape))).is_none() {
            continue;
        }
        let reference = Reference::of(case, shape)?;
        match shape {
            Shape::Diagonal => ladder(g, case, model, (shape, &MeanField::new(&reference.mean.to_vec(), &reference.sd.to_vec())?), log_p)?,
            Shape::Full => {
                ladder(g, case, model, (shape, &FullRank::new(&reference.mean.to_vec(), reference.covariance.view())?), log_p)?;
            }
        }
    }
    Ok(())
}

fn ladder<F: Family>(g: &mut Group<'_>, case: &Case, model: &dyn Posterior, (shape, q): (Shape, &F), log_p: Truth) -> Outcome {
    let name = family(shape);
    let n = affordable(g.budget, model).clamp(256, 32_768) / 32 * 32;
    let draws = WeightedDraws::new(q, model, n, g.seed(u64::from(shape == Shape::Full)))?;
    let rungs: Vec<f64> = (0..6).map(|i| draws.iwae(1 << i).mean).collect();
    let fall = rungs.windows(2).map(|w| (w[0] - w[1]).max(0.0)).fold(0.0, f64::max);
    let size = log_p.value.abs() + 10.0;
    g.bounded(format!("{name}: IWAE_k of the same draws, k = 1 … 32: largest fall"), Source::I, fall, &Tolerance::rounding(n, size));
    let (seed, mut look) = (g.seed(10 + u64::from(shape == Shape::Full)), 0);
    // the spread of log((w₁ + … + w₈)/8) decides what can be seen
    let spread = draws.iwae(8).std_err * (n as f64 / 8.0).sqrt();
    let groups = affordable(g.budget, model).clamp(256, 32_768) / 8;
    let margin = (10.1 * spread / (16.0 * groups as f64).sqrt()).max(0.02) * 1.2;
    let reason = "E[IWAE_k] ≤ log p(y): Jensen; the margin is what the draws that there is room for see, at least R3's 0.02";
    g.expectation(format!("{name}: IWAE_8 not above log p(y)"), (log_p, Source::Q), Claim::AtMost(margin), groups, reason, |groups| {
        look += 1;
        let w = log_weights(q, model, 8 * groups, seed.wrapping_add(look))?.values;
        Ok(w.chunks_exact(8).map(|w| lvm_core::special::log_sum_exp(w) - 8.0_f64.ln()).collect())
    })?;
    let k = case.get(&format!("vi_optimum.{}.psis.khat_mean", super::field(shape)))?.number()?;
    if k < 0.4 {
        // CUBO: ½ log E[w²] ≥ log p(y); its estimate has a finite variance only where fourth moments exist, so it gets z = 5.3 of a delta
        let cubo = draws.log_evidence().mean + 0.5 * draws.renyi_2();
        let slack = 5.3 * 4.0 * draws.log_evidence().std_err;
        let found = format!("{cubo:.4}");
        let holds = cubo >= log_p.value - slack - 6.0 * log_p.error;
        let expected = format!("at least {:.4} less {slack:.1e}", log_p.value);
        g.holds(format!("{name}: CUBO not below log p(y)"), found, expected, holds, "½ log E[w²] ≥ log E[w]");
    }
    Ok(())
}

/// P2: importance sampling from the full-rank q*, plain and with smoothed weights, finds log p(y) wherever the file says that weights have
/// a variance (k̂ below ½).
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn evidence_by_draws(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let log_p = evidence(case)?;
    let mut compared = 0;
    for shape in [Shape::Full, Shape::Diagonal] {
        let Some(k) = case.find(&format!("vi_optimum.{}.psis.khat_mean", super::field(shape))) else { continue };
        if k.number()? >= 0.45 {
            continue;
        }
        compared += 1;
        let reference = Reference::of(case, shape)?;
        let q = FullRank::new(&reference.mean.to_vec(), reference.covariance.view())?;
        let name = family(shape);
        let room = affordable(g.budget, model).clamp(500, 60_000);
        let pilot = WeightedDraws::new(&q, model, room.min(10_000), g.seed(30 + u64::from(shape == Shape::Full)))?;
        let spread = pilot.log_evidence().std_err * (pilot.len() as f64).sqrt();
        let needed = 1.3 * (10.1 * spread / 0.02).powi(2);
        let n = (needed as usize).clamp(500, room);
        let margin = (1.2 * 10.1 * spread / (16.0 * n as f64).sqrt()).max(0.02);
        let (seed, mut look) = (g.seed(40 + u64::from(shape == Shape::Full)), 0);
        let truth = (Truth { value: 1.0, error: log_p.error }, Source::Q);
        let reason = if margin > 0.02 {
            "E_q[w] = p(y); R3 asks for 0.02, and there is room for draws that see so much: a full or nightly run sees less"
        } else {
            "E_q[w] = p(y); R3: 0.02 nats"
        };
        g.expectation(format!("{name}: mean weight over p(y)"), truth, Claim::Equal(margin), n, reason, |n| {
            look += 1;
            let w = log_weights(&q, model, n, seed.wrapping_add(look))?.values;
            Ok(w.into_iter().map(|w| (w - log_p.value).exp()).collect())
        })?;
        // smoothing moves the largest weights to quantiles of a fitted tail: less noise for a bias below a standard error
        let smooth = pilot.smoothed()?;
        let raw = pilot.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let count = pilot.log_weights.iter().filter(|w| **w < raw - 1.0).count();
        if count > pilot.len() / 2 {
            // unsmoothed weights differ from the normalised smoothed ones by log Σ, so log Σ/S is the PSIS estimate of log p(y)
            let ours = median_difference(&pilot.log_weights, &smooth.log_weights) - (pilot.len() as f64).ln();
            let t = Tolerance::absolute(
                5.3 * pilot.log_evidence().std_err + 6.0 * log_p.error,
                "z = 5.3 standard errors of the plain estimate, which smoothing does not add to",
            );
            g.scalar(format!("{name}: PSIS estimate of log p(y)"), Source::Q, ours, log_p.value, &t);
        }
    }
    if compared == 0 {
        g.not_run(
            "log p(y) by importance sampling",
            "k̂ of both optima is at or above 0.45, where weights have hardly a variance",
            "nothing: no number of draws helps",
        );
    }
    Ok(())
}

/// The median of a − b.
fn median_difference(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).filter(|d| d.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// P3: k̂ at q*, mean over repeats of as many draws as the file had.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn tail(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    for shape in [Shape::Diagonal, Shape::Full] {
        let Some(psis) = case.find(&format!("vi_optimum.{}.psis", super::field(shape))) else { continue };
        let (draws, theirs) = (psis.get("draws_per_replicate")?.count()?, psis.get("replicates")?.number()?);
        let (mean, sd) = (psis.get("khat_mean")?.number()?, psis.get("khat_sd")?.number()?);
        let reference = Reference::of(case, shape)?;
        let q = FullRank::new(&reference.mean.to_vec(), reference.covariance.view())?;
        let repeats = if g.budget == Budget::Nightly { 20 } else { 5 };
        let found = (0..repeats)
            .map(|i| Ok(WeightedDraws::new(&q, model, draws, g.seed(100 * u64::from(shape == Shape::Full) + i))?.smoothed()?.pareto_k))
            .collect::<Result<Vec<f64>, Problem>>()?;
        let ours: crate::stochastic::Estimate = found.iter().copied().collect();
        // the spread of five is known to a third: the larger of the two, and not below what k̂ of a tail of 3 √S draws has, (1 + k)/√M
        let tail_length = 3.0 * (draws as f64).sqrt();
        let own = ours.standard_error() * (repeats as f64).sqrt();
        let spread = sd.max(own).max((1.0 + mean.max(0.0)) / tail_length.sqrt());
        let allowed = 5.3 * spread * (1.0 / repeats as f64 + 1.0 / theirs).sqrt();
        let t = Tolerance::absolute(
            allowed,
            format!(
                "z = 5.3 of the difference of two means, {repeats} and {theirs} repeats of spread {spread:.3}: the file's, ours, or (1 + k)/√M"
            ),
        );
        g.scalar(format!("{}: k̂ at q*, mean of {repeats} times {draws} draws", family(shape)), Source::X, ours.mean, mean, &t);
        // the variances of two samples of normal numbers have the ratio of an F distribution
        let (a, b) = (repeats as f64 - 1.0, theirs - 1.0);
        let f = (own / sd).powi(2);
        let tail = |f: f64, a: f64, b: f64| betainc(0.5 * b, 0.5 * a, b / (b + a * f));
        let p = 2.0 * tail(f, a, b).min(tail(1.0 / f, b, a));
        let alpha = g.alpha_of_look();
        g.holds(
            format!("{}: spread of k̂ at q*", family(shape)),
            format!("{own:.3}, the file's {sd:.3}: p = {p:.1e}"),
            format!("p above {alpha:.1e}"),
            p > alpha,
            "two-sided F-test of equal variances",
        );
    }
    Ok(())
}
