//! Epochs of minibatches without replacement.

use super::Source;
use crate::target::{Batch, DataLogDensity, FullData, LogDensityGrad};
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, Result};
use rand::seq::SliceRandom;
use std::sync::Mutex;

/// Step t belongs to epoch ⌊t / ⌈N/B⌉⌋, whose order is a permutation drawn from the seed and the epoch alone.
pub(super) struct Minibatches<'a, T> {
    target: &'a T,
    whole: FullData<'a, T>,
    batch: usize,
    /// The epoch whose order is at hand.
    order: Mutex<Order>,
}

/// Rows in the order of an epoch.
struct Order {
    /// Seed and epoch.
    of: Option<(u64, u64)>,
    rows: Vec<usize>,
}

impl<'a, T: DataLogDensity> Minibatches<'a, T> {
    pub(super) fn new(target: &'a T, batch: usize) -> Result<Self> {
        let n = target.n_data();
        if n == 0 {
            return Err(lvm_core::ErrorKind::Empty.into());
        }
        if batch == 0 {
            return Err(Error::config("batch", "0 rows given; a batch needs at least one"));
        }
        if batch > n {
            return Err(Error::config("batch", format!("{batch} rows given and the data has only {n}; take at most {n}")));
        }
        Ok(Minibatches { target, whole: FullData::new(target), batch, order: Mutex::new(Order { of: None, rows: Vec::with_capacity(n) }) })
    }
}

impl<T: DataLogDensity> Source for Minibatches<'_, T> {
    fn target(&self, seed: u64, step: u64, with: &mut dyn FnMut(&dyn LogDensityGrad) -> Result<()>) -> Result<()> {
        let n = self.target.n_data();
        let per_epoch = n.div_ceil(self.batch) as u64;
        let (epoch, position) = (step / per_epoch, (step % per_epoch) as usize);
        // a poisoned lock holds nothing but an order, which is made anew
        let mut order = self.order.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if order.of != Some((seed, epoch)) {
            order.rows.clear();
            order.rows.extend(0..n);
            order.rows.shuffle(&mut stream(seed, Purpose::Minibatch, epoch));
            order.of = Some((seed, epoch));
        }
        let rows = &order.rows[position * self.batch..n.min((position + 1) * self.batch)];
        with(&Batch::new(self.target, rows)?)
    }

    fn whole(&self) -> &dyn LogDensityGrad {
        &self.whole
    }
}
