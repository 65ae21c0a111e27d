//! The rows of a source that are there.

use lvm_core::Result;
use lvm_core::rows::{Missing, RowSource, n_present};
use ndarray::{Array1, ArrayView1, ArrayViewMut2, Axis};

/// The rows of weight above zero, so that what stands in the others is never read.
pub(crate) struct Present<'a> {
    source: &'a dyn RowSource,
    rows: Vec<usize>,
    weights: Option<Array1<f64>>,
}

impl<'a> Present<'a> {
    pub(crate) fn of(source: &'a dyn RowSource) -> Self {
        let all = n_present(source) == source.n_rows();
        let there = |n: &usize| all || source.weights().is_none_or(|w| w[*n] > 0.0);
        let rows: Vec<usize> = (0..source.n_rows()).filter(there).collect();
        let weights = source.weights().map(|w| w.select(Axis(0), &rows));
        Present { source, rows, weights }
    }
}

impl RowSource for Present<'_> {
    fn n_rows(&self) -> usize {
        self.rows.len()
    }
    fn n_cols(&self) -> usize {
        self.source.n_cols()
    }
    fn read(&self, start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
        let n = out.nrows();
        if n > 0 && self.rows[start + n - 1] - self.rows[start] == n - 1 {
            return self.source.read(self.rows[start], out);
        }
        for (i, mut row) in out.axis_chunks_iter_mut(Axis(0), 1).enumerate() {
            self.source.read(self.rows[start + i], row.view_mut())?;
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
