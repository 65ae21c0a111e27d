//! A first look at a table with missing entries.

use crate::error::{ErrorKind, Result};
use crate::rows::{RowSource, n_present};
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, ArrayView1, ArrayViewMut2};

/// Counts, means and variances of the observed entries of each column.
pub(super) struct Survey {
    /// Whether no entry is missing.
    pub(super) complete: bool,
    /// Mean of the observed entries (D).
    pub(super) mean: Array1<f64>,
    /// Their variance (D).
    pub(super) variances: Array1<f64>,
}

struct Sums {
    weight: Array1<f64>,
    first: Array1<f64>,
    second: Array1<f64>,
    complete: bool,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.weight += &other.weight;
        self.first += &other.first;
        self.second += &other.second;
        self.complete &= other.complete;
    }
}

/// Sums of the observed entries about a centre.
fn pass(data: &dyn RowSource, centre: &Array1<f64>) -> Result<Sums> {
    let d = data.n_cols();
    sweep(
        data,
        Plan::new(d, 24 * d),
        || Sums { weight: Array1::zeros(d), first: Array1::zeros(d), second: Array1::zeros(d), complete: true },
        |sums, block| {
            block.refuse_empty_row()?;
            sums.complete &= !block.has_missing();
            for j in 0..d {
                for (i, value) in block.column(j).iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    let (w, e) = (block.weights().map_or(1.0, |w| w[i]), value - centre[j]);
                    sums.weight[j] += w;
                    sums.first[j] += w * e;
                    sums.second[j] += w * e * e;
                }
            }
            Ok(())
        },
    )
}

impl Survey {
    /// Two passes: the second is about the means of the first.
    pub(super) fn of(data: &dyn RowSource) -> Result<Self> {
        let first = pass(data, &Array1::zeros(data.n_cols()))?;
        let n = n_present(data);
        if n < 2 {
            return Err(ErrorKind::TooFewRows { rows: n, needed: 2, why: "a variance" }.into());
        }
        if let Some(column) = first.weight.iter().position(|w| *w <= 0.0) {
            return Err(ErrorKind::MissingColumn { column, name: data.column_name(column) }.into());
        }
        let rough = &first.first / &first.weight;
        let sums = pass(data, &rough)?;
        let shift = &sums.first / &sums.weight;
        let variances = (&sums.second / &sums.weight - &shift * &shift).mapv_into(|v| v.max(0.0));
        let mean = rough + shift;
        // a column of equal entries has no variance beyond the rounding of its mean
        let varies = variances.iter().zip(&mean).any(|(v, m)| *v > (4.0 * f64::EPSILON * m).powi(2));
        if !varies {
            return Err(ErrorKind::NoVariation.into());
        }
        Ok(Survey { complete: sums.complete, mean, variances })
    }
}

/// A table with missing entries replaced by column means.
pub(super) struct MeanFilled<'a> {
    pub(super) data: &'a dyn RowSource,
    pub(super) mean: &'a Array1<f64>,
}

impl RowSource for MeanFilled<'_> {
    fn n_rows(&self) -> usize {
        self.data.n_rows()
    }
    fn n_cols(&self) -> usize {
        self.data.n_cols()
    }
    fn read(&self, start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
        self.data.read(start, out.view_mut())?;
        for (mut column, mean) in out.columns_mut().into_iter().zip(self.mean) {
            column.mapv_inplace(|v| if v.is_nan() { *mean } else { v });
        }
        Ok(())
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.data.weights()
    }
}
