//! Training in units of the columns' standard deviations, and the way back to those of the table.
//!
//! A Gaussian decoder whose last layer is linear is as good in any units: x = m + s x′ turns (W, b, log σ²) into (s W, s b + m,
//! log σ² + 2 log s), and log p(x) = log p(x′) − Σ_d log s_d. Adam's steps are of one size whatever the units, so that a column in the hundreds
//! would take thousands of epochs to reach.

use crate::failure::{Failure, Outcome};
use lvm_deep::Tensor;
use lvm_deep::architecture::{Architecture, DecoderSpec, LikelihoodSpec};
use lvm_deep::data::Batch;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::Input;
use lvm_deep::tensor::{from_vector, to_values};
use lvm_deep::vae::Vae;

/// A note in the header of checkpoints: they are in standard units.
pub(super) const NOTE: &str = "standardised";

/// Where the columns lie, and how far they spread.
pub(super) struct Units {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Units {
    /// Of the entries that are there; a column that does not vary keeps its units.
    pub(super) fn of(batch: &Batch) -> Self {
        let (n, d) = (batch.n_rows() as usize, batch.x.size()[1] as usize);
        let x = to_values(&batch.x);
        let observed = batch.observed.as_ref().map(to_values);
        let weights = batch.weights.as_ref().map(to_values);
        let weight = |i: usize, j: usize| observed.as_ref().map_or(1.0, |o| o[i * d + j]) * weights.as_ref().map_or(1.0, |w| w[i]);
        let average = |of: &dyn Fn(usize, usize) -> f64, j: usize| {
            let (sum, total) = (0..n).fold((0.0, 0.0), |(sum, total), i| (sum + weight(i, j) * of(i, j), total + weight(i, j)));
            if total > 0.0 { sum / total } else { 0.0 }
        };
        let mean: Vec<f64> = (0..d).map(|j| average(&|i, j| x[i * d + j], j)).collect();
        let sd = |j: usize| average(&|i, j| (x[i * d + j] - mean[j]).powi(2), j).sqrt();
        let scale = (0..d).map(|j| Some(sd(j)).filter(|s| *s > 1e-6 * (1.0 + mean[j].abs())).unwrap_or(1.0)).collect();
        Units { mean, scale }
    }

    /// Σ_d log s_d, which log p(x) loses on the way back.
    pub(super) fn log_jacobian(&self) -> f64 {
        self.scale.iter().map(|s| s.ln()).sum()
    }

    /// x′ = (x − m)/s; a missing entry stays 0.
    pub(super) fn apply(&self, batch: &mut Batch) {
        let (mean, scale) = self.tensors(&batch.x);
        let x = (&batch.x - mean) / scale;
        batch.x = batch.observed.as_ref().map_or_else(|| x.shallow_clone(), |observed| &x * observed);
    }

    /// The model back in the units of the table.
    pub(super) fn undo(&self, vae: &mut Vae) -> Outcome {
        let weight = format!("decoder.{}.weight", last_layer(&vae.architecture)?);
        let bias = weight.replace(".weight", ".bias");
        let found = |name: &str| vae.parameters.get(name).map(Tensor::copy).ok_or_else(|| lost(name));
        let (w, b) = (found(&weight)?, found(&bias)?);
        let (mean, scale) = self.tensors(&b);
        let d = mean.size()[0];
        let by_decoder = b.size()[0] > d;
        let joined = |first: Tensor, rest: Tensor| if by_decoder { Tensor::cat(&[first, rest], 0) } else { first };
        let means = |t: &Tensor| t.narrow(0, 0, d);
        let rest = |t: &Tensor| if by_decoder { t.narrow(0, d, d) } else { t.shallow_clone() };
        let new_w = tch::no_grad(|| joined(means(&w) * scale.unsqueeze(1), rest(&w)));
        let new_b = tch::no_grad(|| joined(means(&b) * &scale + &mean, rest(&b) + scale.log() * 2.0));
        let mut new = vec![(weight, new_w), (bias, new_b)];
        if !by_decoder {
            let name = "likelihood.log_variance";
            new.push((name.to_owned(), tch::no_grad(|| found(name).map(|v| v + scale.log() * 2.0))?));
        }
        // (x′ − m′)/s′ = (x − m − s m′)/(s s′)
        let (m, s) = (found("encoder.mean")?, found("encoder.scale")?);
        new.push(("encoder.mean".to_owned(), tch::no_grad(|| m * &scale + &mean)));
        new.push(("encoder.scale".to_owned(), tch::no_grad(|| s * &scale)));
        new.iter().try_for_each(|(name, value)| vae.parameters.set(name, value)).map_err(Failure::from)
    }

    fn tensors(&self, like: &Tensor) -> (Tensor, Tensor) {
        let tensor = |values: &[f64]| from_vector(values, like.kind(), like.device());
        (tensor(&self.mean), tensor(&self.scale))
    }
}

/// An error unless a model of this architecture can be put back.
pub(super) fn check(architecture: &Architecture) -> Outcome {
    last_layer(architecture).map(drop)
}

/// The number of the decoder's last layer.
fn last_layer(architecture: &Architecture) -> Outcome<usize> {
    let by_column = matches!(architecture.likelihood, LikelihoodSpec::Gaussian(Variance::Columns | Variance::Entries));
    match &architecture.decoder {
        DecoderSpec::Mlp { hidden, .. } if by_column && architecture.input == Input::Standardised => Ok(hidden.len()),
        _ => Err(Failure::fault(
            "model.standardise needs a decoder of plain layers (mlp), a gaussian likelihood with variances of columns or entries, and \
             model.input \"standardised\"; say --standardise no, and bring the table into such units that its numbers are around 1",
        )),
    }
}

fn lost(name: &str) -> Failure {
    Failure::fault(format!("the model has no parameter {name}, which the way back from standard units needs; say --standardise no"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_deep::Kind;
    use lvm_deep::data::Dataset;
    use lvm_deep::train::Training;
    use ndarray::Array2;

    #[test]
    fn a_model_put_back_is_the_same_model() {
        let x = Array2::from_shape_fn((40, 3), |(i, j)| 700.0 * j as f64 + 50.0 * (1.0 + j as f64) * ((i * (j + 1)) as f64 * 0.37).sin());
        for variance in [Variance::Columns, Variance::Entries] {
            let raw = Dataset::new(&x, Kind::Double, tch::Device::Cpu).unwrap();
            let mut data = Dataset::new(&x, Kind::Double, tch::Device::Cpu).unwrap();
            let units = Units::of(&data.rows);
            units.apply(&mut data.rows);
            let architecture = Architecture {
                input: Input::Standardised,
                likelihood: LikelihoodSpec::Gaussian(variance),
                ..Architecture::mlp(3, 2, &[8])
            };
            let vae = Vae::new(architecture, &data, 1).unwrap();
            let mut vae = Training { epochs: 3, batch_size: 10, ..Training::default() }.fit(vae, &data, None, 1).unwrap().vae;
            let z = Tensor::from_slice(&(0..80).map(|i| (f64::from(i) * 0.71).sin()).collect::<Vec<_>>()).view([1, 40, 2]);
            let of = |vae: &Vae, batch: &Batch| {
                let _no_grad = tch::no_grad_guard();
                let joint = vae.log_joint(&z, batch);
                (to_values(&(joint.log_likelihood + joint.log_prior)), to_values(&vae.posterior(batch).mode()))
            };
            let (before, modes) = of(&vae, &data.rows);
            units.undo(&mut vae).unwrap();
            let (after, modes_after) = of(&vae, &raw.rows);
            for (b, a) in before.iter().zip(&after) {
                // sums of 5 terms near 10 in f64, through numbers near 1000: 1e-9 relative is generous
                assert!((b - units.log_jacobian() - a).abs() < 1e-9 * (1.0 + a.abs()), "{variance:?}: {b} {a}");
            }
            assert!(modes.iter().zip(&modes_after).all(|(b, a)| (b - a).abs() < 1e-9), "{variance:?}");
        }
    }
}
