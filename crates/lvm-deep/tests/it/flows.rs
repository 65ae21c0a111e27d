//! Log-determinants are those of the Jacobian, inverses invert.

use crate::checks::{close, noise, sum};
use lvm_core::random::{Purpose, stream};
use lvm_deep::flow::{Autoregressive, Coupling, Flow, Gate, Made, Planar, Reverse};
use lvm_deep::nets::Activation;
use lvm_deep::parameters::{Parameters, Scope};
use lvm_deep::tensor::to_values;
use lvm_deep::{Kind, Tensor};
use tch::Device;

/// A flow made in a scope of its own, with parameters from N(0, 1): far from the identity.
fn random(make: impl FnOnce(&mut Scope<'_>) -> Box<dyn Flow>) -> Box<dyn Flow> {
    let mut parameters = Parameters::new(Kind::Double, Device::Cpu);
    let mut rng = stream(5, Purpose::Start, 0);
    let flow = make(&mut parameters.root(&mut rng));
    let mut noise = noise(1);
    for parameter in parameters.trained() {
        let value = noise.normal(&parameter.value.size());
        tch::no_grad(|| parameter.value.shallow_clone().copy_(&value));
    }
    flow
}

fn autoregressive(latents: i64, context: i64, gate: Gate) -> Box<dyn Flow> {
    let told = (context > 0).then(|| noise(2).normal(&[4, context]));
    random(|scope| Box::new(Autoregressive::new(Made::new(scope, latents, context, &[7, 6], Activation::Elu).unwrap(), told, gate)))
}

fn all(latents: i64) -> Vec<(&'static str, Box<dyn Flow>)> {
    let mut noise = noise(3);
    let l = latents;
    let shared = Planar { normal: noise.normal(&[l]), push: noise.normal(&[l]), offset: noise.normal(&[]) };
    let amortised = Planar { normal: noise.normal(&[4, l]), push: noise.normal(&[4, l]), offset: noise.normal(&[4]) };
    vec![
        ("planar, shared", Box::new(shared)),
        ("planar, amortised", Box::new(amortised)),
        ("average", autoregressive(l, 0, Gate::Average)),
        ("average with context", autoregressive(l, 3, Gate::Average)),
        ("affine", autoregressive(l, 0, Gate::Affine)),
        ("coupling", random(|scope| Box::new(Coupling::new(scope, l, &[5], Activation::Tanh).unwrap()))),
        ("reverse", Box::new(Reverse)),
    ]
}

/// ∂f_l/∂u_m of every row, (N, L, L).
fn jacobian(flow: &dyn Flow, u: &Tensor) -> Tensor {
    let u = u.detach().copy().set_requires_grad(true);
    let (y, _) = flow.forward(&u);
    let rows: Vec<Tensor> = (0..u.size()[1])
        // rows of u do not meet: the gradient of the sum over rows is the gradient of each
        .map(|l| Tensor::run_backward(&[sum(&y.select(1, l))], &[&u], true, false).swap_remove(0))
        .collect();
    Tensor::stack(&rows, 1)
}

#[test]
fn log_determinants_are_those_of_the_jacobian() {
    for latents in [1, 2, 5] {
        for (name, flow) in all(latents) {
            let u = noise(4).normal(&[4, latents]);
            let (_, expected) = jacobian(flow.as_ref(), &u).slogdet();
            let (_, log_det) = flow.forward(&u);
            // rounding of an LU decomposition of 5 x 5
            close(&log_det, &expected, 1e-11, name);
        }
    }
}

#[test]
fn inverses_invert() {
    for latents in [1, 2, 5] {
        for (name, flow) in all(latents) {
            let u = noise(5).normal(&[3, 4, latents]);
            let (y, log_det) = flow.forward(&u);
            let Some((back, same)) = flow.inverse(&y) else {
                assert!(name.starts_with("planar"), "{name}");
                continue;
            };
            // scales of N(0, 1) nets lie within e^±4, and their errors add up over 5 latents
            close(&back, &u, 1e-9, name);
            close(&same, &log_det, 1e-9, name);
        }
    }
}

#[test]
fn planar_determinants_stay_positive_however_hard_it_pushes_back() {
    for size in [1.0, 10.0, 100.0] {
        let normal = noise(6).normal(&[4, 3]);
        let flow = Planar { push: &normal * -size, normal, offset: noise(7).normal(&[4]) };
        let u = noise(8).normal(&[200, 4, 3]);
        let (y, log_det) = flow.forward(&u);
        assert!(to_values(&y).iter().chain(&to_values(&log_det)).all(|v| v.is_finite()));
        for draw in 0..200 {
            // the sign of a determinant next to 0 is lost in rounding
            let (sign, log) = jacobian(&flow, &u.select(0, draw)).slogdet();
            let good = to_values(&sign).iter().zip(to_values(&log)).all(|(sign, log)| *sign > 0.0 || log < -30.0);
            assert!(good, "{size}");
        }
    }
}

#[test]
fn an_output_sees_no_latent_at_or_after_its_own() {
    let mut parameters = Parameters::new(Kind::Double, Device::Cpu);
    let mut rng = stream(6, Purpose::Start, 0);
    for (at, context) in [0, 2].into_iter().enumerate() {
        let net = Made::new(&mut parameters.root(&mut rng).at(&at.to_string()), 4, context, &[9, 8], Activation::Tanh).unwrap();
        let told = (context > 0).then(|| noise(9).normal(&[1, context]).set_requires_grad(true));
        let u = noise(10).normal(&[1, 4]).set_requires_grad(true);
        let (m, s) = net.forward(&u, told.as_ref());
        for output in [&m, &s] {
            for l in 0..4 {
                let gradient = Tensor::run_backward(&[sum(&output.select(1, l))], &[&u], true, false).swap_remove(0);
                for (k, slope) in to_values(&gradient).into_iter().enumerate() {
                    assert_eq!(slope != 0.0, (k as i64) < l, "output {l}, latent {k}: {slope}");
                }
            }
            if let Some(told) = &told {
                let gradient = Tensor::run_backward(&[sum(&output.select(1, 0))], &[told], true, false).swap_remove(0);
                assert!(to_values(&gradient).iter().all(|slope| *slope != 0.0), "the first output is told the context");
            }
        }
    }
}
