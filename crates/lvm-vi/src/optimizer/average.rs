//! Averages over the last half of a run, in memory that does not grow with it.

use serde::{Deserialize, Serialize};

/// Batches kept at most; when there are as many, neighbours are joined and batches are twice as long from then on.
const MOST: usize = 32;

/// Means of consecutive batches of iterates. The second half of them is the tail, whose mean is the Polyak-Ruppert average; their spread
/// tells its standard error, however the iterates depend on each other, once a batch is longer than they remember.
///
/// ```
/// use lvm_vi::optimizer::TailAverage;
/// let mut average = TailAverage::new(1, 1);
/// for t in 0..8 {
///     average.push(&[t as f64]);
/// }
/// assert_eq!(average.mean(), Some(vec![5.5])); // of 4, 5, 6, 7
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TailAverage {
    length: u64,
    filled: u64,
    /// Sum of the batch being filled.
    sum: Vec<f64>,
    /// Sum of squares about `origin` of the batch being filled.
    squares: Vec<f64>,
    /// The first iterate, about which squares are taken.
    origin: Vec<f64>,
    means: Vec<Vec<f64>>,
    mean_squares: Vec<Vec<f64>>,
}

impl TailAverage {
    /// Nothing yet, of vectors of n entries in batches of `length` at first.
    pub fn new(n: usize, length: u64) -> Self {
        let zeros = vec![0.0; n];
        TailAverage {
            length: length.max(1),
            filled: 0,
            sum: zeros.clone(),
            squares: zeros,
            origin: Vec::new(),
            means: Vec::new(),
            mean_squares: Vec::new(),
        }
    }

    /// Adds an iterate; whether a batch was completed by it.
    pub fn push(&mut self, x: &[f64]) -> bool {
        if self.origin.is_empty() {
            self.origin.extend_from_slice(x);
        }
        for (((s, q), x), o) in self.sum.iter_mut().zip(&mut self.squares).zip(x).zip(&self.origin) {
            *s += x;
            *q += (x - o) * (x - o);
        }
        self.filled += 1;
        if self.filled < self.length {
            return false;
        }
        let scale = 1.0 / self.length as f64;
        self.means.push(self.sum.iter().map(|s| s * scale).collect());
        self.mean_squares.push(self.squares.iter().map(|s| s * scale).collect());
        self.sum.fill(0.0);
        self.squares.fill(0.0);
        self.filled = 0;
        if self.means.len() == MOST {
            join_neighbours(&mut self.means);
            join_neighbours(&mut self.mean_squares);
            self.length *= 2;
        }
        true
    }

    /// Completed batches.
    pub fn batches(&self) -> usize {
        self.means.len()
    }

    /// Iterates in a batch.
    pub fn batch_length(&self) -> u64 {
        self.length
    }

    /// The means of the batches of the second half, none if there are fewer than two batches.
    pub fn tail(&self) -> &[Vec<f64>] {
        &self.means[self.means.len() - self.means.len() / 2..]
    }

    /// The mean over the tail.
    pub fn mean(&self) -> Option<Vec<f64>> {
        mean(self.tail())
    }

    /// The variance of single iterates over the tail.
    pub fn variance(&self) -> Option<Vec<f64>> {
        let squares = mean(&self.mean_squares[self.mean_squares.len() - self.mean_squares.len() / 2..])?;
        let average = self.mean()?;
        Some(squares.iter().zip(&average).zip(&self.origin).map(|((q, m), o)| (q - (m - o).powi(2)).max(0.0)).collect())
    }
}

fn mean(rows: &[Vec<f64>]) -> Option<Vec<f64>> {
    let mut sum = rows.first()?.clone();
    for row in &rows[1..] {
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
    }
    sum.iter_mut().for_each(|s| *s /= rows.len() as f64);
    Some(sum)
}

fn join_neighbours(rows: &mut Vec<Vec<f64>>) {
    let joined = rows.chunks_exact(2).map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| 0.5 * (a + b)).collect()).collect();
    *rows = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_double_and_the_tail_is_the_second_half() {
        let mut average = TailAverage::new(1, 1);
        for t in 0..256 {
            average.push(&[f64::from(t)]);
        }
        // 32 of 1 joined to 16 of 2, at 64 to 16 of 4, at 128 to 16 of 8, at 256 to 16 of 16
        assert_eq!((average.batches(), average.batch_length()), (16, 16));
        assert_eq!(average.mean().unwrap(), vec![191.5]);
        // Var of 128 … 255
        assert!((average.variance().unwrap()[0] - (128.0 * 128.0 - 1.0) / 12.0).abs() < 1e-9);
    }
}
