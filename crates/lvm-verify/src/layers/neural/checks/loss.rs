//! V6: the loss is a sum over columns and latents and a mean over rows, whatever the batch.

use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use crate::tables;
use lvm_core::random::Purpose;
use lvm_deep::architecture::Architecture;
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::noise::Noise;
use lvm_deep::objective::{Elbo, Objective};
use lvm_deep::tensor::{from_vector, to_values};
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::Array1;

/// The gradient of the sum over batches of what `total` makes of each, for all parameters in one vector.
fn gradient(vae: &Vae, batches: &[Batch], total: impl Fn(&Batch) -> Result<Tensor, Problem>) -> Result<Array1<f64>, Problem> {
    for parameter in vae.parameters.trained() {
        parameter.value.shallow_clone().zero_grad();
    }
    for batch in batches {
        total(batch)?.sum(None::<Kind>).backward();
    }
    Ok(vae.parameters.trained().flat_map(|p| to_values(&p.value.grad())).collect())
}

/// Rows in batches of `size`, the last one short.
fn batches(data: &Batch, size: i64) -> Vec<Batch> {
    let n = data.n_rows();
    (0..n).step_by(size as usize).map(|start| data.narrow(start, size.min(n - start))).collect()
}

/// V6.
///
/// # Errors
/// If the library refuses.
pub(in super::super) fn scaling(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("wine")?.x;
    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu)?;
    let vae = Vae::new(Architecture::mlp(13, 3, &[8]), &data, 5)?;
    let n = data.rows.n_rows();
    let rounding = Tolerance::relative(1e-10, "f64 sums of 178 rows and 13 columns in another order, of the largest entry");

    // the terms of every row are sums, not means: twice the columns, twice the log-likelihood
    let mut noise = Noise::new(2, Purpose::Noise, 0, Kind::Double, tch::Device::Cpu);
    let terms = tch::no_grad(|| vae.terms(&data.rows, 1, &mut noise));
    let outputs = tch::no_grad(|| vae.outputs(&terms.z, &data.rows));
    let entries = vae.parts.likelihood.log_prob_entries(&outputs, &data.rows);
    let by_hand: Vec<f64> = to_values(&entries).chunks(13).map(|row| row.iter().sum()).collect();
    let ours = Array1::from(to_values(&terms.log_joint.log_likelihood));
    g.array("log likelihood is a sum over columns", Source::I, &ours, &Array1::from(by_hand), &rounding);
    let kl = vae.parts.prior.kl(terms.posterior.as_ref()).ok_or("no closed form".to_owned())?;
    let by_latent = vae.parts.prior.kl_by_latent(terms.posterior.as_ref()).ok_or("no closed form".to_owned())?;
    let sums: Vec<f64> = to_values(&by_latent).chunks(3).map(|row| row.iter().sum()).collect();
    g.array("KL is a sum over latents", Source::I, &Array1::from(to_values(&kl)), &Array1::from(sums), &rounding);

    // one row three times over is a weight of three
    let twice = data.rows.select(&Tensor::from_slice(&[0_i64, 0, 0]));
    let single = data.rows.narrow(0, 1);
    let mut weighted = data.rows.narrow(0, 1);
    weighted.weights = Some(from_vector(&[3.0], Kind::Double, tch::Device::Cpu));
    let at_mode = |batch: &Batch| -> f64 {
        let z = vae.posterior(batch).mode().unsqueeze(0);
        to_values(&tch::no_grad(|| vae.log_likelihood(&z, batch))).iter().sum()
    };
    g.scalar("a row three times over counts three times", Source::I, at_mode(&twice), 3.0 * at_mode(&single), &rounding);

    // the gradient of an epoch is the sum of the gradients of its batches, whatever their size
    for (kind, name, tolerance) in [(Kind::Double, "f64", 1e-10), (Kind::Float, "f32", 1e-5)] {
        let rounding = Tolerance::relative(tolerance, "sums of 178 rows and 13 columns in another order, of the largest entry");
        let data = Dataset::new(&x, kind, tch::Device::Cpu)?;
        let vae = Vae::new(Architecture::mlp(13, 3, &[8]), &data, 5)?;
        // the nodes of a simplex for draws, so that the batches of a row don't matter to its noise
        let objective = Objective::Elbo(Elbo { draws: 4, ..Elbo::default() });
        let loss = |batch: &Batch| Ok(objective.evaluate(&vae, batch, 1.0, &mut Noise::simplex(kind, tch::Device::Cpu))?.surrogate);
        let whole = gradient(&vae, &batches(&data.rows, n), loss)?;
        for size in [1, 7] {
            let parts = gradient(&vae, &batches(&data.rows, size), loss)?;
            g.array_norm(format!("gradient of an epoch in batches of {size}, {name}"), Source::I, &parts, &whole, &rounding);
        }
    }
    // L(w) = R − w KL is linear in w
    let weighted = |kl_weight: f64| {
        let vae = &vae;
        move |batch: &Batch| {
            let mut noise = Noise::new(1, Purpose::Noise, 0, Kind::Double, tch::Device::Cpu);
            Ok(Objective::default().evaluate(vae, batch, kl_weight, &mut noise)?.surrogate)
        }
    };
    let rows = batches(&data.rows, n);
    let (none, half, one) =
        (gradient(&vae, &rows, weighted(0.0))?, gradient(&vae, &rows, weighted(0.5))?, gradient(&vae, &rows, weighted(1.0))?);
    g.array_norm("the KL weight enters the gradient linearly", Source::I, &half, &((&one + &none) * 0.5), &rounding);
    let moved = (&one - &none).mapv(f64::abs).sum();
    g.holds(
        "the KL weight enters the gradient",
        format!("{moved:.3e}"),
        "more than 1e-3",
        moved > 1e-3,
        "of a model whose encoder is untrained",
    );
    Ok(())
}
