//! Targets that panic, break late, or are no densities; settings of zero; data without variation.

use lvm_core::ErrorKind;
use lvm_core::fit::Status;
use lvm_vi::cavi::linear_regression::{BayesianLinearRegression, Noise};
use lvm_vi::diagnose::{Diagnose, Level};
use lvm_vi::family::{Family, MeanField, Variational};
use lvm_vi::fit::{Stopping, Vi};
use lvm_vi::models::{LinearRegression, LogisticRegression, PoissonRegression};
use lvm_vi::target::{FullData, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, array};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A density in one latent by its value and slope.
struct Line<F>(F);

impl<F: Fn(f64) -> (f64, f64) + Sync> LogDensity for Line<F> {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok((self.0)(z[0]).0)
    }
}

impl<F: Fn(f64) -> (f64, f64) + Sync> LogDensityGrad for Line<F> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (value, slope) = (self.0)(z[0]);
        gradient[0] = slope;
        Ok(value)
    }
}

fn standard() -> MeanField {
    MeanField::standard(1).unwrap()
}

/// Exactly so many steps.
fn steps(n: usize) -> Stopping {
    Stopping { max_iterations: n, tolerance: 0.0, ..Stopping::default() }
}

#[test]
fn a_panic_of_the_target_unwinds_to_the_caller() {
    let target = Line(|z: f64| if z > 1.0 { panic!("index 7 is out of bounds") } else { (-0.5 * z * z, -z) });
    let message = |caught: std::thread::Result<()>| caught.unwrap_err().downcast_ref::<&str>().map(|s| (*s).to_owned());
    let fitted = catch_unwind(AssertUnwindSafe(|| drop(Vi::new(standard()).fit(&target, 1))));
    assert_eq!(message(fitted).as_deref(), Some("index 7 is out of bounds"));
    // out of work on other threads too
    let judged = catch_unwind(AssertUnwindSafe(|| drop(Diagnose::default().run(&standard(), &target, 1))));
    assert_eq!(message(judged).as_deref(), Some("index 7 is out of bounds"));
}

#[test]
fn a_gradient_that_breaks_late_is_left_out_for_as_long_as_it_is_broken() {
    let run = |broken: std::ops::Range<usize>| {
        let calls = AtomicUsize::new(0);
        let target = Line(move |z: f64| {
            let slope = if broken.contains(&calls.fetch_add(1, Ordering::Relaxed)) { f64::NAN } else { 2.0 - z };
            (-0.5 * (z - 2.0).powi(2), slope)
        });
        Vi { stopping: steps(2000), ..Vi::new(standard()) }.fit(&target, 1)
    };
    // ten draws a step, after ten for the try of the start: all those of step 1000
    let fitted = run(10_000..10_010).unwrap().model;
    assert_eq!((fitted.skipped_steps, fitted.skipped_draws), (1, 10));
    // the exact optimum is N(2, 1), and 1000 averaged iterates of step 0.1 are within a hundredth
    assert!((fitted.q.mean()[0] - 2.0).abs() < 0.05 && (fitted.q.standard_deviations()[0] - 1.0).abs() < 0.05);
    // from step 1000 on for good: counted, and with a tolerance never called converged
    let fitted = run(10_000..usize::MAX).unwrap().model;
    assert_eq!((fitted.skipped_steps, fitted.skipped_draws), (1001, 10_010));
    let calls = AtomicUsize::new(0);
    let dying = Line(move |z: f64| {
        let alive = calls.fetch_add(1, Ordering::Relaxed) < 2000;
        (-0.5 * z * z + z, if alive { 1.0 - z } else { f64::NAN })
    });
    let stopping = Stopping { max_iterations: 5000, ..Stopping::default() };
    let fitted = Vi { stopping, ..Vi::new(standard()) }.fit(&dying, 1).unwrap();
    assert_eq!(fitted.status, Status::MaxIterations);
}

#[test]
fn what_is_no_density_never_converges_and_never_passes() {
    let stopping = Stopping { max_iterations: 10_000, ..Stopping::default() };
    // improper: flat, and flat on one side; the best standard deviation is infinite
    let flat: fn(f64) -> (f64, f64) = |_| (0.0, 0.0);
    let half: fn(f64) -> (f64, f64) = |z| if z < 0.0 { (-0.5 * z * z, -z) } else { (0.0, 0.0) };
    // unbounded: e^{z²}, e^{z⁴}
    let square: fn(f64) -> (f64, f64) = |z| (z * z, 2.0 * z);
    let fourth: fn(f64) -> (f64, f64) = |z| (z.powi(4), 4.0 * z.powi(3));
    for (name, density) in [("flat", flat), ("half", half), ("square", square), ("fourth", fourth)] {
        match (Vi { stopping, ..Vi::new(standard()) }).fit(&Line(density), 1) {
            Ok(fitted) => {
                assert_eq!(fitted.status, Status::MaxIterations, "{name}");
                assert!(fitted.model.q.parameters().iter().all(|p| p.is_finite()), "{name}");
            }
            // where q has gone no draw has a density
            Err(e) => {
                let unusable = matches!(e.kind(), ErrorKind::NoUsableDraw { .. } | ErrorKind::Objective { .. });
                assert!(unusable || e.to_string().contains("must be finite"), "{name}: {e}");
            }
        }
        let found = Diagnose::default().run(&standard(), &Line(density), 1).unwrap();
        assert_eq!(found.verdict.level, Level::Fail, "{name}: {found}");
    }
}

#[test]
fn settings_of_zero_and_other_dimensions_are_refused() {
    let target = Line(|z: f64| (-0.5 * z * z, -z));
    let refused = |vi: Vi<MeanField>| vi.fit(&target, 1).unwrap_err().to_string();
    assert!(refused(Vi { draws: 0, ..Vi::new(standard()) }).contains("draws: 0 is too few"));
    assert!(refused(Vi { elbo_draws: 0, ..Vi::new(standard()) }).contains("elbo_draws"));
    assert!(refused(Vi { restarts: 0, ..Vi::new(standard()) }).contains("restarts"));
    let few = Stopping { check_draws: 0, ..Stopping::default() };
    assert!(refused(Vi { stopping: few, ..Vi::new(standard()) }).contains("check_draws"));
    let three = MeanField::standard(3).unwrap();
    assert!(refused(Vi::new(three.clone())).contains("expected 3, found 1"), "{}", refused(Vi::new(three.clone())));
    assert!(Vi::new(three.clone()).init(&target, 1).unwrap_err().to_string().contains("expected 3, found 1"));
    let model = LinearRegression::new(&array![[1.0], [2.0]], array![1.0, 2.0].view(), 1.0, 1.0).unwrap();
    for refused in [
        Vi::new(three.clone()).fit_minibatch(&model, 1, 1).map(drop),
        Vi::new(three).init_minibatch(&model, 1, 1).map(drop),
        Vi::new(standard()).init_minibatch(&model, 3, 1).map(drop),
        Vi::new(standard()).init_minibatch(&model, 0, 1).map(drop),
    ] {
        assert!(refused.is_err());
    }
}

/// x = −2 … 2 without 0.
fn covariate() -> Array2<f64> {
    Array2::from_shape_fn((20, 1), |(n, _)| (n as f64 - 9.5) / 5.0)
}

#[test]
fn separated_classes_have_a_posterior_under_a_proper_prior_only() {
    let x = covariate();
    let y = x.column(0).mapv(|x| f64::from(u8::from(x > 0.0)));
    // a prior of 2: the posterior mean by quadrature
    let model = LogisticRegression::new(&x, y.view(), 2.0).unwrap();
    let target = FullData::new(&model);
    let grid: Vec<(f64, f64)> = (-2000..6000).map(|i| f64::from(i) * 0.005).map(|z| (z, target.log_density(&[z]).unwrap())).collect();
    let top = grid.iter().map(|g| g.1).fold(f64::NEG_INFINITY, f64::max);
    let moment = |power: i32| grid.iter().map(|(z, l)| z.powi(power) * (l - top).exp()).sum::<f64>();
    let (mean, sd) = (moment(1) / moment(0), (moment(2) / moment(0) - (moment(1) / moment(0)).powi(2)).sqrt());
    let fitted = Vi::new(standard()).fit(&target, 1).unwrap();
    assert_eq!(fitted.status, Status::Converged);
    // the best Gaussian of a skewed posterior: its own error, and 0.05 of the optimiser
    assert!((fitted.model.q.mean()[0] - mean).abs() < 0.2 * sd, "{} {mean} ± {sd}", fitted.model.q.mean());
    // the far tail is the prior's, wider than q: it may be called a failure, but a pass must be one
    if Diagnose::default().run(&fitted.model.q, &target, 1).unwrap().verdict.level == Level::Pass {
        let (m, s) = (fitted.model.q.mean()[0], fitted.model.q.standard_deviations()[0]);
        assert!((m - mean).abs() < 0.1 * sd && (s / sd - 1.0).abs() < 0.15, "{m} {s}, {mean} {sd}");
    }
    // as good as flat: half a normal of width 10⁶, which no Gaussian is
    let flat = LogisticRegression::new(&x, y.view(), 1e6).unwrap();
    let stopping = Stopping { max_iterations: 20_000, ..Stopping::default() };
    let fitted = Vi { stopping, ..Vi::new(standard()) }.fit(&FullData::new(&flat), 1).unwrap();
    assert!(fitted.model.q.mean()[0] > 10.0 && fitted.model.q.parameters().iter().all(|p| p.is_finite()));
    let found = Diagnose::default().run(&fitted.model.q, &FullData::new(&flat), 1).unwrap();
    assert_ne!(found.verdict.level, Level::Pass, "{found}");
}

#[test]
fn responses_that_are_all_equal_have_a_right_answer() {
    let x = Array2::from_shape_fn((20, 2), |(n, j)| if j == 0 { 1.0 } else { (n as f64 - 9.5) / 5.0 });
    for value in [0.0, 1.0] {
        let y = Array1::from_elem(20, value);
        let logistic = LogisticRegression::new(&x, y.view(), 1.0).unwrap();
        let fitted = Vi::new(MeanField::standard(2).unwrap()).fit(&FullData::new(&logistic), 1).unwrap();
        let (m, s) = (fitted.model.q.mean(), fitted.model.q.standard_deviations());
        assert!(fitted.status == Status::Converged && (m[1] / s[1]).abs() < 0.1 && m[0] * (value - 0.5) > 0.5, "{m} {s}");
        let poisson = PoissonRegression::new(&x, y.view(), 1.0).unwrap();
        let fitted = Vi::new(MeanField::standard(2).unwrap()).fit(&FullData::new(&poisson), 1).unwrap();
        assert_eq!(fitted.status, Status::Converged);
        // symmetric covariates: nothing speaks for either sign of the slope
        let (m, s) = (fitted.model.q.mean(), fitted.model.q.standard_deviations());
        assert!((m[1] / s[1]).abs() < 0.1 && if value == 0.0 { m[0] < -1.0 } else { m[0].abs() < 0.5 }, "{m} {s}");
    }
    let y = Array1::from_elem(20, 3.0);
    let exact = LinearRegression::new(&x, y.view(), 10.0, 0.5).unwrap().posterior().unwrap();
    // XᵀX = diag(20, 26.6): m₀ = 20 · 3/0.25 / (20/0.25 + 1/100)
    assert!((exact.mean()[0] - 240.0 / 80.01).abs() < 1e-12 && exact.mean()[1].abs() < 1e-14);
    // unknown noise: the residual vanishes, and the prior of τ keeps the answer finite
    let prior = lvm_core::dist::Gamma::new(2.0, 1.0).unwrap();
    let model =
        BayesianLinearRegression { mean: Array1::zeros(2), precision: Array2::eye(2) * 0.01, noise: Noise::Conjugate { precision: prior } };
    let posterior = model.exact(&x, y.view()).unwrap();
    assert!((posterior.mean[0] - 3.0).abs() < 0.01 && posterior.mean[1].abs() < 1e-12 && posterior.log_evidence.is_finite());
    assert!(posterior.covariance().unwrap().iter().all(|v| v.is_finite()));
}
