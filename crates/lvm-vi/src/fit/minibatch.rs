//! Epochs of minibatches without replacement.

use super::Source;
use crate::cavi::minibatch::Minibatches;
use crate::target::{Batch, DataLogDensity, FullData, LogDensityGrad};
use lvm_core::Result;

/// The rows of step t are a function of t and the seed alone ([`Minibatches::of_step`]): no order of N rows is kept.
pub(super) struct Batches<'a, T> {
    target: &'a T,
    whole: FullData<'a, T>,
    batch: usize,
}

impl<'a, T: DataLogDensity> Batches<'a, T> {
    pub(super) fn new(target: &'a T, batch: usize) -> Result<Self> {
        // refuses sizes out of range before the first step
        Minibatches::new(target.n_data(), batch, 0)?;
        Ok(Batches { target, whole: FullData::new(target), batch })
    }
}

impl<T: DataLogDensity> Source for Batches<'_, T> {
    fn target(&self, seed: u64, step: u64, with: &mut dyn FnMut(&dyn LogDensityGrad) -> Result<()>) -> Result<()> {
        let rows = Minibatches::new(self.target.n_data(), self.batch, seed)?.of_step(step);
        with(&Batch::new(self.target, &rows)?)
    }

    fn whole(&self) -> &dyn LogDensityGrad {
        &self.whole
    }
}
