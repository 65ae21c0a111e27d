//! A right model of a user's stays green; each fault in it turns the check red that is there for it.

use super::{Target, Truth, check};
use crate::check::Verdict;
use crate::subject::Library;
use crate::suite::{Budget, Selection, Suite};
use lvm_vi::fit::Stopping;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::array;

/// What is wrong with the model.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The gradient lacks the prior.
    GradientWithoutPrior,
    /// The form by rows lacks a datum.
    LosesARow,
    /// log 2π twice.
    ConstantTwice,
    /// Two modes.
    TwoModes,
    /// No prior, and data that say nothing of the second latent.
    Improper,
}

/// x_n ~ N(z₁ + z₂ t_n, 1), z ~ N(0, I): t = −1, 0, 1, 2.
struct Line(Fault);

const T: [f64; 4] = [-1.0, 0.0, 1.0, 2.0];
const X: [f64; 4] = [0.3, 1.1, 1.9, 3.2];

impl Line {
    fn prior(&self, z: &[f64], g: &mut [f64]) -> f64 {
        let tau = std::f64::consts::TAU.ln();
        match self.0 {
            Fault::Improper => {
                g.fill(0.0);
                0.0
            }
            Fault::TwoModes => {
                // z₂ at ±8, each as likely
                let (a, b) = (-0.5 * (z[1] - 8.0).powi(2), -0.5 * (z[1] + 8.0).powi(2));
                let m = a.max(b);
                let (ea, eb) = ((a - m).exp(), (b - m).exp());
                g[0] = -z[0];
                g[1] = -(ea * (z[1] - 8.0) + eb * (z[1] + 8.0)) / (ea + eb);
                -0.5 * z[0] * z[0] + m + (0.5 * (ea + eb)).ln() - tau
            }
            _ => {
                g[0] = -z[0];
                g[1] = -z[1];
                -0.5 * (z[0] * z[0] + z[1] * z[1]) - tau
            }
        }
    }
}

impl DataLogDensity for Line {
    fn dim(&self) -> usize {
        2
    }
    fn n_data(&self) -> usize {
        4
    }
    fn log_prior_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.prior(z, g))
    }
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
        g.fill(0.0);
        let slope = if matches!(self.0, Fault::Improper | Fault::TwoModes) { 0.0 } else { 1.0 };
        let mut value = 0.0;
        for &n in rows.iter().filter(|n| **n != 2 || self.0 != Fault::LosesARow) {
            let t = slope * T[n];
            let r = X[n] - z[0] - z[1] * t;
            value -= 0.5 * (r * r + std::f64::consts::TAU.ln());
            g[0] += r;
            g[1] += r * t;
        }
        Ok(value)
    }
}

impl LogDensity for Line {
    fn dim(&self) -> usize {
        2
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 2])
    }
}

impl LogDensityGrad for Line {
    fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
        let whole = Line(if self.0 == Fault::LosesARow { Fault::None } else { self.0 });
        let mut of_prior = [0.0; 2];
        let likelihood = whole.log_likelihood_grad(&[0, 1, 2, 3], z, g)?;
        let prior = whole.prior(z, &mut of_prior);
        if self.0 != Fault::GradientWithoutPrior {
            g[0] += of_prior[0];
            g[1] += of_prior[1];
        }
        Ok(likelihood + prior + if self.0 == Fault::ConstantTwice { 2.0 * std::f64::consts::TAU.ln() } else { 0.0 })
    }
}

/// x ~ N(T z, I), z ~ N(0, I): Λ = I + TᵀT, m = Λ⁻¹ Tᵀx, log p(x) by the density at m.
fn truth() -> Truth {
    // TᵀT = [[4, 2], [2, 6]], Tᵀx = [6.5, 8.0]
    let (a, b, c) = (5.0, 2.0, 7.0);
    let det: f64 = a * c - b * b;
    let s: [f64; 2] = [c / det, a / det];
    let sum = [X.iter().sum::<f64>(), X.iter().zip(T).map(|(x, t)| x * t).sum::<f64>()];
    let mean = [(c * sum[0] - b * sum[1]) / det, (a * sum[1] - b * sum[0]) / det];
    let at_mean = Line(Fault::None).log_density(&mean).unwrap();
    let log_evidence = at_mean + std::f64::consts::TAU.ln() - 0.5 * det.ln();
    Truth {
        log_evidence: Some(log_evidence),
        mean: Some(array![mean[0], mean[1]]),
        standard_deviations: Some(array![s[0].sqrt(), s[1].sqrt()]),
        mean_field_elbo: Some(log_evidence - 0.5 * ((a * c).ln() - det.ln())),
        full_rank_elbo: Some(log_evidence),
    }
}

/// (id, quantity) of what is red.
fn red(fault: Fault, truth: Truth) -> Vec<(String, String)> {
    let mut suite = Suite::new(&Library, Selection { budget: Budget::Quick, ..Default::default() });
    let model = Line(fault);
    let stopping = Stopping { max_iterations: 20_000, ..Stopping::default() };
    check(&mut suite, &Target { data: Some(&model), stopping, truth, ..Target::new("line", &model) });
    assert!(suite.checks.len() >= 10);
    let failed = suite.checks.iter().filter(|c| c.verdict == Verdict::Fail);
    failed.map(|c| (c.id.clone(), c.quantity.clone())).collect()
}

#[track_caller]
fn is_found(fault: Fault, truth: Truth, id: &str, quantity: &str) {
    let red = red(fault, truth);
    assert!(red.iter().any(|(i, q)| i == id && q.contains(quantity)), "{red:?}");
}

#[test]
fn a_right_model_is_green_whether_the_truth_is_known_or_not() {
    for known in [truth(), Truth::default()] {
        let red = red(Fault::None, known);
        assert!(red.is_empty(), "{red:?}");
    }
}

#[test]
fn a_wrong_gradient_is_named_and_disagrees_with_the_values() {
    let red = red(Fault::GradientWithoutPrior, Truth::default());
    for (id, quantity) in [("L2", "gradient"), ("S2", "pathwise less score function")] {
        assert!(red.iter().any(|(i, q)| i == id && q.contains(quantity)), "{id}: {red:?}");
    }
}

#[test]
fn a_form_by_rows_that_is_another_model_is_found() {
    is_found(Fault::LosesARow, Truth::default(), "S5", "batches of 1: log joint");
}

#[test]
fn a_constant_too_many_puts_the_bound_above_the_evidence() {
    is_found(Fault::ConstantTwice, truth(), "P4", "ELBO reached above log evidence");
}

#[test]
fn two_modes_make_runs_disagree() {
    is_found(Fault::TwoModes, Truth::default(), "O1", "difference of runs");
}

#[test]
fn an_improper_posterior_never_converges() {
    is_found(Fault::Improper, Truth::default(), "O1", "runs that have converged");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let wrong = Truth { mean: Some(array![0.0]), ..Truth::default() };
    is_found(Fault::None, wrong, "L2", "runs to the end");
}

#[test]
fn unknown_numbers_stay_unknown() {
    let mut suite = Suite::new(&Library, Selection { budget: Budget::Quick, ..Default::default() });
    check(&mut suite, &Target::new("line", &Line(Fault::None)));
    let h = &suite.headlines[0];
    assert!(h.optimum.value.is_nan() && h.optimiser_gap.value.is_nan() && h.reached.value.is_finite());
    assert!(crate::report::headlines::table(&suite.headlines).contains("unknown"));
}
