//! S2: the variances of the gradient estimators, tabulated at equal cost, and judged where theory says what they are.
//!
//! In natural units (gradients turned by F^−½, F the Fisher information of q, so that a score has covariance I over the P parameters), for a
//! Gaussian target e^c N(μ, Λ⁻¹), with one draw an estimate:
//!
//! ```text
//! q = p                    pathwise P     sticking the landing 0     score function c² P     with a baseline 0
//! q = mean-field optimum   pathwise 2d + 3/2 ‖R − I‖²     sticking the landing 3/2 ‖R − I‖²,     R = S^½ Λ S^½
//! ```
//!
//! In both places the gradient of the ELBO is 0, and the variance is the mean of squared lengths.

use super::gradients::{Natural, estimates};
use crate::case::Case;
use crate::check::{Layer, Source, Tolerance};
use crate::posterior::Posterior;
use crate::report::variances::GradientVariance;
use crate::stochastic::{Claim, Estimate, Truth};
use crate::suite::{Budget, Group, Outcome, Problem, Suite};
use lvm_vi::estimator::{Control, Gradient};
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{FullRank, MeanField};
use lvm_vi::local::{PerDatum, RowTarget, Shape};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Axis};

/// The columns of the table: the estimator, the draws of one estimate, and the evaluations of log p those take.
const ESTIMATORS: [(&str, Gradient, usize, usize); 9] = [
    ("closed entropy", Gradient::PathwiseClosedEntropy, 1, 1),
    ("pathwise", Gradient::Pathwise, 1, 1),
    ("sticking landing", Gradient::StickingTheLanding, 1, 1),
    ("score function", Gradient::ScoreFunction { control: Control::None }, 4, 4),
    ("leave one out", Gradient::ScoreFunction { control: Control::LeaveOneOut }, 4, 4),
    ("running mean", Gradient::ScoreFunction { control: Control::RunningMean { decay: 0.9 } }, 4, 4),
    ("doubly rep. k=1", Gradient::Importance { particles: 1 }, 1, 1),
    ("doubly rep. k=8", Gradient::Importance { particles: 8 }, 1, 8),
    ("quadratic contr.", Gradient::QuadraticControl, 1, 1),
];

/// Places in [`ESTIMATORS`].
const PATHWISE: usize = 1;
const SCORE: usize = 3;
const LEAVE_ONE_OUT: usize = 4;

/// log p + c: what no gradient sees, and the plain score function suffers from. Posteriors are unnormalised by their evidence.
struct Unnormalised<'a, T: ?Sized>(&'a T, f64);

impl<T: LogDensity + ?Sized> LogDensity for Unnormalised<'_, T> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(self.0.log_density(z)? + self.1)
    }
}

impl<T: LogDensityGrad + ?Sized> LogDensityGrad for Unnormalised<'_, T> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.0.log_density_grad(z, gradient)? + self.1)
    }
}

/// c of the Gaussian targets, nats.
const CONSTANT: f64 = -10.0;

/// What theory says of the columns at one q.
type Theory = [Option<f64>; 9];

/// Nothing.
const NO_THEORY: Theory = [None; 9];

/// Estimates for a row of the table.
fn table_estimates(g: &Group<'_>) -> usize {
    if g.budget == Budget::Quick { 2000 } else { 20_000 }
}

/// One row of the table; the variances it found.
fn row<F: Natural, T: LogDensityGrad>(
    g: &mut Group<'_>,
    (name, index): (&str, u64),
    q: &F,
    target: &T,
    theory: Theory,
) -> Result<Vec<f64>, Problem> {
    let n = table_estimates(g);
    let mut found = Vec::new();
    for (i, ((label, estimator, draws, evaluations), exact)) in ESTIMATORS.into_iter().zip(theory).enumerate() {
        let table = estimates((estimator, draws), q, target, (n, g.seed(100 * index + i as u64), 0))?;
        let mean = table.mean_axis(Axis(0)).ok_or_else(|| Problem("no estimates".into()))?;
        let lengths: Estimate = (&table - &mean).rows().into_iter().map(|r| evaluations as f64 * r.dot(&r)).collect();
        let (variance, standard_error) = (lengths.mean * n as f64 / (n as f64 - 1.0), lengths.standard_error());
        found.push(variance);
        let (case, q, estimator) = (g.case().to_owned(), name.to_owned(), label.to_owned());
        g.variances.push(GradientVariance { case, q, estimator, evaluations, estimates: n, variance, standard_error, exact });
    }
    Ok(found)
}

/// The variances that theory knows, each by fresh draws: zero draw by draw, or the mean of squared lengths.
fn known<F: Natural, T: LogDensityGrad>(g: &mut Group<'_>, (name, index): (&str, u64), q: &F, target: &T, theory: Theory) -> Outcome {
    let (share, n) = if g.budget == Budget::Quick { (0.3, 2000) } else { (0.05, 20_000) };
    for (i, ((label, estimator, draws, evaluations), exact)) in ESTIMATORS.into_iter().zip(theory).enumerate() {
        let Some(exact) = exact else { continue };
        let (seed, mut from) = (g.seed(100 * index + 50 + i as u64), 0);
        let mut draw = |n: usize| -> Result<Vec<f64>, Problem> {
            let table = estimates((estimator, draws), q, target, (n, seed, from))?;
            from += n.div_ceil(1000) as u64;
            Ok(table.rows().into_iter().map(|r| evaluations as f64 * r.dot(&r)).collect())
        };
        if exact == 0.0 {
            let worst = draw(1000)?.into_iter().fold(0.0, f64::max);
            let t = Tolerance::absolute(1e-18, "no draw has any noise: lengths of at most 1e-9, rounding times the condition of q");
            g.bounded(format!("{name}: {label}: largest squared length"), Source::E, worst, &t);
            continue;
        }
        let truth = (Truth::from(exact), Source::E);
        let reason = "variance in natural units, by the moments of the normal distribution";
        g.expectation(format!("{name}: {label}: variance"), truth, Claim::Equal(share * exact), n, reason, draw)?;
    }
    Ok(())
}

/// A baseline takes more noise away than it brings: leave one out is not above the plain score function.
fn baseline_pays<F: Natural, T: LogDensityGrad>(g: &mut Group<'_>, (name, index): (&str, u64), q: &F, target: &T, plain: f64) -> Outcome {
    let (share, n) = if g.budget == Budget::Quick { (0.5, 2000) } else { (0.2, 10_000) };
    let (seed, mut from) = (g.seed(100 * index + 90), 0);
    let lengths = |i: usize, from: u64, n: usize| -> Result<Vec<f64>, Problem> {
        let (_, estimator, draws, evaluations) = ESTIMATORS[i];
        let table = estimates((estimator, draws), q, target, (n, seed, from))?;
        Ok(table.rows().into_iter().map(|r| evaluations as f64 * r.dot(&r)).collect())
    };
    // both are unbiased: the difference of mean squared lengths is that of the variances. The same draws for both
    let reason = "E‖leave one out‖² − E‖plain‖²: where log p − log q hardly varies about its mean c, the plain one has c² P more";
    let claim = Claim::AtMost(share * plain);
    g.expectation(
        format!("{name}: leave one out not above the plain score function"),
        (Truth::from(0.0), Source::I),
        claim,
        n,
        reason,
        |n| {
            let (with, without) = (lengths(LEAVE_ONE_OUT, from, n)?, lengths(SCORE, from, n)?);
            from += n.div_ceil(1000) as u64;
            Ok(with.iter().zip(&without).map(|(a, b)| a - b).collect())
        },
    )
}

/// The gradient with leave one out does not see a constant, draw by draw.
fn blind_to_constants<F: Natural, T: LogDensityGrad>(g: &mut Group<'_>, name: &str, q: &F, target: &T) -> Outcome {
    let (_, estimator, draws, _) = ESTIMATORS[LEAVE_ONE_OUT];
    let seed = g.seed(99);
    let of = |c: f64| estimates((estimator, draws), q, &Unnormalised(target, c), (1000, seed, 0));
    let worst = (&of(0.0)? - &of(CONSTANT)?).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    // values of order 10 nats times scores of order 20: five standard deviations squared over √2
    g.bounded(format!("{name}: leave one out, log p and log p + c"), Source::I, worst, &Tolerance::rounding(16, 400.0));
    Ok(())
}

/// Pathwise below score function: why the default is a pathwise gradient.
fn pathwise_pays(g: &mut Group<'_>, name: &str, variances: &[f64]) {
    let (pathwise, score) = (variances[PATHWISE], variances[SCORE]);
    let found = format!("{pathwise:.3} and {score:.3}");
    let reason = "total variance an evaluation of log p, natural units: why the default is a pathwise gradient";
    g.holds(format!("{name}: pathwise and score function"), found, "pathwise below", pathwise < score, reason);
}

/// Kind `gaussian_target`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn gaussian(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (mean, covariance) = (case.get("target.mean")?.vector()?, case.get("target.covariance")?.matrix()?);
    let gaussian = GaussianTarget::from_precision(mean.clone(), case.get("target.precision")?.matrix()?)?;
    let target = Unnormalised(&gaussian, CONSTANT);
    let (d, m) = (mean.len() as f64, mean.to_vec());

    let q = FullRank::new(&m, covariance.view())?;
    // means and a triangle
    let p = d + 0.5 * d * (d + 1.0);
    let known_ones = [p, p, 0.0, CONSTANT * CONSTANT * p, 0.0, 0.0, 0.0, 0.0];
    // what the quadratic control takes away depends on the draws it has learnt from
    let theory: Theory = std::array::from_fn(|i| known_ones.get(i).copied());
    row(g, ("full rank, q = p", 0), &q, &target, theory)?;
    known(g, ("full rank, q = p", 0), &q, &target, theory)?;

    let sd = gaussian.precision().diag().mapv(|l| l.sqrt().recip());
    let q = MeanField::new(&m, &sd.to_vec())?;
    let precision = gaussian.precision();
    let off: f64 = (0..m.len())
        .flat_map(|i| (0..m.len()).map(move |j| (i, j)))
        .filter(|(i, j)| i != j)
        .map(|(i, j)| (sd[i] * precision[[i, j]] * sd[j]).powi(2))
        .sum();
    let (pathwise, landing) = (2.0 * d + 1.5 * off, 1.5 * off);
    let theory = [Some(pathwise), Some(pathwise), Some(landing), None, None, None, Some(landing), None, None];
    let name = "mean field, optimum";
    let found = row(g, (name, 1), &q, &target, theory)?;
    known(g, (name, 1), &q, &target, theory)?;
    baseline_pays(g, (name, 1), &q, &target, found[SCORE])?;
    blind_to_constants(g, name, &q, &gaussian)?;
    pathwise_pays(g, name, &found);

    // half a standard deviation off in every latent and 1.5 times as wide as the marginals
    let marginal = covariance.diag().mapv(f64::sqrt);
    let q = MeanField::new(&(&mean + &(&marginal * 0.5)).to_vec(), &(&marginal * 1.5).to_vec())?;
    let found = row(g, ("mean field, off and wide", 2), &q, &target, NO_THEORY)?;
    pathwise_pays(g, "mean field, off and wide", &found);
    Ok(())
}

/// Kind `posterior`: at the best mean field of the file, and at one half as wide again.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn posterior(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let (mean, sd) = (case.get("vi_optimum.meanfield.mean")?.vector()?, case.get("vi_optimum.meanfield.sd")?.vector()?);
    let target = Unnormalised(model, 0.0);
    points(g, &target, &mean, &sd)
}

/// At N(mean, sd²), where the ELBO is at its largest or nearly so, and at N(mean, (1.5 sd)²).
fn points<T: LogDensityGrad>(g: &mut Group<'_>, target: &T, mean: &Array1<f64>, sd: &Array1<f64>) -> Outcome {
    for (i, (name, factor)) in [("mean field, optimum", 1.0), ("mean field, 1.5 times as wide", 1.5)].into_iter().enumerate() {
        let q = MeanField::new(&mean.to_vec(), &(sd * factor).to_vec())?;
        let found = row(g, (name, i as u64), &q, target, NO_THEORY)?;
        if i == 0 {
            baseline_pays(g, (name, 0), &q, target, found[SCORE])?;
            pathwise_pays(g, name, &found);
        }
    }
    Ok(())
}

/// One datum of a Bernoulli factor model: at the best mean field, and at the prior.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::S, "S2", "one row of a Bernoulli factor model", |g| {
        let (model, x) = super::gradients::bernoulli()?;
        let target = RowTarget::new(&model, &x, 0)?;
        let best = PerDatum { shape: Shape::Diagonal, ..Default::default() }.fit(&model, &x)?.model;
        let sd: Array1<f64> = best.standard_deviations().row(0).to_owned();
        let q = MeanField::new(&best.mean().row(0).to_vec(), &sd.to_vec())?;
        let found = row(g, ("mean field, optimum", 0), &q, &target, NO_THEORY)?;
        baseline_pays(g, ("mean field, optimum", 0), &q, &target, found[SCORE])?;
        pathwise_pays(g, "mean field, optimum", &found);
        let found = row(g, ("the prior N(0, I)", 1), &MeanField::standard(2)?, &target, NO_THEORY)?;
        pathwise_pays(g, "the prior N(0, I)", &found);
        Ok(())
    });
}
