//! Rows to find starting points with: all of them, or a random sample of a large table, on standardised columns.

use crate::error::Result;
use crate::gmm::columns::Columns;
use crate::random::Stream;
use crate::rows::RowSource;
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array2, ArrayView1, Axis};
use rand::RngExt;

/// Standardised rows in memory; NaN where an entry is missing.
pub(super) struct Sample {
    /// (M, D).
    pub(super) x: Array2<f64>,
    /// Row weights (M).
    pub(super) weights: Vec<f64>,
}

/// Numbers in a sample at most: 16 MiB.
const NUMBERS: usize = 2 << 20;

/// Rows gathered in order.
struct Rows {
    x: Vec<f64>,
    weights: Vec<f64>,
}

impl Merge for Rows {
    fn merge(&mut self, mut other: Self) {
        self.x.append(&mut other.x);
        self.weights.append(&mut other.weights);
    }
}

impl Sample {
    /// All rows if they are few enough, else a random choice of at least 4096, and 16 for each of the `k` components.
    pub(super) fn draw(data: &dyn RowSource, columns: &Columns, k: usize, rng: &mut Stream) -> Result<Self> {
        let d = data.n_cols();
        let wanted = (NUMBERS / d).clamp(4096, 65536).max(16 * k);
        let chosen = if columns.rows <= wanted { None } else { Some(choose(data, columns, wanted, rng)) };
        let scale = columns.variance.mapv(|v| if v > 0.0 { v.sqrt() } else { 1.0 });
        let new = || Rows { x: Vec::new(), weights: Vec::new() };
        let rows = sweep(data, Plan::new(d, 0), new, |rows, block| {
            for i in 0..block.n_rows() {
                if chosen.as_ref().is_none_or(|c| c.binary_search(&block.row_number(i)).is_ok()) {
                    rows.x.extend((0..d).map(|j| (block.column(j)[i] - columns.mean[j]) / scale[j]));
                    rows.weights.push(block.weights().map_or(1.0, |w| w[i]));
                }
            }
            Ok(())
        })?;
        let m = rows.weights.len();
        // invariant: d numbers were pushed with each weight
        Ok(Sample { x: Array2::from_shape_vec((m, d), rows.x).expect("sample shape"), weights: rows.weights })
    }

    /// A row chosen with probability proportional to weight times `factor`; any, if all products are zero.
    pub(super) fn pick(&self, factor: &[f64], rng: &mut Stream) -> usize {
        let total: f64 = self.weights.iter().zip(factor).map(|(w, f)| w * f).sum();
        let ones = vec![1.0; if total > 0.0 { 0 } else { factor.len() }];
        let (factor, total) = if total > 0.0 { (factor, total) } else { (&ones[..], self.weights.iter().sum()) };
        let u: f64 = rng.random::<f64>() * total;
        let (mut sum, mut last) = (0.0, 0);
        for (i, (w, f)) in self.weights.iter().zip(factor).enumerate() {
            if w * f > 0.0 {
                last = i;
                sum += w * f;
                if u < sum {
                    break;
                }
            }
        }
        last
    }

    /// `k` rows of the sample, (k, D), different from each other as long as there are different ones, with zeros for missing entries.
    pub(super) fn distinct_rows(&self, k: usize, rng: &mut Stream) -> Array2<f64> {
        let mut open = vec![1.0; self.weights.len()];
        let mut out = Array2::zeros((k, self.x.ncols()));
        for mut centre in out.outer_iter_mut() {
            let row = self.pick(&open, rng);
            centre.assign(&complete(self.x.row(row)));
            // rows equal to this one are used up
            for (open, x) in open.iter_mut().zip(self.x.outer_iter()) {
                if x.iter().zip(self.x.row(row)).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())) {
                    *open = 0.0;
                }
            }
        }
        out
    }

    /// Centres (K, D) in the units of the data.
    pub(super) fn to_data(&self, centres: &Array2<f64>, columns: &Columns) -> Array2<f64> {
        let scale = columns.variance.mapv(|v| if v > 0.0 { v.sqrt() } else { 1.0 });
        centres * &scale.insert_axis(Axis(0)) + &columns.mean
    }
}

/// Row numbers, ascending.
fn choose(data: &dyn RowSource, columns: &Columns, wanted: usize, rng: &mut Stream) -> Vec<usize> {
    // rows of weight zero fall out of the sweep: draw as many more
    let n = data.n_rows();
    let amount = ((wanted as f64 * n as f64 / columns.rows as f64).ceil() as usize).min(n);
    let mut chosen = rand::seq::index::sample(rng, n, amount).into_vec();
    chosen.sort_unstable();
    chosen
}

/// A row with the mean, zero, for missing entries.
pub(super) fn complete(row: ArrayView1<'_, f64>) -> ndarray::Array1<f64> {
    row.mapv(|v| if v.is_nan() { 0.0 } else { v })
}
