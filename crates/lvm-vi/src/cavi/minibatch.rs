//! Minibatches without replacement in constant memory, and the steps taken with them.

use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{Missing, RowSource};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, ArrayView1, ArrayViewMut2, Axis, Slice};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// The order in which epochs visit N rows, B at a time.
///
/// Every epoch visits every row once, in an order of its own; the last batch is short if B does not divide N. The order is a keyed
/// permutation of 0 … N − 1 (a Feistel network on the smallest square domain that holds N, walked until the image lies below N), so no
/// list of N numbers is kept, and any batch of any epoch can be named: (seed, epoch, batch) is all the state there is.
///
/// ```
/// use lvm_vi::cavi::minibatch::Minibatches;
/// let order = Minibatches::new(10, 4, 7)?;
/// assert_eq!(order.per_epoch(), 3);
/// let mut all: Vec<usize> = (0..3).flat_map(|batch| order.rows(0, batch)).collect();
/// all.sort_unstable();
/// assert_eq!(all, (0..10).collect::<Vec<_>>());
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Black & Rogaway, *Ciphers with arbitrary finite domains*, CT-RSA (2002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minibatches {
    rows: usize,
    batch: usize,
    seed: u64,
}

/// Rounds of the network: four make a permutation that is random to all simple tests, two more cost nothing that matters.
const ROUNDS: usize = 6;

impl Minibatches {
    /// Batches of `batch` out of `rows` rows.
    ///
    /// # Errors
    /// If there is no row, or if the batch is empty or larger than the data.
    pub fn new(rows: usize, batch: usize, seed: u64) -> Result<Self> {
        if rows == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if batch == 0 || (batch > rows && !planted("batch_beyond_the_data")) {
            return Err(Error::config(
                "batch",
                format!("a batch of {batch} rows asked for; it needs at least one and at most {rows}, all there are"),
            ));
        }
        Ok(Minibatches { rows, batch, seed })
    }

    /// Batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// The rows of one batch, ascending; none beyond the epoch's end.
    pub fn rows(&self, epoch: u64, batch: usize) -> Vec<usize> {
        let mut rng = stream(self.seed, Purpose::Minibatch, if planted("epochs_share_order") { 0 } else { epoch });
        let keys: [u64; ROUNDS] = std::array::from_fn(|_| rng.next_u64());
        let half_bits = (usize::BITS - (self.rows - 1).leading_zeros()).div_ceil(2).max(1);
        let start = batch.saturating_mul(self.batch).min(self.rows);
        let end = start.saturating_add(self.batch).min(self.rows);
        let mut rows: Vec<usize> = (start..end).map(|i| self.image(i as u64, half_bits, &keys)).collect();
        rows.sort_unstable();
        rows
    }

    /// The rows of step t = 0, 1, … of a run that goes through epoch after epoch: batch t mod ⌈N/B⌉ of epoch ⌊t / ⌈N/B⌉⌋.
    pub fn of_step(&self, step: u64) -> Vec<usize> {
        let per_epoch = self.per_epoch() as u64;
        self.rows(step / per_epoch, (step % per_epoch) as usize)
    }

    /// The permutation at `i`: the domain is less than four times N, so four encryptions do on average at most.
    fn image(&self, i: u64, half_bits: u32, keys: &[u64; ROUNDS]) -> usize {
        let mask = (1_u64 << half_bits) - 1;
        let mut value = i;
        loop {
            let (mut left, mut right) = (value >> half_bits, value & mask);
            for key in keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            value = left << half_bits | right;
            if value < self.rows as u64 {
                return value as usize;
            }
        }
    }
}

/// splitmix64's finaliser.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Some rows of a source, as a source.
pub struct Selection<'a> {
    source: &'a dyn RowSource,
    rows: Vec<usize>,
    weights: Option<Array1<f64>>,
}

impl<'a> Selection<'a> {
    /// Rows `rows` of `source`, in this order.
    ///
    /// # Errors
    /// If there is none, or one is beyond the end.
    pub fn new(source: &'a dyn RowSource, rows: Vec<usize>) -> Result<Self> {
        if rows.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        if let Some(row) = rows.iter().find(|r| **r >= source.n_rows()) {
            return Err(Error::config("rows", format!("row {row} asked for; there are {}", source.n_rows())));
        }
        let weights = source.weights().map(|w| rows.iter().map(|r| w[*r]).collect());
        Ok(Selection { source, rows, weights })
    }
}

impl RowSource for Selection<'_> {
    fn n_rows(&self) -> usize {
        self.rows.len()
    }
    fn n_cols(&self) -> usize {
        self.source.n_cols()
    }
    fn read(&self, start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
        let rows = &self.rows[start..start + out.nrows()];
        let mut at = 0;
        while at < rows.len() {
            // consecutive rows in one read
            let run = (1..rows.len() - at).find(|&i| rows[at + i] != rows[at] + i).unwrap_or(rows.len() - at);
            self.source.read(rows[at], out.slice_axis_mut(Axis(0), Slice::from(at..at + run)))?;
            at += run;
        }
        Ok(())
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.weights.as_ref().map(|w| w.view())
    }
    fn missing(&self) -> Missing {
        self.source.missing()
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.source.column_name(column)
    }
}

/// ρ_t, how far step t = 1, 2, … goes to what its minibatch says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steps {
    /// ρ_t = (t + τ)^−κ. Σ ρ_t = ∞ and Σ ρ_t² < ∞ (Robbins & Monro 1951) for ½ < κ ≤ 1.
    RobbinsMonro {
        /// τ ≥ 0: makes early steps shorter.
        delay: f64,
        /// κ in (½, 1]: how soon early batches are forgotten.
        forgetting: f64,
    },
    /// The same ρ in (0, 1] always. Converges only where batches do not differ.
    Constant(f64),
}

impl Steps {
    /// Refuses settings outside their range.
    ///
    /// # Errors
    /// Which one, and what is allowed.
    pub fn check(self) -> Result<()> {
        match self {
            Steps::RobbinsMonro { delay, .. } if !(delay >= 0.0 && delay.is_finite()) => {
                Err(Error::config("delay", format!("{delay}; it must be finite and not negative")))
            }
            Steps::RobbinsMonro { forgetting, .. } if !(forgetting > 0.5 && forgetting <= 1.0) => {
                Err(Error::config("forgetting", format!("{forgetting}; it must be above 0.5 and at most 1, or the steps do not converge")))
            }
            Steps::Constant(rho) if !(rho > 0.0 && rho <= 1.0) => {
                Err(Error::config("steps", format!("a constant step of {rho}; it must be above 0 and at most 1")))
            }
            _ => Ok(()),
        }
    }

    /// ρ_t of step t, from 1.
    pub fn at(self, t: u64) -> f64 {
        match self {
            Steps::RobbinsMonro { delay, forgetting } => (t as f64 + delay).powf(-forgetting),
            Steps::Constant(rho) => rho,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn every_epoch_is_a_permutation_of_its_own() {
        for rows in [1_usize, 2, 3, 4, 5, 15, 16, 17, 100, 1025] {
            for batch in [1, 2, rows.div_ceil(3), rows].into_iter().filter(|b| *b <= rows) {
                let order = Minibatches::new(rows, batch, 3).unwrap();
                let mut all: Vec<usize> = (0..order.per_epoch()).flat_map(|b| order.rows(5, b)).collect();
                all.sort_unstable();
                assert_eq!(all, (0..rows).collect::<Vec<_>>());
                assert!(order.rows(5, order.per_epoch()).is_empty());
            }
        }
        let order = Minibatches::new(1000, 10, 3).unwrap();
        assert_ne!(order.rows(0, 0), order.rows(1, 0));
        assert_eq!(order.rows(7, 3), order.rows(7, 3));
        assert_eq!(order.of_step(703), order.rows(7, 3));
    }

    #[test]
    fn every_row_and_pair_of_rows_comes_first_equally_often() {
        // 20 000 epochs of 10 rows in batches of 2: each of 45 pairs is expected 444 times with standard deviation 21. Six of them
        // for 45 pairs fail by chance with probability 1e-7.
        let order = Minibatches::new(10, 2, 11).unwrap();
        let mut counts = std::collections::HashMap::new();
        (0..20_000).for_each(|epoch| *counts.entry(order.rows(epoch, 0)).or_insert(0) += 1);
        assert_eq!(counts.len(), 45);
        assert!(counts.values().all(|c| (f64::from(*c) - 20_000.0 / 45.0).abs() < 6.0 * 21.0), "{counts:?}");
    }

    #[test]
    fn refusals() {
        assert!(Minibatches::new(0, 1, 0).is_err() && Minibatches::new(5, 0, 0).is_err() && Minibatches::new(5, 6, 0).is_err());
        let x = array![[1.0], [2.0]];
        assert!(Selection::new(&x, vec![]).is_err() && Selection::new(&x, vec![2]).is_err());
        assert!(Steps::RobbinsMonro { delay: 1.0, forgetting: 0.5 }.check().is_err());
        assert!(Steps::RobbinsMonro { delay: -1.0, forgetting: 0.7 }.check().is_err());
        assert!(Steps::Constant(0.0).check().is_err() && Steps::Constant(1.0).check().is_ok());
    }

    #[test]
    fn a_selection_reads_runs_and_single_rows() {
        let x = ndarray::Array2::from_shape_fn((9, 2), |(i, j)| (10 * i + j) as f64);
        let rows = vec![1, 2, 3, 6, 8];
        let chosen = Selection::new(&x, rows.clone()).unwrap();
        for (start, len) in [(0, 5), (1, 3), (4, 1)] {
            let mut out = ndarray::Array2::zeros((len, 2));
            chosen.read(start, out.view_mut()).unwrap();
            assert_eq!(out, x.select(Axis(0), &rows[start..start + len]));
        }
    }
}
