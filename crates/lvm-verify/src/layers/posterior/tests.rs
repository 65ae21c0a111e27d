//! The checks of this layer can fail: models are broken as published ones were, and the check that names the fault turns red.

use super::*;
use crate::check::{Check, Verdict};
use crate::posterior::recognise;
use crate::subject::Library;
use crate::suite::{Group, Outcome, Selection, Suite};
use crate::tables::reference_folder;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};

/// What is wrong with a model.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// log|J| of the last parameter, e^η, left out.
    NoJacobian,
    /// It enters with the other sign.
    JacobianSign,
    /// A half prior normalised on the whole line.
    HalfPrior,
    /// One coordinate of the gradient is 0.1 % off.
    Coordinate,
    /// The value is another one when no gradient is asked for.
    TwoValues,
}

struct Broken {
    model: Box<dyn Posterior>,
    fault: Fault,
}

impl LogDensity for Broken {
    fn dim(&self) -> usize {
        self.model.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        let value = self.log_density_grad(z, &mut vec![0.0; z.len()])?;
        Ok(if self.fault == Fault::TwoValues { value + 1e-6 } else { value })
    }
}

impl LogDensityGrad for Broken {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let value = self.model.log_density_grad(z, gradient)?;
        let last = z.len() - 1;
        let (by, slope) = match self.fault {
            Fault::NoJacobian => (-z[last], -1.0),
            Fault::JacobianSign => (-2.0 * z[last], -2.0),
            Fault::HalfPrior => (-std::f64::consts::LN_2, 0.0),
            _ => (0.0, 0.0),
        };
        gradient[last] += slope;
        if self.fault == Fault::Coordinate {
            gradient[0] *= 1.001;
        }
        Ok(value + by)
    }
}

impl Posterior for Broken {
    fn form(&self) -> &'static str {
        "broken"
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        self.model.expectation()
    }
    fn is_integrated(&self) -> bool {
        self.model.is_integrated()
    }
}

fn case(id: &str) -> Case {
    Case::read(&reference_folder().join("cases").join(format!("{id}.json")), &reference_folder()).unwrap()
}

fn red(body: impl FnOnce(&mut Group<'_>) -> Outcome) -> Vec<String> {
    let mut suite = Suite::new(&Library, Selection::default());
    suite.group(Layer::L, "T", "test", body);
    let is_red = |c: &Check| c.verdict != Verdict::Pass;
    suite.checks.iter().filter(|c| is_red(c)).map(|c| format!("{} {:?}", c.quantity, c.note)).collect()
}

#[test]
fn a_broken_log_joint_turns_its_check_red_and_a_right_one_none() {
    for id in ["mtcars_wt", "eight_schools_noncentered", "surgical_hlogit"] {
        let case = case(id);
        for (fault, value, gradient) in [
            (Fault::Nothing, false, false),
            (Fault::NoJacobian, true, true),
            (Fault::JacobianSign, true, true),
            (Fault::HalfPrior, true, false),
            (Fault::Coordinate, false, true),
            (Fault::TwoValues, true, true),
        ] {
            let broken = Broken { model: recognise(&case).unwrap().unwrap(), fault };
            let by_value = red(|g| log_joint::values(g, &case, &broken));
            let by_gradient = red(|g| log_joint::gradients(g, &case, &broken));
            assert_eq!(!by_value.is_empty(), value, "{id} {fault:?}: {by_value:?}");
            assert_eq!(!by_gradient.is_empty(), gradient, "{id} {fault:?}: {by_gradient:?}");
        }
    }
}

/// Rows whose scale N/B multiplies the prior too.
struct ScaledPrior(Box<dyn Posterior>);

impl DataLogDensity for ScaledPrior {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn n_data(&self) -> usize {
        self.0.by_rows().unwrap().n_data()
    }
    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient.fill(0.0);
        let _ = z;
        Ok(0.0)
    }
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let parts = self.0.by_rows().unwrap();
        let mut prior = vec![0.0; z.len()];
        let value = parts.log_prior_grad(z, &mut prior)? + parts.log_likelihood_grad(rows, z, gradient)?;
        gradient.iter_mut().zip(prior).for_each(|(g, p)| *g += p);
        Ok(value)
    }
}

impl LogDensity for ScaledPrior {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.0.log_density(z)
    }
}
impl LogDensityGrad for ScaledPrior {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.log_density_grad(z, gradient)
    }
}
impl Posterior for ScaledPrior {
    fn form(&self) -> &'static str {
        "scaled prior"
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        self.0.expectation()
    }
}

#[test]
fn a_prior_scaled_with_the_likelihood_is_found_by_enumeration() {
    let case = case("mtcars_wt");
    let model = || recognise(&case).unwrap().unwrap();
    assert!(red(|g| minibatch::epochs(g, &case, model().as_ref())).is_empty());
    // batches of 1 and of 7 are wrong, the whole as one batch is not
    let found = red(|g| minibatch::epochs(g, &case, &ScaledPrior(model())));
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn a_wrong_optimum_in_the_file_and_a_broken_model_are_found() {
    let case = case("mtcars_wt");
    let model = recognise(&case).unwrap().unwrap();
    let optima = Optima::new(model.as_ref());
    for shape in [Shape::Diagonal, Shape::Full] {
        assert!(red(|g| optimum::reached(g, &case, &optima, shape)).is_empty());
        assert!(red(|g| optimum::stationary(g, model.as_ref(), &optima, shape)).is_empty());
        assert!(red(|g| optimum::errors(g, &case, &optima, shape)).is_empty());
        // stationary for the model without its Jacobian it is not
        let broken = Broken { model: recognise(&case).unwrap().unwrap(), fault: Fault::NoJacobian };
        assert!(!red(|g| optimum::stationary(g, &broken, &optima, shape)).is_empty());
        // the ELBO by draws sees the constant of a half prior
        let broken = Broken { model: recognise(&case).unwrap().unwrap(), fault: Fault::HalfPrior };
        assert!(red(|g| fixed_q::bounds(g, &case, &broken)).iter().all(|q| q.contains("by draws")));
        assert_eq!(red(|g| fixed_q::bounds(g, &case, &broken)).len(), 2);
    }
}
