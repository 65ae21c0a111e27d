//! V7: a GPU computes what the CPU computes.

use super::fixed::autoencoder_on;
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use lvm_deep::device::Device;
use lvm_deep::noise::Noise;
use lvm_deep::objective::{Elbo, Objective};
use lvm_deep::tensor::to_values;
use lvm_deep::{Kind, Tensor};
use ndarray::Array1;

/// Bounds of the rows and the gradient of their mean for all parameters, with the nodes of a simplex for draws.
fn evaluate(case: &Case, kind: Kind, device: tch::Device) -> Result<(Array1<f64>, Array1<f64>), Problem> {
    let (vae, batch, _) = autoencoder_on(case, kind, device)?;
    let objective = Objective::Elbo(Elbo { draws: vae.latents() + 1, ..Elbo::default() });
    let evaluation = objective.evaluate(&vae, &batch, 1.0, &mut Noise::simplex(kind, device))?;
    let trained: Vec<&Tensor> = vae.parameters.trained().map(|p| &p.value).collect();
    let gradients = Tensor::run_backward(&[evaluation.surrogate.mean(None::<Kind>)], &trained, false, false);
    Ok((Array1::from(to_values(&evaluation.bound)), gradients.iter().flat_map(to_values).collect()))
}

/// V7.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(in super::super) fn devices(g: &mut Group<'_>, case: &Case) -> Outcome {
    let gpu = match Device::Cuda(0).resolve() {
        Ok(gpu) => gpu,
        Err(_) => {
            g.not_run("GPU against CPU", "no GPU can be used here", "lvm doctor, which says what is missing");
            return Ok(());
        }
    };
    for (kind, name, relative) in [(Kind::Double, "f64", 1e-12), (Kind::Float, "f32", 1e-5)] {
        let (cpu, cpu_gradient) = evaluate(case, kind, tch::Device::Cpu)?;
        let (bound, gradient) = evaluate(case, kind, gpu)?;
        let rounding = Tolerance::relative(relative, "sums of at most a hundred terms in another order, of the largest entry");
        g.array_norm(format!("ELBO of every row on GPU and CPU, {name}"), Source::I, &bound, &cpu, &rounding);
        g.array_norm(format!("gradient on GPU and CPU, {name}"), Source::I, &gradient, &cpu_gradient, &rounding);
    }
    Ok(())
}
