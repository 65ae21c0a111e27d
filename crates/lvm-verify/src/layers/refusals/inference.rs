//! Bad targets and bad requests of variational inference: an error, a status, a count or a verdict says so; never a silent number.

use super::{REASON, refused};
use crate::check::Layer;
use crate::suite::{Group, Outcome, Suite};
use crate::tables;
use lvm_core::fit::{Fitted, Status, Stopping};
use lvm_core::{Error, Result};
use lvm_vi::amortized::AmortizedVi;
use lvm_vi::bound;
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, OnlineLda};
use lvm_vi::cavi::mixture::{BayesianMixture, StochasticBayesianMixture};
use lvm_vi::check;
use lvm_vi::diagnose::{Diagnose, Level, WeightedDraws};
use lvm_vi::family::{Family, FullRank, MeanField};
use lvm_vi::fit::{self, Optimum, Vi};
use lvm_vi::models::LogisticRegression;
use lvm_vi::target::{Batch, DataLogDensity, FullData, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2};
use std::sync::atomic::{AtomicUsize, Ordering};

/// All of them.
pub(super) fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::F, "F1", "inference: overflow in a log joint", overflow);
    suite.group(Layer::F, "F1", "inference: gradients that are no numbers", not_a_number);
    suite.group(Layer::F, "F1", "inference: improper posteriors", improper);
    suite.group(Layer::F, "F1", "inference: a wrong gradient", wrong_gradient);
    suite.group(Layer::F, "F1", "inference: batches and draws", requests);
    suite.group(Layer::F, "F1", "inference: data of the conjugate models", data);
}

/// log p of two latents as a function, and which evaluation it is.
struct Target<F>(F, AtomicUsize);

impl<F: Fn(&[f64], &mut [f64], usize) -> std::result::Result<f64, TargetError> + Sync> Target<F> {
    fn new(f: F) -> Self {
        Target(f, AtomicUsize::new(0))
    }
}

impl<F: Fn(&[f64], &mut [f64], usize) -> std::result::Result<f64, TargetError> + Sync> LogDensity for Target<F> {
    fn dim(&self) -> usize {
        2
    }
    fn log_density(&self, z: &[f64]) -> std::result::Result<f64, TargetError> {
        (self.0)(z, &mut [0.0; 2], usize::MAX)
    }
}

impl<F: Fn(&[f64], &mut [f64], usize) -> std::result::Result<f64, TargetError> + Sync> LogDensityGrad for Target<F> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> std::result::Result<f64, TargetError> {
        (self.0)(z, gradient, self.1.fetch_add(1, Ordering::Relaxed))
    }
}

/// N((1, −1), I), with its constant.
fn normal(z: &[f64], gradient: &mut [f64]) -> f64 {
    gradient.copy_from_slice(&[1.0 - z[0], -1.0 - z[1]]);
    -0.5 * ((z[0] - 1.0).powi(2) + (z[1] + 1.0).powi(2)) - std::f64::consts::TAU.ln()
}

type Run = Result<Fitted<Optimum<MeanField>>>;

fn fit(target: &impl LogDensityGrad, sd: f64, steps: usize) -> Run {
    let stopping = fit::Stopping { max_iterations: steps, ..fit::Stopping::default() };
    Vi { stopping, ..Vi::new(MeanField::new(&[0.0; 2], &[sd; 2])?) }.fit(target, 1)
}

fn said(run: &Run) -> String {
    match run {
        Err(e) => e.to_string(),
        Ok(f) => format!("{:?}, {} draws and {} steps left out", f.status, f.model.skipped_draws, f.model.skipped_steps),
    }
}

/// An error, or the run says that it has not converged.
fn not_converged(g: &mut Group<'_>, what: &str, run: &Run) {
    let fine = run.as_ref().map_or(true, |f| f.status != Status::Converged);
    g.holds(what, said(run), "an error, or not converged", fine, REASON);
}

/// The right answer (1, −1), and the draws that were left out are counted.
fn right_and_counted(g: &mut Group<'_>, what: &str, run: &Run) {
    let right = |f: &Fitted<Optimum<MeanField>>| {
        let (m, s) = (f.model.q.mean(), f.model.q.standard_deviations());
        (m[0] - 1.0).abs().max((m[1] + 1.0).abs()).max((s[0] - 1.0).abs()).max((s[1] - 1.0).abs()) < 0.2
    };
    let fine = run.as_ref().is_ok_and(|f| right(f) && f.model.skipped_draws > 0);
    g.holds(what, said(run), "the right answer, with a count of what was left out", fine, REASON);
}

fn overflow(g: &mut Group<'_>) -> Outcome {
    // e^{z} overflows far out: infinite there, and the answer of the rest
    let infinite = |sign: f64| {
        Target::new(move |z: &[f64], gradient: &mut [f64], _| {
            let value = normal(z, gradient);
            Ok(if z[0].abs() > 4.5 { sign * (800.0 * z[0].abs()).exp() } else { value })
        })
    };
    for (name, sign) in [("+∞", 1.0), ("−∞", -1.0)] {
        right_and_counted(g, &format!("a log joint of {name} far out"), &fit(&infinite(sign), 3.0, 100_000));
    }
    let refusing = Target::new(|z: &[f64], gradient: &mut [f64], _| match z[0].abs() > 4.5 {
        true => Err(TargetError::Recoverable("σ = e^η overflows".into())),
        false => Ok(normal(z, gradient)),
    });
    right_and_counted(g, "a recoverable error far out", &fit(&refusing, 3.0, 100_000));
    let never = Target::new(|z: &[f64], _: &mut [f64], _| Ok((800.0 + z[0].abs()).exp()));
    refused(g, "a log joint that overflows everywhere", fit(&never, 1.0, 1000).map(|_| ()), &["NoUsableDraw"]);
    let fatal = Target::new(|_: &[f64], _: &mut [f64], _| Err(TargetError::Fatal("the file is gone".into())));
    refused(g, "a target that fails for good", fit(&fatal, 1.0, 1000).map(|_| ()), &["Density"]);
    Ok(())
}

/// NaN in the gradient of the evaluations `from..to`.
fn nan_between(from: usize, to: usize) -> impl LogDensityGrad {
    Target::new(move |z: &[f64], gradient: &mut [f64], evaluation| {
        let value = normal(z, gradient);
        if (from..to).contains(&evaluation) {
            gradient[1] = f64::NAN;
        }
        Ok(value)
    })
}

fn not_a_number(g: &mut Group<'_>) -> Outcome {
    // ten draws try the start, ten make a step
    right_and_counted(g, "NaN in the gradients of step 1", &fit(&nan_between(10, 20), 1.0, 100_000));
    right_and_counted(g, "NaN in the gradients of step 100", &fit(&nan_between(1000, 1010), 1.0, 100_000));
    refused(g, "NaN in every gradient", fit(&nan_between(0, usize::MAX), 1.0, 1000).map(|_| ()), &["NoUsableDraw"]);
    // tolerance 0: the run would go on, and every step from the thousandth on is left out and counted
    let stopping = fit::Stopping { max_iterations: 3000, tolerance: 0.0, ..fit::Stopping::default() };
    let late = Vi { stopping, ..Vi::new(MeanField::standard(2)?) }.fit(&nan_between(10_000, usize::MAX), 1);
    let counted = late.as_ref().is_ok_and(|f| f.status != Status::Converged && f.model.skipped_steps >= 1900);
    g.holds("NaN in every gradient from step 1000 on", said(&late), "about 2000 steps left out", counted || late.is_err(), REASON);
    // ends while most of its draws are missing: that must be said
    let half = Target::new(|z: &[f64], gradient: &mut [f64], _| {
        let value = normal(z, gradient);
        Ok(if z[0] > 1.0 { f64::NAN } else { value })
    });
    let run = fit(&half, 1.0, 20_000);
    let verdict = run.as_ref().ok().map(|f| Diagnose::default().run(&f.model.q, &half, 2)).transpose()?;
    let flagged = verdict.as_ref().is_none_or(|d| d.refused > 0 && d.verdict.level != Level::Pass);
    let found = verdict.map_or_else(|| said(&run), |d| format!("{}, {} draws refused", d.verdict.level, d.refused));
    g.holds("NaN on half of the posterior", found, "no pass, and the draws refused are counted", flagged, REASON);
    Ok(())
}

fn improper(g: &mut Group<'_>) -> Outcome {
    let flat = Target::new(|_: &[f64], gradient: &mut [f64], _| {
        gradient.fill(0.0);
        Ok(-1.0)
    });
    not_converged(g, "a constant log joint", &fit(&flat, 1.0, 5000));
    let half = Target::new(|z: &[f64], gradient: &mut [f64], _| {
        gradient.copy_from_slice(&[-z[0], 0.0]);
        Ok(-0.5 * z[0] * z[0])
    });
    not_converged(g, "a flat prior on a latent without data", &fit(&half, 1.0, 5000));
    let rising = Target::new(|z: &[f64], gradient: &mut [f64], _| {
        gradient.copy_from_slice(&[-z[0], 1.0]);
        Ok(-0.5 * z[0] * z[0] + z[1])
    });
    not_converged(g, "a log joint that rises for ever", &fit(&rising, 1.0, 5000));
    // y = 1 where x > 0, no prior: the larger the coefficient the better
    let separated = Target::new(|z: &[f64], gradient: &mut [f64], _| {
        gradient.fill(0.0);
        let mut value = 0.0;
        for x in [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0_f64] {
            let eta = (z[0] + z[1] * x) * x.signum();
            value -= (-eta).max(0.0) + (-eta.abs()).exp().ln_1p();
            let pull = x.signum() / (1.0 + eta.exp());
            gradient[0] += pull;
            gradient[1] += pull * x;
        }
        Ok(value)
    });
    not_converged(g, "separation with a flat prior", &fit(&separated, 1.0, 5000));
    // the same with a prior is proper, and has its answer
    let x = Array2::from_shape_fn((6, 2), |(n, j)| if j == 0 { 1.0 } else { [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0][n] });
    let y = Array1::from_shape_fn(6, |n| if n < 3 { 0.0 } else { 1.0 });
    let model = LogisticRegression::new(&x, y.view(), 5.0)?;
    let run = fit(&FullData::new(&model), 1.0, 200_000);
    let fine = run.as_ref().is_ok_and(|f| f.status == Status::Converged && f.model.elbo.mean.is_finite());
    g.holds("separation with a proper prior", said(&run), "converged", fine, REASON);
    Ok(())
}

fn wrong_gradient(g: &mut Group<'_>) -> Outcome {
    let wrong = Target::new(|z: &[f64], gradient: &mut [f64], _| {
        let value = normal(z, gradient);
        // the prior of the second latent forgotten: it is drawn to +1
        gradient[1] = 1.0 - z[1];
        Ok(value)
    });
    let report = check::gradient(&wrong, &[vec![0.3, 0.4]])?;
    let named = matches!(report.finding, check::Finding::Wrong { coordinate: 1 });
    g.holds("the check names the coordinate", report.to_string(), "wrong in coordinate 1", named, REASON);
    let fitted = fit(&wrong, 1.0, 100_000)?;
    let level = Diagnose::default().run(&fitted.model.q, &wrong, 3)?.verdict.level;
    let fine = level != Level::Pass;
    g.holds("the verdict on what comes of it", level.to_string(), "no pass", fine, "weights are made from values, which are right");
    Ok(())
}

fn requests(g: &mut Group<'_>) -> Outcome {
    let target = Target::new(|z: &[f64], gradient: &mut [f64], _| Ok(normal(z, gradient)));
    let q = MeanField::standard(2)?;
    let vi = || Vi::new(q.clone());
    let config = ["Config"];
    for (what, result) in [
        ("steps of zero draws", Vi { draws: 0, ..vi() }.fit(&target, 1).map(|_| ())),
        ("an ELBO of zero draws", Vi { elbo_draws: 0, ..vi() }.fit(&target, 1).map(|_| ())),
        ("a bound of zero draws", bound::elbo(&q, &target, 0, 1).map(|_| ())),
        ("an importance-weighted bound of zero particles", bound::iwae(&q, &target, 0, 10, 1).map(|_| ())),
        ("an evidence of zero draws", bound::evidence(&q, &target, 0, 1).map(|_| ())),
        ("zero weighted draws", WeightedDraws::new(&q, &target, 0, 1).map(|_| ())),
        ("a verdict on zero draws", Diagnose { draws: 0, ..Diagnose::default() }.run(&q, &target, 1).map(|_| ())),
        ("a gradient checked at no point", check::gradient(&target, &[]).map(|_| ())),
        ("zero restarts", Vi { restarts: 0, ..vi() }.fit(&target, 1).map(|_| ())),
        (
            "a negative tolerance",
            Vi { stopping: fit::Stopping { tolerance: -1.0, ..fit::Stopping::default() }, ..vi() }.fit(&target, 1).map(|_| ()),
        ),
    ] {
        refused(g, what, result, &config);
    }
    let three = FullRank::standard(3)?;
    refused(g, "a q of three latents for a target of two", bound::elbo(&three, &target, 10, 1).map(|_| ()), &["Shape"]);
    refused(g, "a fit of three latents to a target of two", Vi::new(three).fit(&target, 1).map(|_| ()), &["Shape"]);
    let x = tables::real("iris")?.x;
    let model = LogisticRegression::new(&x, Array1::from_shape_fn(150, |n| f64::from(u8::from(n >= 75))).view(), 1.0)?;
    for (what, rows) in [("an empty batch", vec![]), ("a batch larger than the data", vec![0; 151]), ("a row that is not there", vec![150])]
    {
        refused(g, what, Batch::new(&model, &rows).map(|_| ()), &config);
    }
    let start = MeanField::standard(model.dim())?;
    let documents = Documents::from_rows(3, (0..5).map(|d| vec![(d % 3, 2.0)]))?;
    for batch in [0, 1000] {
        let what = |of: &str| format!("{of}: batches of {batch}");
        refused(g, &what("stochastic fit"), Vi::new(start.clone()).fit_minibatch(&model, batch, 1).map(|_| ()), &config);
        let svi =
            StochasticBayesianMixture { batch, ..StochasticBayesianMixture::new(BayesianMixture { components: 2, ..Default::default() }) };
        refused(g, &what("Bayesian mixture"), svi.fit(&x, 1).map(|_| ()), &config);
        let online = OnlineLda { batch, ..OnlineLda::new(Lda { topics: 2, ..Default::default() }) };
        refused(g, &what("online LDA"), online.fit(&documents, 1).map(|_| ()), &config);
    }
    let ppca = g.subject.fit_ppca(&lvm_core::ppca::PpcaMl::default(), &x, 0)?.model;
    let never = AmortizedVi { batch: 0, stopping: Stopping { max_iterations: 1, tolerance: 0.0 }, ..Default::default() };
    refused(g, "encoder: batches of 0", never.fit(&ppca, &x, 1).map(|_| ()), &config);
    Ok(())
}

/// A cell that is no number is named; counts below zero and documents without words are refused.
fn data(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    for (value, what) in [(f64::NAN, "NaN"), (f64::INFINITY, "∞")] {
        let mut bad = x.clone();
        bad[[97, 2]] = value;
        let mixture = BayesianMixture { components: 2, ..Default::default() };
        let fits: [(&str, Result<()>); 3] = [
            ("Bayesian mixture", mixture.fit(&bad, 1).map(|_| ())),
            (
                "Bayesian mixture by batches",
                StochasticBayesianMixture { batch: 50, ..StochasticBayesianMixture::new(mixture) }.fit(&bad, 1).map(|_| ()),
            ),
            ("Bayesian PPCA", BayesianPpca::default().fit(&bad, 1).map(|_| ())),
        ];
        for (name, result) in fits {
            let named = |e: &Error| e.to_string().contains("row 97") && e.to_string().contains("column 2");
            let found = result.as_ref().err().map_or_else(|| "an answer".to_owned(), Error::to_string);
            let fine = result.as_ref().err().is_some_and(named);
            g.holds(format!("{name}: {what} in the data"), found, "an error that names row 97, column 2", fine, REASON);
        }
    }
    let equal = Array2::from_elem((30, 4), 1.5);
    refused(
        g,
        "Bayesian mixture: all rows equal",
        BayesianMixture::default().fit(&equal, 1).map(|_| ()),
        &["NoVariation", "ConstantColumns"],
    );
    refused(g, "Bayesian PPCA: all rows equal", BayesianPpca::default().fit(&equal, 1).map(|_| ()), &["NoVariation"]);
    for (what, row) in
        [("a count below zero", vec![(0, -1.0)]), ("a count of NaN", vec![(0, f64::NAN)]), ("a word that is not there", vec![(7, 1.0)])]
    {
        let made = Documents::from_rows(3, [vec![(0, 1.0)], row]);
        g.holds(
            format!("documents: {what}"),
            made.as_ref().map_or_else(Error::to_string, |_| "an answer".into()),
            "an error",
            made.is_err(),
            REASON,
        );
    }
    Ok(())
}
