//! Bad targets and bad requests: a clear error, or the right answer from what is usable.

use crate::families::mean_field;
use crate::targets::{Broken, Gaussian};
use lvm_core::ErrorKind;
use lvm_core::random::{Purpose, stream};
use lvm_vi::bound::{elbo, evidence, iwae};
use lvm_vi::estimator::{Control, Drawn, Gradient, Memory};
use lvm_vi::family::{MeanField, Variational};
use lvm_vi::target::{LogDensityGrad, TargetError};

const ALL: [Gradient; 6] = [
    Gradient::QuadraticControl,
    Gradient::PathwiseClosedEntropy,
    Gradient::Pathwise,
    Gradient::StickingTheLanding,
    Gradient::ScoreFunction { control: Control::LeaveOneOut },
    Gradient::Importance { particles: 2 },
];

fn estimate<T: LogDensityGrad>(estimator: Gradient, target: &T, draws: usize) -> (lvm_core::Result<Drawn>, Vec<f64>) {
    let mut g = vec![0.0; 6];
    let drawn = estimator.estimate(&mean_field(), target, draws, &mut Memory::default(), &mut stream(1, Purpose::Noise, 0), &mut g);
    (drawn, g)
}

#[test]
fn draws_of_no_use_are_left_out_and_counted() {
    for bad in [Ok(f64::NAN), Ok(f64::INFINITY), Ok(f64::NEG_INFINITY), Err(TargetError::Recoverable("overflow".into()))] {
        let target = Broken(Gaussian::example(), move |z: &[f64]| (z[0] > 0.3).then(|| bad.clone()));
        for estimator in ALL {
            let (drawn, g) = estimate(estimator, &target, 64);
            let drawn = drawn.unwrap();
            assert!(drawn.skipped > 10 && drawn.draws > 5 && drawn.draws + drawn.skipped == 64, "{estimator:?} {drawn:?}");
            assert!(drawn.elbo.is_finite() && g.iter().all(|g| g.is_finite()));
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_counts_too() {
    struct Steep(Gaussian);
    impl lvm_vi::target::LogDensity for Steep {
        fn dim(&self) -> usize {
            3
        }
        fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
            self.0.log_density(z)
        }
    }
    impl LogDensityGrad for Steep {
        fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
            let value = self.0.log_density_grad(z, g);
            if z[0] > 0.3 {
                g[2] = f64::NAN;
            }
            value
        }
    }
    let (drawn, g) = estimate(Gradient::Pathwise, &Steep(Gaussian::example()), 64);
    assert!(drawn.unwrap().skipped > 10 && g.iter().all(|g| g.is_finite()));
}

#[test]
fn if_no_draw_is_of_use_the_reason_is_told() {
    let target = Broken(Gaussian::example(), |_: &[f64]| Some(Err(TargetError::Recoverable("the matrix is singular".into()))));
    for estimator in ALL {
        let error = estimate(estimator, &target, 4).0.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoUsableDraw { draws: 4, .. }), "{error}");
        assert!(error.to_string().contains("the matrix is singular"));
    }
    for error in [elbo(&mean_field(), &target, 100, 1), iwae(&mean_field(), &target, 2, 5, 1), evidence(&mean_field(), &target, 9, 1)] {
        assert!(matches!(error.unwrap_err().kind(), ErrorKind::NoUsableDraw { .. }));
    }
}

#[test]
fn a_fatal_error_ends_the_estimate() {
    let target = Broken(Gaussian::example(), |z: &[f64]| (z[0] > 0.3).then(|| Err(TargetError::Fatal("the file is gone".into()))));
    for estimator in ALL {
        let error = estimate(estimator, &target, 64).0.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Density(_)) && error.to_string().contains("the file is gone"));
    }
    assert!(elbo(&mean_field(), &target, 64, 1).is_err());
}

#[test]
fn zero_draws_and_other_dimensions_are_refused() {
    let target = Gaussian::example();
    for estimator in ALL {
        assert!(estimate(estimator, &target, 0).0.unwrap_err().to_string().contains("draws: 0 is too few"));
        let q = MeanField::standard(2).unwrap();
        let mut g = vec![0.0; q.parameters().len()];
        let error = estimator.estimate(&q, &target, 4, &mut Memory::default(), &mut stream(1, Purpose::Noise, 0), &mut g).unwrap_err();
        assert!(error.to_string().contains("expected 2, found 3"), "{error}");
    }
    let (q, mut rng, mut memory) = (mean_field(), stream(1, Purpose::Noise, 0), Memory::default());
    assert!(Gradient::Pathwise.estimate(&q, &target, 1, &mut memory, &mut rng, &mut [0.0; 5]).is_err());
    assert!(estimate(Gradient::Importance { particles: 0 }, &target, 4).0.unwrap_err().to_string().contains("particles"));
    let leave_one_out = Gradient::ScoreFunction { control: Control::LeaveOneOut };
    assert!(estimate(leave_one_out, &target, 1).0.unwrap_err().to_string().contains("at least 2 draws"));
    let decay = Gradient::ScoreFunction { control: Control::RunningMean { decay: 1.0 } };
    assert!(estimate(decay, &target, 2).0.unwrap_err().to_string().contains("[0, 1)"));
    assert!(elbo(&q, &target, 0, 1).is_err() && iwae(&q, &target, 0, 1, 1).is_err() && iwae(&q, &target, 1, 0, 1).is_err());
    assert!(elbo(&MeanField::standard(2).unwrap(), &target, 5, 1).is_err());
}
