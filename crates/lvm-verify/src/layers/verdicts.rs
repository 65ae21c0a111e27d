//! P3 to P6: what the diagnostics of lvm-vi say of a q, beside what is known of it.

use crate::case::{Case, Node};
use crate::check::{Layer, Source, Tolerance};
use crate::posterior::Posterior;
use crate::report::confusion::Judgement;
use crate::report::exhibit::Exhibit;
use crate::suite::{Budget, Group, Outcome, Problem, Suite};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::Infer;
use lvm_core::special::{digamma, trigamma};
use lvm_vi::deterministic::{FixedPoint, GaussianOptimum, Shape};
use lvm_vi::diagnose::{Diagnose, Diagnosis, Level, WeightedDraws, psis as smooth};
use lvm_vi::expectation::{Affine, GaussianExpectation, GaussianTarget, LogJoint};
use lvm_vi::family::{Family, FullRank, MeanField};
use lvm_vi::local::{PerDatum, RowTarget, Shape as LocalShape};
use lvm_vi::target::LogDensityGrad;
use ndarray::{Array1, Array2};

/// P3, kind `psis`: the tail fit on fixed log weights.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn psis(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (k_abs, weights_abs) = (case.get("tolerance.k_abs")?.number()?, case.get("tolerance.weights_abs")?.number()?);
    for c in case.get("cases")?.list()? {
        let name = c.get("name")?.text()?;
        let fitted = smooth(&c.get("log_weights")?.vector()?.to_vec())?;
        g.scalar(
            format!("{name}: k"),
            Source::X,
            fitted.pareto_k,
            c.get("pareto_k_own")?.number()?,
            &Tolerance::absolute(k_abs, "the file's; three programs agree to 1e-12"),
        );
        let theirs = c.get("smoothed_normalised_log_weights_first_5")?.vector()?;
        let ours = Array1::from(fitted.log_weights[..theirs.len()].to_vec());
        g.array(format!("{name}: smoothed log weights"), Source::X, &ours, &theirs, &Tolerance::absolute(weights_abs, "the file's"));
        let tail = Tolerance::exact("a count");
        g.scalar(format!("{name}: length of the tail"), Source::X, fitted.tail_length as f64, c.get("tail_length")?.number()?, &tail);
        let relative = Tolerance::relative(weights_abs, "that of the log weights");
        let theirs = c.get("psis_n_eff_r_loo")?.number()?;
        g.scalar(format!("{name}: effective draws"), Source::X, fitted.effective_draws, theirs, &relative);
    }
    Ok(())
}

/// What the posterior is known to be: means and standard deviations of the unconstrained latents.
struct Truth {
    mean: Array1<f64>,
    sd: Array1<f64>,
}

impl Truth {
    fn of(case: &Case) -> Result<Self, Problem> {
        let at = |field: &str| case.get(&format!("truth.unconstrained.{field}"))?.vector();
        Ok(Truth { mean: at("mean")?, sd: at("sd")? })
    }

    /// The largest error of a mean in posterior standard deviations, and of a standard deviation as a share.
    fn errors<F: Family>(&self, q: &F) -> (f64, f64) {
        let (mean, sd) = (q.mean(), q.standard_deviations());
        let largest = |error: &dyn Fn(usize) -> f64| (0..self.mean.len()).map(error).fold(0.0, f64::max);
        (largest(&|i| (mean[i] - self.mean[i]).abs() / self.sd[i]), largest(&|i| (sd[i] / self.sd[i] - 1.0).abs()))
    }
}

/// A q and its verdict beside the truth; `optimum` says that q is the best of its family, not one made worse on purpose.
fn judged<F: Family, M: LogDensityGrad + ?Sized>(
    g: &mut Group<'_>,
    (name, optimum): (&str, bool),
    q: &F,
    model: &M,
    truth: &Truth,
) -> Result<Diagnosis, Problem> {
    let found = Diagnose::default().run(q, model, g.seed(0))?;
    let (mean_error, scale_error) = truth.errors(q);
    let (level, pareto_k) = (found.verdict.level, found.pareto_k);
    let judgement = Judgement { case: g.case().to_owned(), q: name.to_owned(), optimum, level, pareto_k, mean_error, scale_error };
    g.holds(
        format!("{name}: no false pass"),
        format!("{level}, k {pareto_k:.2}"),
        format!("means off by {mean_error:.3} sd at most, sds by {:.1} %", 100.0 * scale_error),
        judgement.is_good() || level != Level::Pass,
        "a pass promises means within 0.1 sd and sds within 15 % of the truth",
    );
    if optimum {
        let case = format!("{}, {name}", g.case());
        g.exhibits.push(Exhibit::Tail { case, k: pareto_k, sd: 0.0, threshold: found.pareto_k_threshold });
    }
    g.judgements.push(judgement);
    Ok(found)
}

/// The exact optima over Gaussians that a case holds.
fn mean_field(optimum: &Node<'_>) -> Result<MeanField, Problem> {
    Ok(MeanField::new(&optimum.get("mean")?.vector()?.to_vec(), &optimum.get("sd")?.vector()?.to_vec())?)
}

fn full_rank(optimum: &Node<'_>) -> Result<FullRank, Problem> {
    Ok(FullRank::new(&optimum.get("mean")?.vector()?.to_vec(), optimum.get("cov")?.matrix()?.view())?)
}

/// P4 and P6 of one optimum: the verdict the file expects, bounds that hold.
fn optimum<F: Family, M: LogDensityGrad + ?Sized>(g: &mut Group<'_>, name: &str, q: &F, at: &Node<'_>, model: &M, case: &Case) -> Outcome {
    let truth = Truth::of(case)?;
    let found = judged(g, (name, true), q, model, &truth)?;
    let expected = at.get("expected_verdict")?.text()?;
    let level = found.verdict.level;
    let holds = match expected.split([' ', ':']).next() {
        Some("reliable") => level == Level::Pass,
        Some("must") => level != Level::Pass,
        Some("borderline") => true,
        _ => return Err(Problem(format!("expected_verdict \"{expected}\" is not one of reliable, must be flagged, borderline"))),
    };
    g.holds(format!("{name}: verdict"), format!("{level}, k {:.2}", found.pareto_k), expected, holds, "the file's, by the 0.7 rule");
    bounds(g, name, q, &found, &truth);
    Ok(())
}

/// P6: the true error is within the bound wherever there is one.
fn bounds<F: Family>(g: &mut Group<'_>, name: &str, q: &F, found: &Diagnosis, truth: &Truth) {
    let Some(bounds) = &found.bounds else {
        let k = format!("no bound at k {:.2}", found.pareto_k);
        g.holds(
            format!("{name}: bounds"),
            k,
            "none where k ≥ 1/2",
            found.pareto_k >= 0.5,
            "the second moment of the weights is infinite there",
        );
        return;
    };
    let (mean, sd) = (q.mean(), q.standard_deviations());
    let share = |error: &dyn Fn(usize) -> f64| (0..truth.mean.len()).map(error).fold(0.0, f64::max);
    let of_means = share(&|i| (mean[i] - truth.mean[i]).abs() / bounds.mean[i].max(1e-7 * truth.sd[i]));
    let of_sds = share(&|i| (sd[i] - truth.sd[i]).abs() / bounds.standard_deviation[i].max(1e-7 * truth.sd[i]));
    // a q that is the posterior has a bound of 0 and errors of rounding
    let one = Tolerance::absolute(1.0, "an inequality: error over bound, at least 1e-7 sd, is at most 1");
    g.bounded(format!("{name}: mean errors over their bounds"), Source::Q, of_means, &one);
    g.bounded(format!("{name}: sd errors over their bounds"), Source::Q, of_sds, &one);
}

/// P4, kind `posterior`: the verdict on both optima, and on optima made worse on purpose.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn verdicts(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    if let Some(at) = case.find("vi_optimum.meanfield") {
        optimum(g, "mean field", &mean_field(&at)?, &at, model, case)?;
    }
    let Some(at) = case.find("vi_optimum.fullrank") else { return Ok(()) };
    let best = full_rank(&at)?;
    optimum(g, "full rank", &best, &at, model, case)?;
    if g.budget == Budget::Quick {
        return Ok(());
    }
    let truth = Truth::of(case)?;
    let (mean, covariance) = (best.mean(), best.covariance());
    let sd = best.standard_deviations();
    for shift in [0.05, 0.2, 1.0] {
        let moved = FullRank::new((&mean + &(&sd * shift)).as_slice().unwrap_or(&[]), covariance.view())?;
        judged(g, (&format!("full rank, every mean {shift} sd off"), false), &moved, model, &truth)?;
    }
    for factor in [0.5, 0.8, 0.95, 1.05, 1.25, 2.0] {
        let scaled = FullRank::new(mean.as_slice().unwrap_or(&[]), (&covariance * (factor * factor)).view())?;
        judged(g, (&format!("full rank, every sd times {factor}"), false), &scaled, model, &truth)?;
    }
    Ok(())
}

/// P5, kind `gaussian_target`: k̂ of many draws beside the exact tail index, and the verdict beside the exact error.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn tail_index(g: &mut Group<'_>, case: &Case) -> Outcome {
    let covariance = case.get("target.covariance")?.matrix()?;
    let target = GaussianTarget::from_precision(case.get("target.mean")?.vector()?, case.get("target.precision")?.matrix()?)?;
    let mean = target.mean().to_owned();
    let variances = case.get("meanfield_optimum.variances")?.vector()?;
    let q = MeanField::new(&mean.to_vec(), &variances.mapv(f64::sqrt).to_vec())?;
    let exact = case.get("importance_ratio_tail.k_exact")?.number()?;
    if g.budget != Budget::Quick {
        let k = WeightedDraws::new(&q, &target, 1_000_000, g.seed(1))?.smoothed()?.pareto_k;
        g.scalar("k of a million draws", Source::E, k, exact, &Tolerance::absolute(0.1, "VERIFY P5: the bias of the tail fit at this S"));
    }
    let truth = Truth { sd: covariance.diag().mapv(f64::sqrt), mean };
    let found = judged(g, ("mean field", true), &q, &target, &truth)?;
    bounds(g, "mean field", &q, &found, &truth);
    let all = FullRank::new(&truth.mean.to_vec(), covariance.view())?;
    let found = judged(g, ("full rank", true), &all, &target, &truth)?;
    let right = found.verdict.level == Level::Pass && found.pareto_k <= 0.5;
    g.holds(
        "full rank: verdict",
        format!("{}, k {:.2}", found.verdict.level, found.pareto_k),
        "pass: q is the posterior",
        right,
        "KL is 0",
    );
    Ok(())
}

/// The verdict where the truth is known without a case: rows of PPCA and factor models, rows of a Bernoulli factor model by quadrature,
/// logarithms of gamma variables in closed form; each with the best Gaussians and with some made worse on purpose.
pub fn all(suite: &mut Suite<'_>) {
    let quick = suite.selection.budget == Budget::Quick;
    suite.group(Layer::P, "P4", "latents of linear Gaussian rows", linear_gaussian_rows);
    suite.group(Layer::P, "P4", "latents of Bernoulli rows", bernoulli_rows);
    let shapes: &[f64] = if quick { &[1.5] } else { &[0.6, 1.5, 5.0, 60.0] };
    for shape in shapes {
        suite.group(Layer::P, "P4", &format!("logarithm of a gamma variable of shape {shape}"), |g| log_gamma(g, *shape));
    }
}

/// The best full-rank q and the best mean field of a target, and the former spoilt: means off by 0.2, sds times 0.7 and 1.3.
fn of_target<M: LogDensityGrad + ?Sized>(g: &mut Group<'_>, name: &str, target: &M, truth: &Truth, best: [&GaussianOptimum; 2]) -> Outcome {
    let [diagonal, full] = best;
    let found = judged(g, (&format!("{name}, mean field"), true), &diagonal.mean_field()?, target, truth)?;
    bounds(g, &format!("{name}, mean field"), &diagonal.mean_field()?, &found, truth);
    let found = judged(g, (&format!("{name}, full rank"), true), &full.full_rank()?, target, truth)?;
    bounds(g, &format!("{name}, full rank"), &full.full_rank()?, &found, truth);
    let sd = full.standard_deviations();
    let moved = FullRank::new(&(&full.mean + &(&sd * 0.2)).to_vec(), full.covariance.view())?;
    judged(g, (&format!("{name}, every mean 0.2 sd off"), false), &moved, target, truth)?;
    for factor in [0.7, 1.3] {
        let scaled = FullRank::new(&full.mean.to_vec(), (&full.covariance * (factor * factor)).view())?;
        judged(g, (&format!("{name}, every sd times {factor}"), false), &scaled, target, truth)?;
    }
    Ok(())
}

fn optima(target: &dyn GaussianExpectation) -> lvm_core::Result<[GaussianOptimum; 2]> {
    let of = |shape| -> lvm_core::Result<GaussianOptimum> { Ok(FixedPoint { shape, ..FixedPoint::default() }.fit(target)?.model) };
    Ok([of(Shape::Diagonal)?, of(Shape::Full)?])
}

/// p(z | x) = N(z̄, Λ⁻¹) of rows of iris under PPCA and under a factor model with turned loadings: the full rank is exact, the mean field
/// passes or not as the correlation of the latents has it.
fn linear_gaussian_rows(g: &mut Group<'_>) -> Outcome {
    let x = crate::tables::real("iris")?.x;
    let p = lvm_core::ppca::PpcaMl { components: 2, ..Default::default() }.fit(&x, 0)?.model;
    let d = x.ncols();
    for (name, turn, noise) in [
        ("PPCA, turned a little", 0.1_f64, Array1::from_elem(d, p.noise_variance())),
        ("PPCA, turned by 0.6", 0.6, Array1::from_elem(d, p.noise_variance())),
        ("factors", 0.3, Array1::from_shape_fn(d, |j| 0.05 * (1.0 + j as f64))),
    ] {
        let (sin, cos) = turn.sin_cos();
        let w = p.loadings().dot(&ndarray::array![[cos, sin], [-sin, cos]]);
        let model = LinearGaussian::new(p.mean().clone(), w, noise)?;
        let rows = if g.budget == Budget::Quick { vec![0] } else { vec![0, 75, 149] };
        for n in rows {
            let some = x.select(ndarray::Axis(0), &[n]);
            let exact = model.infer(&some)?;
            let (mean, covariance) = (exact.mean().row(0).to_owned(), exact.covariance(0).to_owned());
            let truth = Truth { sd: covariance.diag().mapv(f64::sqrt), mean: mean.clone() };
            let [diagonal, full] = optima(&GaussianTarget::from_covariance(mean, covariance)?)?;
            of_target(g, &format!("{name}, row {n}"), &RowTarget::new(&model, &some, 0)?, &truth, [&diagonal, &full])?;
        }
    }
    Ok(())
}

/// Rows of a Bernoulli factor model of two latents, moments by the suite's own quadrature.
fn bernoulli_rows(g: &mut Group<'_>) -> Outcome {
    let (model, _) = super::gradients::bernoulli()?;
    let rows = if g.budget == Budget::Quick { 1 } else { 4 };
    let x = Array2::from_shape_fn((rows, 6), |(n, j)| f64::from(u8::from((n * 5 + j * 3) % 4 < 2)));
    for n in 0..rows {
        let (_, mean, covariance) = super::bernoulli::trapezoid(&model, x.row(n));
        let truth = Truth { sd: covariance.diag().mapv(f64::sqrt), mean };
        let best = |shape| -> Result<GaussianOptimum, Problem> {
            let q = PerDatum { shape, ..Default::default() }.fit(&model, &x.select(ndarray::Axis(0), &[n]))?.model;
            Ok(GaussianOptimum { mean: q.mean().row(0).to_owned(), covariance: q.covariance(0), elbo: f64::NAN, gradient: 0.0 })
        };
        let of = [best(LocalShape::Diagonal)?, best(LocalShape::Full)?];
        of_target(g, &format!("row {n}"), &RowTarget::new(&model, &x, n)?, &truth, [&of[0], &of[1]])?;
    }
    Ok(())
}

/// u = log λ, λ ~ Gamma(a, b): mean ψ(a) − log b, variance ψ′(a).
fn log_gamma(g: &mut Group<'_>, a: f64) -> Outcome {
    let b = 2.0_f64;
    let mut target = LogJoint::new(1)?;
    target.gamma(Affine::variable(0), a, b)?;
    let truth = Truth { mean: Array1::from_elem(1, digamma(a) - b.ln()), sd: Array1::from_elem(1, trigamma(a).sqrt()) };
    let [diagonal, full] = optima(&target)?;
    of_target(g, "logarithm", &target, &truth, [&diagonal, &full])
}
