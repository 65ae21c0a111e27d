//! V9: log-determinants of flows are those of the Jacobian by automatic differentiation, inverses invert.

use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::random::{Purpose, stream};
use lvm_deep::flow::{Autoregressive, Coupling, Flow, Gate, Made, Planar, Reverse};
use lvm_deep::nets::Activation;
use lvm_deep::noise::Noise;
use lvm_deep::parameters::{Parameters, Scope};
use lvm_deep::tensor::to_values;
use lvm_deep::{Kind, Tensor};
use ndarray::Array1;
use tch::Device;

/// Rows and their latents.
const ROWS: i64 = 6;
const LATENTS: i64 = 4;

/// A flow with parameters from N(0, 1), far from the identity.
fn random(noise: &mut Noise, make: impl FnOnce(&mut Scope<'_>) -> lvm_core::Result<Box<dyn Flow>>) -> Result<Box<dyn Flow>, Problem> {
    let mut parameters = Parameters::new(Kind::Double, Device::Cpu);
    let flow = make(&mut parameters.root(&mut stream(5, Purpose::Start, 0)))?;
    for parameter in parameters.trained() {
        let value = noise.normal(&parameter.value.size());
        tch::no_grad(|| parameter.value.shallow_clone().copy_(&value));
    }
    Ok(flow)
}

/// A flow with its name.
type Named = (&'static str, Box<dyn Flow>);

fn all(noise: &mut Noise) -> Result<Vec<Named>, Problem> {
    let shared = Planar { normal: noise.normal(&[LATENTS]), push: noise.normal(&[LATENTS]), offset: noise.normal(&[]) };
    let of_rows = Planar { normal: noise.normal(&[ROWS, LATENTS]), push: noise.normal(&[ROWS, LATENTS]), offset: noise.normal(&[ROWS]) };
    let mut flows: Vec<Named> = vec![
        ("planar, shared", Box::new(shared)),
        ("planar, of each row", Box::new(of_rows)),
        ("reverse", Box::new(Reverse)),
        ("coupling", random(noise, |scope| Ok(Box::new(Coupling::new(scope, LATENTS, &[7], Activation::Tanh)?)))?),
    ];
    for (name, gate, context) in [
        ("autoregressive average", Gate::Average, 0),
        ("autoregressive average, told", Gate::Average, 3),
        ("autoregressive affine", Gate::Affine, 0),
    ] {
        let told = (context > 0).then(|| noise.normal(&[ROWS, context]));
        let flow = random(noise, |scope| {
            Ok(Box::new(Autoregressive::new(Made::new(scope, LATENTS, context, &[7, 6], Activation::Elu)?, told, gate)))
        })?;
        flows.push((name, flow));
    }
    Ok(flows)
}

/// log |det ∂f/∂u| of every row, the Jacobian row by row by automatic differentiation.
fn log_determinant(flow: &dyn Flow, u: &Tensor) -> Tensor {
    let u = u.detach().copy().set_requires_grad(true);
    let (y, _) = flow.forward(&u);
    // rows of u do not meet: the gradient of the sum over rows is the gradient of each
    let row = |l: i64| Tensor::run_backward(&[y.select(1, l).sum(None::<Kind>)], &[&u], true, false).swap_remove(0);
    Tensor::stack(&(0..LATENTS).map(row).collect::<Vec<_>>(), 1).slogdet().1
}

/// V9.
///
/// # Errors
/// If the library refuses.
pub(in super::super) fn flows(g: &mut Group<'_>) -> Outcome {
    let mut noise = Noise::new(g.seed(0), Purpose::Diagnosis, 0, Kind::Double, Device::Cpu);
    let list = |t: &Tensor| Array1::from(to_values(t));
    for (name, flow) in all(&mut noise)? {
        let u = noise.normal(&[ROWS, LATENTS]);
        let (y, log_det) = tch::no_grad(|| flow.forward(&u));
        let truth = log_determinant(flow.as_ref(), &u);
        let rounding = Tolerance::both(1e-10, 1e-10, "an LU decomposition of 4 x 4 with entries up to e^8: 1e4 ulp");
        g.array(format!("{name}: log determinant against the Jacobian"), Source::I, &list(&log_det), &list(&truth), &rounding);
        let Some((back, same)) = tch::no_grad(|| flow.inverse(&y)) else { continue };
        let rounding = Tolerance::both(1e-8, 1e-8, "scales up to e^8 of nets with N(0, 1) weights, added up over 4 latents");
        g.array(format!("{name}: inverse of what came out"), Source::I, &list(&back), &list(&u), &rounding);
        g.array(format!("{name}: log determinant on the way back"), Source::I, &list(&same), &list(&log_det), &rounding);
    }
    Ok(())
}
