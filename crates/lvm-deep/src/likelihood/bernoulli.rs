//! Zeros and ones.

use super::{Likelihood, first_where};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use lvm_core::ErrorKind;
use tch::Tensor;

/// x_d ∈ {0, 1} with logit a_d(z): log p(x | z) = Σ_d [x_d a_d − log(1 + e^{a_d})].
#[derive(Debug, Clone, Copy)]
pub struct Bernoulli {
    /// D.
    pub columns: i64,
}

impl Likelihood for Bernoulli {
    fn n_outputs(&self) -> i64 {
        self.columns
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        // x a − log(1 + eᵃ) = x a − max(a, 0) − log1p(e^−|a|)
        &batch.x * outputs - outputs.relu() - (-outputs.abs()).exp().log1p()
    }

    fn mean(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        outputs.sigmoid()
    }

    fn sample(&self, outputs: &Tensor, _batch: &Batch, noise: &mut Noise) -> Tensor {
        noise.uniform(&outputs.size()).less_tensor(&outputs.sigmoid()).to_kind(outputs.kind())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let bad = batch.x.ne(0.0).logical_and(&batch.x.ne(1.0));
        match first_where(&bad, &batch.x) {
            None => Ok(()),
            Some((row, column, value)) => {
                Err(ErrorKind::OutsideSupport { row, column, value, allowed: "0 or 1: binarise the table, or choose another likelihood" }.into())
            }
        }
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        // Burda's start: the logit of the mean, kept away from 0 and 1
        Some(mean.clamp(0.001, 0.999).logit(None))
    }
}
