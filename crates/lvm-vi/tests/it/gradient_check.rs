//! The check of gradients says right, wrong in which coordinate, or that it cannot tell.

use crate::targets::{Broken, Gaussian, WrongGradient};
use lvm_vi::check::{Finding, gradient};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};

fn points() -> Vec<Vec<f64>> {
    vec![vec![0.3, 0.7, -0.4], vec![-1.0, 2.0, 5.0]]
}

#[test]
fn a_right_gradient_is_right() {
    let report = gradient(&Gaussian::example(), &points()).unwrap();
    assert!(report.is_right() && report.compared == 6, "{report}");
    assert!(report.to_string().starts_with("right: 6"));
}

#[test]
fn a_wrong_coordinate_is_named_with_its_values() {
    for (coordinate, factor) in [(0, 1.0001), (1, 0.5), (2, -1.0)] {
        let report = gradient(&WrongGradient { target: Gaussian::example(), coordinate, factor }, &points()).unwrap();
        assert_eq!(report.finding, Finding::Wrong { coordinate }, "{report}");
        let worst = report.worst.unwrap();
        // the numeric value is the true one to the accuracy of the differences
        assert!((worst.analytic - factor * worst.numeric.value).abs() < 1e-8);
        assert_eq!(report.at.unwrap(), points()[worst.point]);
    }
}

#[test]
fn what_can_not_be_seen_is_said() {
    let nan_left = Broken(Gaussian::example(), |z: &[f64]| (z[1] < 0.5).then_some(Ok(f64::NAN)));
    let report = gradient(&nan_left, &[vec![0.0, 0.5, 0.0]]).unwrap();
    assert!(matches!(&report.finding, Finding::CannotTell { reasons } if reasons[0].contains("coordinate 1")), "{report}");
    let refused = Broken(Gaussian::example(), |_: &[f64]| Some(Err(TargetError::Recoverable("no".into()))));
    assert!(gradient(&refused, &points()).unwrap().to_string().contains("cannot tell: no log density at point 0: no"));
    let kink = Broken(Gaussian::example(), |z: &[f64]| Some(Ok((z[0] - 0.31).abs().sqrt())));
    assert!(!gradient(&kink, &points()).unwrap().is_right());
}

#[test]
fn two_values_that_should_be_one_are_reported() {
    struct Two;
    impl LogDensity for Two {
        fn dim(&self) -> usize {
            1
        }
        fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
            Ok(-0.5 * z[0] * z[0])
        }
    }
    impl LogDensityGrad for Two {
        fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
            g[0] = -z[0];
            Ok(-0.5 * z[0] * z[0] - 1.0)
        }
    }
    assert!(matches!(gradient(&Two, &[vec![1.0]]).unwrap().finding, Finding::ValuesDiffer { .. }));
}

#[test]
fn points_must_fit() {
    assert!(gradient(&Gaussian::example(), &[]).is_err());
    assert!(gradient(&Gaussian::example(), &[vec![0.0; 2]]).is_err());
    assert!(gradient(&Gaussian::example(), &[vec![0.0, f64::NAN, 0.0]]).unwrap_err().to_string().contains("point 0"));
}
