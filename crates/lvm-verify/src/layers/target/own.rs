//! Targets of our own: one of which everything is known, one by rows of which nothing is, one written by hand as a user would.

use super::{Target, Truth, check};
use crate::suite::{Budget, Problem, Suite};
use crate::tables;
use lvm_core::special::lgamma;
use lvm_vi::deterministic::Start;
use lvm_vi::family::Family;
use lvm_vi::models::{LinearRegression, LogisticRegression};
use lvm_vi::target::{DataLogDensity, FullData, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, Axis, Slice, array};

/// Names of the targets.
const LINEAR: &str = "target: linear regression of iris";
const LOGISTIC: &str = "target: logistic regression of iris";
const ROBUST: &str = "target: robust regression of Old Faithful";

/// Adds the checks of one target.
type Add = fn(&mut Suite<'_>) -> Result<(), Problem>;

const TARGETS: [(&str, Add); 3] = [(LINEAR, linear), (LOGISTIC, logistic), (ROBUST, robust)];

/// All targets; in a quick run the first alone.
pub fn all(suite: &mut Suite<'_>) {
    let some = if suite.selection.budget == Budget::Quick { 1 } else { TARGETS.len() };
    for (name, run) in &TARGETS[..some] {
        if let Err(problem) = run(suite) {
            suite.group(crate::check::Layer::L, "L2", name, |_| Err(problem));
        }
    }
}

/// A column of ones, and columns of a table by z-scores.
fn design(x: &Array2<f64>, columns: &[usize]) -> Array2<f64> {
    let z = crate::layers::shared::standardised(&x.select(Axis(1), columns));
    ndarray::concatenate![Axis(1), Array2::ones((x.nrows(), 1)), z]
}

/// Petal width by the other three: conjugate, so all is known.
fn linear(suite: &mut Suite<'_>) -> Result<(), Problem> {
    let x = tables::real("iris")?.x;
    let model = LinearRegression::new(&design(&x, &[0, 1, 2]), x.column(3), 1.0, 0.2)?;
    let (posterior, log_evidence) = (model.posterior()?, model.log_evidence()?);
    // KL(q* ‖ p) = ½ (Σ log Λ_ii − log |Λ|)   VERIFY §3.3
    let factor = posterior.factor();
    let inverse = lvm_core::linalg::inverse_lower(factor.view());
    let precision = inverse.t().dot(&inverse);
    let log_det: f64 = -2.0 * factor.diag().iter().map(|l| l.ln()).sum::<f64>();
    let kl = 0.5 * (precision.diag().iter().map(|l| l.ln()).sum::<f64>() - log_det);
    let truth = Truth {
        log_evidence: Some(log_evidence),
        mean: Some(posterior.mean()),
        standard_deviations: Some(posterior.standard_deviations()),
        mean_field_elbo: Some(log_evidence - kl),
        full_rank_elbo: Some(log_evidence),
    };
    let density = FullData::new(&model);
    check(suite, &Target { data: Some(&model as &dyn DataLogDensity), truth, ..Target::new(LINEAR, &density) });
    Ok(())
}

/// Virginica or versicolor by the petals.
fn logistic(suite: &mut Suite<'_>) -> Result<(), Problem> {
    let x = tables::real("iris")?.x;
    let two = x.slice_axis(Axis(0), Slice::from(50..)).to_owned();
    let y = Array1::from_shape_fn(100, |n| if n < 50 { 0.0 } else { 1.0 });
    let model = LogisticRegression::new(&design(&two, &[2, 3]), y.view(), 2.0)?;
    let density = FullData::new(&model);
    check(suite, &Target { data: Some(&model as &dyn DataLogDensity), ..Target::new(LOGISTIC, &density) });
    Ok(())
}

/// waiting_n = a + b (eruption_n − 3.5) + σ t_4,   a ~ N(70, 20²), b ~ N(10, 10²), log σ ~ N(1, 1);   z = (a, b, log σ).
struct Robust {
    eruption: Array1<f64>,
    waiting: Array1<f64>,
}

/// Degrees of freedom of the noise.
const NU: f64 = 4.0;
/// Means and standard deviations of the priors.
const PRIORS: [(f64, f64); 3] = [(70.0, 20.0), (10.0, 10.0), (1.0, 1.0)];

impl LogDensity for Robust {
    fn dim(&self) -> usize {
        3
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 3])
    }
}

impl LogDensityGrad for Robust {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let sigma = z[2].exp();
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(TargetError::Recoverable(format!("σ = exp({}) is no standard deviation", z[2])));
        }
        let mut value = 0.0;
        for (i, (m, s)) in PRIORS.into_iter().enumerate() {
            let r = (z[i] - m) / s;
            value -= 0.5 * (r * r + std::f64::consts::TAU.ln()) + s.ln();
            gradient[i] = -r / s;
        }
        let constant = lgamma(0.5 * (NU + 1.0)) - lgamma(0.5 * NU) - 0.5 * (NU * std::f64::consts::PI).ln();
        for (x, y) in self.eruption.iter().zip(&self.waiting) {
            let r = (y - z[0] - z[1] * (x - 3.5)) / sigma;
            value += constant - z[2] - 0.5 * (NU + 1.0) * (r * r / NU).ln_1p();
            let pull = (NU + 1.0) * r / (NU + r * r);
            gradient[0] += pull / sigma;
            gradient[1] += pull * (x - 3.5) / sigma;
            gradient[2] += pull * r - 1.0;
        }
        Ok(value)
    }
}

fn robust(suite: &mut Suite<'_>) -> Result<(), Problem> {
    let x = tables::real("faithful")?.x;
    let density = Robust { eruption: x.column(0).to_owned(), waiting: x.column(1).to_owned() };
    let start = Start { mean: array![70.0, 10.0, 1.5], standard_deviations: array![2.0, 1.0, 0.3] };
    check(suite, &Target { start, ..Target::new(ROBUST, &density) });
    Ok(())
}
