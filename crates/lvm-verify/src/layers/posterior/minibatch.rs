//! S5: the minibatches of an epoch, taken together, are all the data.

use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Posterior;
use crate::stochastic::{VectorEstimate, t2_quantile};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::random::{Purpose, stream};
use lvm_vi::deterministic::Shape;
use lvm_vi::estimator::{Control, Gradient, Memory};
use lvm_vi::family::MeanField;
use lvm_vi::target::{Batch, DataLogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;
use rand::RngExt;
use rayon::prelude::*;

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

/// S2, minibatch by estimator: with a batch drawn at random and draws from q, each estimator of the gradient is unbiased for the gradient by
/// all the data: the mean of differences of two estimates from the same noise, by a batch and by all rows, is zero.
///
/// # Errors
/// If the case lacks a field or the model can't be evaluated.
pub(super) fn estimators(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let Some(rows) = model.by_rows() else { return Err(Problem("the model is not one by rows".into())) };
    let rows = Rows(rows);
    let reference = super::Reference::of(case, Shape::Diagonal)?;
    let q = MeanField::new(&reference.mean.to_vec(), &reference.sd.to_vec())?;
    let d = model.dim();
    let leave_one_out = Gradient::ScoreFunction { control: Control::LeaveOneOut };
    let estimators = [
        ("pathwise, closed entropy", Gradient::PathwiseClosedEntropy, 1),
        ("pathwise", Gradient::Pathwise, 1),
        ("sticking the landing", Gradient::StickingTheLanding, 1),
        ("score function, leave one out", leave_one_out, 4),
    ];
    // in units of q: a mean by its sd, a log sd as it is
    let unit = |i: usize| if i < d { reference.sd[i] } else { 1.0 };
    for (index, (name, estimator, draws)) in estimators.into_iter().enumerate() {
        for size in [1, 7.min(rows.n_data())] {
            let (seed, mut from) = (g.seed((10 * index + size) as u64), 0_u64);
            let mut draw = |n: usize| -> Result<ndarray::Array2<f64>, Problem> {
                let first = from;
                from += n as u64;
                let made = (0..n as u64)
                    .into_par_iter()
                    .map(|i| {
                        let mut rng = stream(seed, Purpose::Diagnosis, first + i);
                        let mut chosen: Vec<usize> = Vec::with_capacity(size);
                        while chosen.len() < size {
                            let row = rng.random_range(0..rows.n_data());
                            if !chosen.contains(&row) {
                                chosen.push(row);
                            }
                        }
                        let by = |target: &dyn LogDensityGrad| -> Result<Vec<f64>, Problem> {
                            let mut gradient = vec![0.0; 2 * d];
                            let mut noise = rng.clone();
                            estimator.estimate(&q, target, draws, &mut Memory::default(), &mut noise, &mut gradient)?;
                            Ok(gradient)
                        };
                        let (part, whole) = (by(&Batch::new(&rows, &chosen)?)?, by(&super::seeds::Sized(model))?);
                        Ok(part.iter().zip(&whole).enumerate().map(|(i, (a, b))| unit(i) * (a - b)).collect())
                    })
                    .collect::<Result<Vec<Vec<f64>>, Problem>>()?;
                let n = made.len();
                ndarray::Array2::from_shape_vec((n, 2 * d), made.concat()).map_err(|e| Problem(e.to_string()))
            };
            // batches of few rows differ by many natural units from all of them: what is claimed is as much as their spread allows, which
            // a thousand of them do not show where a few make most of it (eight schools)
            let mut spread = VectorEstimate::new(2 * d);
            draw(10_000)?.rows().into_iter().for_each(|row| spread.push(row));
            // the standard deviation in the direction where it is largest, as the check takes it
            let of_mean = spread.judge(Array1::zeros(2 * d).view(), 0.0, 0.0, g.alpha_of_look())?.standard_error;
            let pilot = of_mean * (spread.draws as f64).sqrt();
            // as many again are there where the draws turn out to spread more
            let n = 10_000;
            let quantile = t2_quantile(g.alpha_of_look(), 2 * d, 8 * n).sqrt() + 4.75;
            let margin = 1.3 * quantile * pilot / (8.0 * n as f64).sqrt();
            let reason = format!(
                "the same noise by a batch and by all rows: the difference has mean 0; {margin:.2} natural units are what 80 000 batches of this spread ({pilot:.1}) see"
            );
            let quantity = format!("{name}, batches of {size}: less the same by all rows");
            g.unbiased(quantity, (&Array1::zeros(2 * d), Source::I), (margin, 1e-9), n, &reason, &mut draw)?;
        }
    }
    Ok(())
}
