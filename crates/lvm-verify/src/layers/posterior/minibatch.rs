//! S5: the minibatches of an epoch, taken together, are all the data.

use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Posterior;
use crate::suite::{Group, Outcome, Problem};
use lvm_vi::target::{Batch, DataLogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;

/// A model by rows, of a size known.
struct Rows<'m>(&'m dyn DataLogDensity);

impl DataLogDensity for Rows<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn n_data(&self) -> usize {
        self.0.n_data()
    }
    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.log_prior_grad(z, gradient)
    }
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.log_likelihood_grad(rows, z, gradient)
    }
}

/// S5: Σ_B |B|/N ∇ log p_B = ∇ log p over the batches B of an epoch, for batches of 1, 7 and N; no randomness.
///
/// # Errors
/// If the case lacks a field or the model can't be evaluated.
pub(super) fn epochs(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let Some(rows) = model.by_rows() else { return Err(Problem("the model is not one by rows".into())) };
    let rows = Rows(rows);
    let u = case.get("log_joint_checks")?.list()?.last().ok_or_else(|| "no point".to_owned())?.get("u")?.vector()?.to_vec();
    let (n, d) = (rows.n_data(), model.dim());
    let mut whole = vec![0.0; d];
    let value = model.log_density_grad(&u, &mut whole)?;
    // every seventh row first, so that neighbours in the file don't meet in a batch
    let order: Vec<usize> = (0..7).flat_map(|k| (k..n).step_by(7)).collect();
    for size in [1, 7.min(n), n] {
        let (mut mean, mut magnitude, mut value_mean, mut value_size) = (Array1::<f64>::zeros(d), Array1::<f64>::zeros(d), 0.0, 0.0);
        for batch in order.chunks(size) {
            let mut gradient = vec![0.0; d];
            let v = Batch::new(&rows, batch)?.log_density_grad(&u, &mut gradient)?;
            let share = batch.len() as f64 / n as f64;
            value_mean += share * v;
            value_size += share * v.abs();
            for j in 0..d {
                mean[j] += share * gradient[j];
                magnitude[j] += share * gradient[j].abs();
            }
        }
        let rounding = |size: f64| Tolerance::rounding(n, size);
        g.scalar(format!("batches of {size}: log joint"), Source::I, value_mean, value, &rounding(value_size.max(value.abs())));
        let t = Tolerance::relative(
            rounding(1.0).absolute,
            "8·(n+16)·ε of the mean magnitude of the gradients of the batches: two recursive sums (Higham §4.2)",
        );
        let scale = ndarray::Zip::from(&magnitude).and(&Array1::from(whole.clone())).map_collect(|m: &f64, w: &f64| m.max(w.abs()));
        g.array_scaled(format!("batches of {size}: gradient"), Source::I, &mean, &Array1::from(whole.clone()), &scale, &t);
    }
    Ok(())
}
