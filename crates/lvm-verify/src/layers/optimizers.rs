//! O: the stochastic fit on a Gaussian, whose best member of each family is known: steps as the papers have them, averages, the end of a
//! run and the error it reports.

use crate::check::{Layer, Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::suite::{Budget, Group, Outcome, Suite};
use lvm_core::fit::Status;
use lvm_core::linalg;
use lvm_vi::cavi::linear_regression::{BayesianLinearRegression, Noise};
use lvm_vi::deterministic::{FixedPoint, GaussianOptimum, Shape};
use lvm_vi::estimator::Gradient;
use lvm_vi::expectation::{Affine, GaussianExpectation, GaussianTarget, LogJoint};
use lvm_vi::family::{Family, FullRank, MeanField, Variational};
use lvm_vi::fit::{Stopping, Vi};
use lvm_vi::optimizer::{Adam, Geometry, Metric, Optimizer, RobbinsMonro, Rule};
use lvm_vi::target::LogDensityGrad;
use ndarray::{Array1, Array2, Axis, Slice, array};
use rayon::prelude::*;

/// All of them.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::O, "O2", "rules for a step", rules);
    suite.group(Layer::O, "O2", "average of the iterates", average);
    suite.group(Layer::O, "O4", "stochastic fit of a Gaussian", ends);
    // within a minute there is room for two optimisers without bias, and for one from bad starts
    let quick = suite.selection.budget == Budget::Quick;
    for engine in engines().into_iter().take(if quick { 2 } else { 4 }) {
        suite.group(Layer::O, "O2", &format!("ten data of a normal mean, {}", engine.0), |g| stationary(g, engine));
    }
    for engine in engines().into_iter().take(if quick { 1 } else { 4 }) {
        suite.group(Layer::O, "O3", &format!("ten bad starts, {}", engine.0), |g| bad_starts(g, engine));
    }
    suite.group(Layer::O, "O1", "wine, Bayesian linear regression", regression);
}

/// Every optimiser, and whether it may need more steps than there is room for.
fn engines() -> [(&'static str, Optimizer, bool); 4] {
    [
        ("natural gradient", Optimizer::natural_gradient(), false),
        ("Adam", Optimizer::adam(0.02), false),
        ("distance over gradients", Optimizer::distance_over_gradients(), false),
        ("decaying steps", Optimizer::robbins_monro(1.0, 10.0, 0.6), true),
    ]
}

/// O2: ten data y_n ~ N(μ, 1), μ ~ N(0, 1): s* = 1/√11. A normaliser that holds the present gradient left s 8.5 % too wide for ever
/// (pymc 8444). One draw a step; the mean of log s/s* of independent runs is within 2 %, a standard error of 0.4 % or less.
fn stationary(g: &mut Group<'_>, (_, optimizer, may_be_slow): (&str, Optimizer, bool)) -> Outcome {
    let y: Vec<f64> = (0..10).map(|n| 1.5 + (1.3 * f64::from(n)).sin()).collect();
    let mut target = LogJoint::new(1)?;
    target.normal(Affine::variable(0), 0.0)?;
    y.iter().try_for_each(|y| target.normal(Affine::variable(0) - *y, 0.0))?;
    let (best, sd) = (y.iter().sum::<f64>() / 11.0, 11.0_f64.sqrt().recip());
    let (seed, mut from, mut late) = (g.seed(0), 0_u64, 0);
    let n = match g.budget {
        Budget::Quick => 12,
        Budget::Full => 60,
        Budget::Nightly => 400,
    };
    let reason = "s* = 1/√11 and m* in closed form; one draw a step, the mean over independent runs (VERIFY O2: ±2 %)";
    let margin = if g.quick { 0.05 } else { 0.02 };
    let max_iterations = if may_be_slow { 400_000 } else { 1_000_000 };
    g.within_each("(m − m*)/s*, log s/s*", (&Array1::zeros(2), 0.0, Source::E), margin, n, reason, |n| {
        let ends = (from..from + n as u64)
            .into_par_iter()
            .map(|i| {
                let stopping = Stopping { tolerance: 0.03, max_iterations, ..Stopping::default() };
                let fitted = Vi { stopping, optimizer, draws: 1, ..Vi::new(MeanField::standard(1)?) }.fit(&target, seed.wrapping_add(i))?;
                let q = &fitted.model.q;
                let found = [(q.mean()[0] - best) / sd, (q.standard_deviations()[0] / sd).ln()];
                Ok((found, fitted.status == Status::Converged))
            })
            .collect::<lvm_core::Result<Vec<_>>>()?;
        from += n as u64;
        late += ends.iter().filter(|e| !e.1).count();
        Ok(Array2::from_shape_fn((n, 2), |(i, j)| ends[i].0[j]))
    })?;
    let reason = "a run that is not done says so; decaying steps may need more than there is room for";
    g.holds("runs that have not converged", format!("{late} of {from}"), "none", late == 0 || may_be_slow, reason);
    Ok(())
}

/// O3: from means five prior standard deviations off and scales of 10⁻² to 10², mean field and full rank, a run ends at q* or says that it
/// has not converged, on a Gaussian and on a Poisson regression: no silent failure among all of them.
fn bad_starts(g: &mut Group<'_>, (_, optimizer, _): (&str, Optimizer, bool)) -> Outcome {
    let gaussian = target()?;
    let mut counts = LogJoint::new(3)?;
    for i in 0..3 {
        counts.normal(Affine::variable(i), 0.0)?;
    }
    for n in 0..12 {
        let x = f64::from(n) / 6.0 - 1.0;
        let rate = Affine::variable(0) + Affine::variable(1) * x + Affine::variable(2) * (x * x);
        counts.poisson(f64::from(n % 5), rate)?;
    }
    let (mut silent, mut said, mut right) = (Vec::new(), 0, 0);
    for (name, target) in [("Gaussian", &gaussian as &dyn Both), ("Poisson regression", &counts as &dyn Both)] {
        for shape in [Shape::Diagonal, Shape::Full] {
            let best = FixedPoint { shape, ..FixedPoint::default() }.fit(target.expectation())?.model;
            let starts: Vec<(f64, f64)> = [1e-2, 1e-1, 1.0, 1e1, 1e2].into_iter().flat_map(|s| [(-5.0, s), (5.0, s)]).collect();
            let starts = if g.quick { starts[..4].to_vec() } else { starts };
            let seed = g.seed(u64::from(shape == Shape::Full));
            let ends: Vec<Option<f64>> = starts
                .into_par_iter()
                .map(|(mean, scale)| {
                    let d = best.mean.len();
                    let mean: Vec<f64> = (0..d).map(|i| if i % 2 == 0 { mean } else { -mean }).collect();
                    let stopping = Stopping { max_iterations: 100_000, ..Stopping::default() };
                    match shape {
                        Shape::Diagonal => target.end(optimizer, stopping, MeanField::new(&mean, &vec![scale; d])?, &best, seed),
                        Shape::Full => {
                            let covariance = Array2::from_diag(&Array1::from_elem(d, scale * scale));
                            target.end_full(optimizer, stopping, FullRank::new(&mean, covariance.view())?, &best, seed)
                        }
                    }
                })
                .collect::<lvm_core::Result<_>>()?;
            for end in ends {
                match end {
                    None => said += 1,
                    Some(error) if error <= 0.15 => right += 1,
                    Some(error) => silent.push(format!("{name}, {error:.2}")),
                }
            }
        }
    }
    let found = format!("{} silent failures ({}), {right} at q*, {said} said so", silent.len(), silent.join("; "));
    let reason = "a run that calls itself converged is within 0.15 standard deviations of q*, three times the error it states";
    g.holds("converged elsewhere", found, "none", silent.is_empty(), reason);
    Ok(())
}

/// A target whose expectations are known.
trait Both: Sync {
    fn expectation(&self) -> &dyn GaussianExpectation;
    fn end(&self, o: Optimizer, s: Stopping, start: MeanField, best: &GaussianOptimum, seed: u64) -> lvm_core::Result<Option<f64>>;
    fn end_full(&self, o: Optimizer, s: Stopping, start: FullRank, best: &GaussianOptimum, seed: u64) -> lvm_core::Result<Option<f64>>;
}

impl<T: GaussianExpectation + LogDensityGrad> Both for T {
    fn expectation(&self) -> &dyn GaussianExpectation {
        self
    }
    fn end(&self, o: Optimizer, s: Stopping, start: MeanField, best: &GaussianOptimum, seed: u64) -> lvm_core::Result<Option<f64>> {
        end(self, o, s, start, best, seed)
    }
    fn end_full(&self, o: Optimizer, s: Stopping, start: FullRank, best: &GaussianOptimum, seed: u64) -> lvm_core::Result<Option<f64>> {
        end(self, o, s, start, best, seed)
    }
}

/// The largest error of a run in standard deviations of q*; none if it says that it has not converged, or why it can't go on.
fn end<T: LogDensityGrad, F: Geometry>(
    target: &T,
    optimizer: Optimizer,
    stopping: Stopping,
    start: F,
    best: &GaussianOptimum,
    seed: u64,
) -> lvm_core::Result<Option<f64>> {
    let Ok(fitted) = (Vi { optimizer, stopping, ..Vi::new(start) }).fit(target, seed) else { return Ok(None) };
    if fitted.status != Status::Converged {
        return Ok(None);
    }
    let (sd, q) = (best.standard_deviations(), &fitted.model.q);
    let means = (&q.mean() - &best.mean) / &sd;
    let scales = (&q.standard_deviations() / &sd).mapv(f64::ln);
    Ok(Some(means.iter().chain(&scales).fold(0.0, |m: f64, e| m.max(e.abs()))))
}

/// The five numbers of a conjugate linear regression: the first column of wine from the others, noise known, and with its precision unknown.
fn regression(g: &mut Group<'_>) -> Outcome {
    let x = crate::layers::shared::standardised(&crate::tables::real("wine")?.x);
    let y = x.column(0).to_owned();
    let x = x.slice_axis(Axis(1), Slice::from(1..6)).to_owned();
    let (n, d) = x.dim();
    let known = BayesianLinearRegression { mean: Array1::zeros(d), precision: Array2::eye(d), noise: Noise::Known { sd: 0.7 } };
    // log N(y; 0, σ² I + X Xᵀ): a matrix of all rows where the library has one of the columns
    let covariance = x.dot(&x.t()) + Array2::from_diag(&Array1::from_elem(n, 0.49));
    let l = linalg::cholesky(covariance.view()).map_err(|e| e.of("covariance of all rows"))?;
    let mut solved = y.clone().insert_axis(Axis(1));
    linalg::cholesky_solve(l.view(), solved.view_mut());
    let evidence = -0.5 * y.dot(&solved.column(0)) - 0.5 * linalg::log_det(l.view()) - n as f64 * lvm_core::special::HALF_LOG_2PI;
    let t = 1e-9 * evidence.abs();
    let exact = |v: f64| Figure::exact(v, Source::E, t);
    let reached = known.mean_field(&x, y.view(), 3)?.last().map_or(f64::NAN, |q| q.elbo);
    let case = g.case().to_owned();
    g.scalar(
        "log evidence, noise known",
        Source::E,
        known.exact(&x, y.view())?.log_evidence,
        evidence,
        &Tolerance::absolute(t, "1e-9 relative: a matrix of 178 rows"),
    );
    g.headline(Headline::new(&case, "q(w)", "closed form", exact(evidence), exact(evidence), exact(reached)), 1e-6);
    let unknown = BayesianLinearRegression { noise: Noise::Conjugate { precision: lvm_core::dist::Gamma::new(2.0, 1.0)? }, ..known };
    let evidence = unknown.exact(&x, y.view())?.log_evidence;
    let run = unknown.mean_field(&x, y.view(), 500)?;
    // the fixed point of b ↦ b₀ + C/2 + D b/(2 a_N), C the squares at m_N: the ELBO there by a run ten times as long
    let (best, reached) = (run.last().map_or(f64::NAN, |q| q.elbo), run.get(49).map_or(f64::NAN, |q| q.elbo));
    let of = |v: f64, source: Source| Figure::exact(v, source, 1e-9 * v.abs());
    let case = format!("{case}, precision unknown");
    g.headline(
        Headline::new(&case, "q(w) q(τ)", "coordinate ascent", of(evidence, Source::I), of(best, Source::I), of(reached, Source::I)),
        1e-6,
    );
    Ok(())
}

/// Steps from λ = 0 under a sequence of gradients.
fn steps(rule: Rule, gradients: &[f64]) -> lvm_core::Result<Vec<f64>> {
    let optimizer = Optimizer { rule, metric: Metric::Euclidean, longest: 1e6 };
    let q = MeanField::standard(1)?;
    let mut state = optimizer.init(q.parameters())?;
    Ok(gradients
        .iter()
        .map(|g| {
            let mut parameters = vec![0.0, 0.0];
            optimizer.step(&mut state, &q, (1.0, 1.0), &mut [*g, 0.0], &mut parameters);
            parameters[0]
        })
        .collect())
}

fn rules(g: &mut Group<'_>) -> Outcome {
    // (a) Kingma & Ba 2015, algorithm 1, by hand: m̂ and v̂ of 3, −1, 2
    let adam = Adam { step: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let ours = steps(Rule::Adam(adam), &[3.0, -1.0, 2.0])?;
    let by_hand = |m: f64, v: f64| 0.1 * m / (v.sqrt() + 1e-8);
    let truth = vec![
        by_hand(3.0, 9.0),
        by_hand((0.9 * 0.3 - 0.1) / 0.19, (0.999 * 0.009 + 0.001) / 0.001_999),
        by_hand((0.81 * 0.3 - 0.09 + 0.2) / 0.271, (0.998_001 * 0.009 + 0.000_999 + 0.004) / 0.002_997_001),
    ];
    let t = Tolerance::absolute(1e-12, "a dozen roundings, those of 1 − β₂ᵗ magnified a thousand times");
    g.array("Adam: three steps", Source::E, &Array1::from(ours), &Array1::from(truth), &t);

    // (b) a normaliser that holds the present gradient makes steps of a linear rule no longer linear in it
    let optimizer = Optimizer { rule: Rule::Adam(adam), metric: Metric::Euclidean, longest: 1e6 };
    let q = MeanField::standard(1)?;
    let mut state = optimizer.init(q.parameters())?;
    for gradient in [3.0, -1.0, 2.0] {
        optimizer.step(&mut state, &q, (1.0, 1.0), &mut [gradient, 0.0], &mut [0.0, 0.0]);
    }
    state.hold();
    let of = |gradient: f64| {
        let (mut state, mut parameters) = (state.clone(), [0.0, 0.0]);
        optimizer.step(&mut state, &q, (1.0, 1.0), &mut [gradient, 0.0], &mut parameters);
        parameters[0]
    };
    let curvature = of(30.0) - 2.0 * of(20.0) + of(10.0);
    let t = Tolerance::absolute(1e-12, "steps of order 1: rounding");
    g.bounded("Adam, held: second difference of the step in the gradient", Source::E, curvature, &t);

    // (c) a/(b + t)^κ
    let rule = RobbinsMonro { step: 2.0, offset: 3.0, decay: 1.0 };
    let ours = steps(Rule::RobbinsMonro(rule), &[1.0; 5])?;
    let truth: Vec<f64> = (3..8).map(|t| 2.0 / f64::from(t)).collect();
    g.array("Robbins-Monro: five steps", Source::E, &Array1::from(ours), &Array1::from(truth), &Tolerance::rounding(2, 1.0));
    Ok(())
}

fn target() -> lvm_core::Result<GaussianTarget> {
    GaussianTarget::from_precision(array![3.0, -2.0, 0.5], array![[4.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 0.25]])
}

/// After 16 steps in batches of one the answer is the mean of the last eight iterates.
fn average(g: &mut Group<'_>) -> Outcome {
    let p = target()?;
    let stopping = Stopping { tolerance: 0.0, batch: 1, ..Stopping::default() };
    let vi = Vi { stopping, ..Vi::new(MeanField::standard(3)?) };
    let mut state = vi.init(&p, 3)?;
    let mut sum = Array1::<f64>::zeros(6);
    for step in 0..16 {
        vi.step(&mut state, &p)?;
        if step >= 8 {
            sum += &Array1::from(state.parameters.clone());
        }
    }
    let ours = Array1::from(vi.average(&state)?.parameters().to_vec());
    g.array("mean of the last half", Source::E, &ours, &(sum / 8.0), &Tolerance::rounding(8, 10.0));
    Ok(())
}

/// A run that says it has converged is within its tolerance of q*: m = μ, s_i² = 1/Λ_ii.
fn ends(g: &mut Group<'_>) -> Outcome {
    let p = target()?;
    let best = Array1::from(vec![3.0, -2.0, 0.5]);
    let sd = Array1::from(vec![4.0, 2.0, 0.25]).mapv(|l: f64| l.sqrt().recip());
    let near = MeanField::standard(3)?;
    let afar = MeanField::new(&[-20.0; 3], &[0.1; 3])?;
    let runs = [
        ("natural gradient from N(0, I)", Optimizer::natural_gradient(), &near),
        ("natural gradient from afar", Optimizer::natural_gradient(), &afar),
        ("decaying steps", Optimizer::robbins_monro(1.0, 10.0, 0.6), &near),
        ("Adam", Optimizer::adam(0.02), &near),
        ("distance over gradients", Optimizer::distance_over_gradients(), &near),
    ];
    for (name, optimizer, start) in runs {
        // ten times what the others need; decaying steps may need more still, and then have to say so (O3)
        let may_be_slow = matches!(optimizer.rule, Rule::RobbinsMonro(rule) if rule.decay > 0.0);
        let stopping = Stopping { max_iterations: 500_000, ..Stopping::default() };
        // near by with the noise of a plain gradient, from afar with the default, which has none on a Gaussian
        let gradient = if std::ptr::eq(start, &afar) { Gradient::default() } else { Gradient::PathwiseClosedEntropy };
        let fitted = Vi { optimizer, stopping, gradient, ..Vi::new(start.clone()) }.fit(&p, g.seed(0))?;
        let q = &fitted.model.q;
        let converged = fitted.status == Status::Converged;
        let reported = fitted.model.error.largest();
        let found = format!("{:?}, error {reported:.3}", fitted.status);
        let said_so = may_be_slow && fitted.status == Status::MaxIterations;
        let expected = if may_be_slow { "converged, error at most 0.05, or not converged" } else { "converged, error at most 0.05" };
        let right = said_so || (converged && reported <= 0.05);
        g.holds(format!("{name}: end"), found, expected, right, "the run has 500 000 steps, and may not call itself converged elsewhere");
        if said_so {
            continue;
        }
        // half as much again: the report is a 95 % statement about the largest of six
        let t = Tolerance::relative(0.075, "the run's tolerance of 0.05 sd, a 95 % statement about each of six, and half of it");
        g.array_scaled(format!("{name}: mean"), Source::E, &q.mean(), &best, &sd, &t);
        let log_ratio = (&q.standard_deviations() / &sd).mapv(f64::ln);
        g.array_scaled(format!("{name}: log sd/sd*"), Source::E, &log_ratio, &Array1::zeros(3), &Array1::ones(3), &t);
        let exact = FixedPoint::elbo(&p, q.mean().view(), q.covariance().view())?;
        let (elbo, last) = (fitted.model.elbo, fitted.trace.last().copied().unwrap_or(f64::NAN));
        let t = Tolerance::absolute(6.0 * elbo.std_err, "six standard errors: 2e-9");
        g.scalar(format!("{name}: ELBO reported is that of the q returned"), Source::E, elbo.mean, exact, &t);
        g.scalar(format!("{name}: last of the trace"), Source::I, last, elbo.mean, &Tolerance::exact("the same number"));
    }
    Ok(())
}
