//! The exact engine against optima computed elsewhere to rounding.

use crate::reference::{COMPOSED, Case, matrix, vector};
use lvm_core::fit::Status;
use lvm_vi::deterministic::{FixedPoint, GaussianOptimum, Shape, Start};
use lvm_vi::expectation::{Covariance, Expectation, GaussianExpectation, LogJoint};
use lvm_vi::target::{LogDensity, LogDensityGrad};
use ndarray::{Array1, Array2};
use serde_json::Value;

fn fit(target: &dyn GaussianExpectation, shape: Shape) -> GaussianOptimum {
    let fitted = FixedPoint { shape, ..FixedPoint::default() }.fit(target).unwrap();
    assert_eq!(fitted.status, Status::Converged);
    for pair in fitted.trace.windows(2) {
        // 1e-13 of the ELBO is the rounding the engine allows itself
        assert!(pair[1] >= pair[0] - 1e-13 * (1.0 + pair[0].abs()), "ELBO fell: {pair:?}");
    }
    fitted.model
}

#[test]
fn log_joints_are_those_of_the_reference() {
    for id in COMPOSED {
        let (case, target) = Case::log_joint(id);
        for check in case.json["log_joint_checks"].as_array().unwrap() {
            let (u, expected) = (vector(&check["u"]).to_vec(), check["log_joint"].as_f64().unwrap());
            let mut gradient = vec![0.0; u.len()];
            let value = target.log_density_grad(&u, &mut gradient).unwrap();
            // tolerances of the case: 1e-10 and 1e-9 relative
            assert!((value - expected).abs() <= 1e-10 * expected.abs(), "{id}: {value} {expected}");
            let expected = vector(&check["gradient"]);
            let size = expected.iter().fold(1.0_f64, |m, g| m.max(g.abs()));
            for (g, e) in gradient.iter().zip(&expected) {
                assert!((g - e).abs() <= 1e-9 * e.abs() + 1e-11 * size, "{id}: {g} {e}");
            }
        }
    }
}

fn compare(id: &str, found: &GaussianOptimum, expected: &Value) {
    let mean = vector(&expected["mean"]);
    let sd = vector(&expected["sd"]);
    for ((m, e), s) in found.mean.iter().zip(&mean).zip(&sd) {
        // both sides stop at whitened gradients below 1e-11; least curvature of the cases in whitened coordinates 1e-2
        assert!((m - e).abs() <= 1e-8 * s, "{id}: mean {m} {e}");
    }
    for (s, e) in found.standard_deviations().iter().zip(&sd) {
        assert!((s / e - 1.0).abs() <= 1e-8, "{id}: sd {s} {e}");
    }
    if let Some(cov) = expected.get("cov").map(matrix) {
        for ((i, j), e) in cov.indexed_iter() {
            assert!((found.covariance[[i, j]] - e).abs() <= 1e-8 * sd[i] * sd[j], "{id}: covariance {i} {j}");
        }
    }
    let elbo = expected["elbo"].as_f64().unwrap();
    assert!((found.elbo - elbo).abs() <= 1e-12 * elbo.abs() + 1e-10, "{id}: ELBO {} {elbo}", found.elbo);
}

#[test]
fn optima_are_those_of_the_reference() {
    for id in COMPOSED {
        let (case, target) = Case::log_joint(id);
        let optima = &case.json["vi_optimum"];
        compare(id, &fit(&target, Shape::Diagonal), &optima["meanfield"]);
        compare(id, &fit(&target, Shape::Full), &optima["fullrank"]);
    }
}

#[test]
fn a_gaussian_target_takes_one_step() {
    for id in ["gaussian_target_ar1", "gaussian_target_iris"] {
        let case = Case::read(id);
        let target = case.gaussian();
        for shape in [Shape::Diagonal, Shape::Full] {
            let fitted = FixedPoint { shape, gradient_tolerance: 1e-10, ..FixedPoint::default() }.fit(&target).unwrap();
            assert_eq!((fitted.status, fitted.iterations()), (Status::Converged, 1), "{id}");
            let (name, d) = (if shape == Shape::Full { "fullrank_optimum" } else { "meanfield_optimum" }, target.mean().len());
            let kl = case.json[name]["kl_to_posterior"].as_f64().unwrap();
            assert!((fitted.model.elbo + kl).abs() < 1e-11, "{id}: {}", fitted.model.elbo);
            for i in 0..d {
                assert!((fitted.model.mean[i] - target.mean()[i]).abs() < 1e-10);
                if shape == Shape::Diagonal {
                    let expected = 1.0 / target.precision()[[i, i]];
                    assert!((fitted.model.covariance[[i, i]] / expected - 1.0).abs() < 1e-11);
                }
            }
        }
    }
}

#[test]
fn elbos_of_fixed_q_are_those_of_the_reference() {
    let (case, target) = Case::log_joint("eight_schools_noncentered");
    for fixed in case.json["elbo_at_fixed_q"].as_array().unwrap() {
        let covariance = Array2::from_diag(&vector(&fixed["sd"]).mapv(|s| s * s));
        let elbo = FixedPoint::elbo(&target, vector(&fixed["mean"]).view(), covariance.view()).unwrap();
        // rule of 1e-13 on a sum of size 40
        assert!((elbo - fixed["elbo"].as_f64().unwrap()).abs() < 1e-11, "{elbo}");
    }
}

#[test]
fn bad_starts_end_at_the_optimum_or_say_so() {
    let (mut converged, mut all) = (0, 0);
    for id in COMPOSED {
        let (case, target) = Case::log_joint(id);
        for (name, shape) in [("meanfield", Shape::Diagonal), ("fullrank", Shape::Full)] {
            for (k, scale) in [1e-2, 1e-1, 1.0, 10.0, 100.0].into_iter().enumerate() {
                for sign in [-1.0, 1.0] {
                    let d = target.dim();
                    let start = Start {
                        mean: Array1::from_shape_fn(d, |i| if (i + k) % 2 == 0 { 5.0 * sign } else { -5.0 * sign }),
                        standard_deviations: Array1::from_elem(d, scale),
                    };
                    let fitted = FixedPoint { shape, start: Some(start), ..FixedPoint::default() }.fit(&target).unwrap();
                    all += 1;
                    if fitted.status == Status::Converged {
                        converged += 1;
                        compare(id, &fitted.model, &case.json["vi_optimum"][name]);
                    }
                }
            }
        }
    }
    // e^{t³ …} overflows around some starts of the Poisson regression, and from a hundred posterior sds rounding decides the path
    assert!(10 * converged >= 8 * all, "{converged} of {all}");
}

#[test]
fn without_variance_an_expectation_is_the_value() {
    for id in COMPOSED {
        let (case, target) = Case::log_joint(id);
        let u = vector(&case.json["log_joint_checks"][1]["u"]);
        let (d, mut e, mut gradient) = (u.len(), Expectation::zeros(u.len()), vec![0.0; u.len()]);
        let value = target.log_density_grad(&u.to_vec(), &mut gradient).unwrap();
        target.expectation(u.view(), Covariance::Diagonal(Array1::zeros(d).view()), &mut e).unwrap();
        // the same sums in another order
        assert!((e.value - value).abs() <= 1e-11 * value.abs(), "{id}");
        assert!(e.gradient.iter().zip(&gradient).all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + b.abs())), "{id}");
    }
}

#[test]
fn derivatives_of_an_expectation_are_expectations_of_derivatives() {
    for id in COMPOSED {
        let (case, target) = Case::log_joint(id);
        let optimum = &case.json["vi_optimum"]["fullrank"];
        let (mean, covariance) = (vector(&optimum["mean"]), matrix(&optimum["cov"]));
        let at = |m: &Array1<f64>, s: &Array2<f64>| {
            let mut e = Expectation::zeros(m.len());
            target.expectation(m.view(), Covariance::Full(s.view()), &mut e).unwrap();
            e
        };
        let here = at(&mean, &covariance);
        let sd = covariance.diag().mapv(f64::sqrt);
        for i in 0..mean.len() {
            // central differences of step h: error h² times a third derivative of order 1 in whitened units, rounding 1e-12/h
            let h = 1e-4 * sd[i];
            let (mut up, mut down) = (mean.clone(), mean.clone());
            up[i] += h;
            down[i] -= h;
            let slope = (at(&up, &covariance).value - at(&down, &covariance).value) / (2.0 * h);
            assert!((slope - here.gradient[i]).abs() * sd[i] < 1e-6, "{id}: {slope} {}", here.gradient[i]);
            let (mut wide, mut narrow) = (covariance.clone(), covariance.clone());
            let h = 1e-4 * covariance[[i, i]];
            wide[[i, i]] += h;
            narrow[[i, i]] -= h;
            // ∂f/∂S_ii = ½ E[∂²_ii log p]   (Price)
            let price = (at(&mean, &wide).value - at(&mean, &narrow).value) / h;
            assert!((price - here.hessian[[i, i]]).abs() * covariance[[i, i]] < 1e-5, "{id}: {price} {}", here.hessian[[i, i]]);
        }
    }
}

#[test]
fn a_target_without_a_maximum_does_not_converge() {
    let mut flat = LogJoint::new(1).unwrap();
    flat.affine(1.0).unwrap();
    let fitted = FixedPoint { max_iterations: 50, ..FixedPoint::default() }.fit(&flat).unwrap();
    assert_eq!(fitted.status, Status::MaxIterations);
}
