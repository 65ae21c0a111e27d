//! A `.npy` array that stays in its file, whichever way its bytes are come by.

use super::format::{DecoderWork, Layout};
use crate::columns::Choice;
use crate::error::{Error, ErrorKind, Result};
use crate::file_rows::{Bytes, OpenFile};
use crate::numbers::{data_columns, weights};
use crate::table::{ReadOptions, numbered_names};
use lvm_core::rows::Missing;
use ndarray::{Array1, Array2, ArrayViewMut2, Axis, Slice};
use std::io::BufReader;
use std::path::Path;

/// Rows read at a time where the columns of weights are read.
const WEIGHT_ROWS: usize = 4096;

/// An array in a file with the columns that are wanted of it.
#[derive(Debug)]
pub(crate) struct Stored<B> {
    bytes: B,
    layout: Layout,
    /// The columns of the file that are data, in order.
    data: Vec<usize>,
    pub(crate) columns: Vec<String>,
    pub(crate) weights: Option<Array1<f64>>,
    pub(crate) missing: Missing,
}

impl<B: Bytes> Stored<B> {
    /// Checks header, length, columns and weights; `bytes` is made of the file once it is known to be as long as its header says.
    pub(crate) fn open(path: &Path, options: &ReadOptions, bytes: impl FnOnce(OpenFile) -> Result<B>) -> Result<Self> {
        let file = OpenFile::open(path)?;
        let layout = Layout::read(path, &mut BufReader::new(file.rewound()?))?;
        if layout.rows == 0 || layout.cols == 0 {
            return Err(Error::new(path, ErrorKind::Empty));
        }
        let announced = layout.data_bytes().and_then(|bytes| bytes.checked_add(layout.offset));
        if announced != Some(file.length()) {
            let message = "the file is cut short or damaged: its length is not what its header announces";
            return Err(Error::format(path, message));
        }
        let names = numbered_names(layout.cols);
        let choice = Choice::new(path, &names, options)?;
        let data = data_columns(path, &choice, layout.cols)?;
        let columns = data.iter().map(|&j| names[j].clone()).collect();
        let mut stored = Stored { bytes: bytes(file)?, layout, data, columns, weights: None, missing: options.missing };
        if let Some(column) = choice.weights {
            stored.weights = Some(weights(path, &names[column], column, stored.whole_column(column)?.view())?);
        }
        Ok(stored)
    }

    /// N.
    pub(crate) fn n_rows(&self) -> usize {
        self.layout.rows
    }

    /// Fills `out` (B, D) with the rows from `start` on.
    pub(crate) fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        self.read_columns(&self.data, start, out)
    }

    fn whole_column(&self, column: usize) -> Result<Array1<f64>> {
        let mut all = Array2::zeros((self.layout.rows, 1));
        for start in (0..self.layout.rows).step_by(WEIGHT_ROWS) {
            let end = (start + WEIGHT_ROWS).min(self.layout.rows);
            self.read_columns(&[column], start, all.slice_axis_mut(Axis(0), Slice::from(start..end)))?;
        }
        Ok(all.column(0).to_owned())
    }

    fn read_columns(&self, columns: &[usize], start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        self.bytes.check_unchanged()?;
        if self.layout.fortran { self.read_fortran(columns, start, out) } else { self.read_c(columns, start, out) }
    }

    /// Column after column: one read for each.
    fn read_fortran(&self, columns: &[usize], start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
        let number = self.layout.number;
        let rows = out.nrows();
        for (mut to, &column) in out.axis_iter_mut(Axis(1)).zip(columns) {
            let first = (column * self.layout.rows + start) * number.size;
            self.bytes.with_bytes(self.layout.offset + first as u64, rows * number.size, |bytes| {
                number.decode(bytes, to.iter_mut());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Row after row: one read for all.
    fn read_c(&self, columns: &[usize], start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        let size = self.layout.number.size;
        let width = self.layout.cols * size;
        self.bytes.with_bytes(self.layout.offset + (start * width) as u64, out.nrows() * width, |bytes| {
            self.layout.number.with_decoder(Scatter { bytes, width, size, columns, out });
            Ok(())
        })
    }
}

/// The chosen columns of rows of `width` bytes each, into `out` (B, D).
struct Scatter<'a> {
    bytes: &'a [u8],
    width: usize,
    size: usize,
    columns: &'a [usize],
    out: ArrayViewMut2<'a, f64>,
}

impl DecoderWork for Scatter<'_> {
    type Output = ();
    fn run(mut self, decode: impl Fn(&[u8]) -> f64) {
        // Eight rows at a time: the lines of the file's rows stay in cache while the block's columns are filled.
        for (rows, mut out) in self.bytes.chunks(8 * self.width).zip(self.out.axis_chunks_iter_mut(Axis(0), 8)) {
            for (mut to, &column) in out.axis_iter_mut(Axis(1)).zip(self.columns) {
                let first = column * self.size;
                for (row, to) in rows.chunks_exact(self.width).zip(&mut to) {
                    *to = decode(&row[first..first + self.size]);
                }
            }
        }
    }
}
