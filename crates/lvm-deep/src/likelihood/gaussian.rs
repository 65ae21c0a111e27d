//! Normal observations.

use super::Likelihood;
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use tch::Tensor;

/// Where the variance of normal observations comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// Known: this number for every column.
    Fixed(f64),
    /// One number, trained.
    Shared,
    /// A number for each column, trained.
    Columns,
    /// A number for each entry, delivered by the decoder.
    Entries,
}

/// The log-variance is kept within ± this, so that a decoder that is certain of one entry does not make the whole bound infinite.
const LOG_VARIANCE_LIMIT: f64 = 20.0;

/// x_d ~ N(μ_d(z), σ_d²): log p(x | z) = −½ Σ_d [log 2π + log σ_d² + (x_d − μ_d)²/σ_d²].
///
/// Outputs are μ (D), and with [`Variance::Entries`] log σ² (D) behind it.
#[derive(Debug)]
pub struct Gaussian {
    columns: i64,
    /// log σ² as one number or (D); `None`: the decoder delivers it.
    log_variance: Option<Tensor>,
}

impl Gaussian {
    /// Of D columns.
    ///
    /// # Errors
    /// If the name is taken, or a fixed variance is not positive.
    pub fn new(scope: &mut Scope<'_>, columns: i64, variance: Variance) -> Result<Self> {
        let log_variance = match variance {
            Variance::Fixed(value) if !(value > 0.0 && value.is_finite()) => {
                return Err(lvm_core::Error::config("variance", format!("is {value}; it must be positive")));
            }
            Variance::Fixed(value) => Some(scope.fixed("log_variance", &Tensor::from(value.ln()))?),
            Variance::Shared => Some(scope.trained("log_variance", &[], Start::Zero)?),
            Variance::Columns => Some(scope.trained("log_variance", &[columns], Start::Zero)?),
            Variance::Entries => None,
        };
        Ok(Gaussian { columns, log_variance })
    }

    /// μ and log σ², to be broadcast over each other.
    fn moments(&self, outputs: &Tensor) -> (Tensor, Tensor) {
        let (mean, log_variance) = match &self.log_variance {
            Some(shared) => (outputs.shallow_clone(), shared.shallow_clone()),
            None => (outputs.narrow(-1, 0, self.columns), outputs.narrow(-1, self.columns, self.columns)),
        };
        (mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))
    }
}

impl Likelihood for Gaussian {
    fn n_outputs(&self) -> i64 {
        if self.log_variance.is_some() { self.columns } else { 2 * self.columns }
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let (mean, log_variance) = self.moments(outputs);
        // −½ [log 2π + log σ² + (x − μ)² e^{−log σ²}]
        ((&batch.x - mean).square() * (-&log_variance).exp() + log_variance + (2.0 * PI).ln()) * -0.5
    }

    fn mean(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        self.moments(outputs).0
    }

    fn sample(&self, outputs: &Tensor, _batch: &Batch, noise: &mut Noise) -> Tensor {
        let (mean, log_variance) = self.moments(outputs);
        let shape = mean.size();
        mean + (log_variance * 0.5).exp() * noise.normal(&shape)
    }

    fn check(&self, _batch: &Batch) -> Result<()> {
        Ok(())
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        Some(match &self.log_variance {
            Some(_) => mean.shallow_clone(),
            None => Tensor::cat(&[mean, &mean.zeros_like()], 0),
        })
    }
}
