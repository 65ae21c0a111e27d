//! A `.npy` file as a source of rows that stays on disk.

use super::format::{DecoderWork, Layout};
use crate::columns::Choice;
use crate::error::{Error, ErrorKind, Result};
use crate::file_rows::OpenFile;
use crate::numbers::{data_columns, weights};
use crate::table::{ReadOptions, numbered_names};
use lvm_core::rows::{Missing, RowSource};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2, Axis, Slice};
use std::io::BufReader;
use std::path::Path;

/// Rows read at a time where the columns of weights are read.
const WEIGHT_ROWS: usize = 4096;

/// The rows of a `.npy` file, read from disk block by block whenever they are asked for: memory does not grow with the file.
///
/// A fit gives the same answer, bit for bit, as with the whole array in memory. Every read checks that the file is still the one
/// that was opened.
///
/// ```
/// use lvm_core::rows::RowSource;
/// use lvm_data::{NpyRows, ReadOptions, output};
/// use ndarray::{Array2, array};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("x.npy");
/// output::write_npy(&path, &array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?;
/// let rows = NpyRows::open(&path, &ReadOptions::default())?;
/// let mut block = Array2::zeros((2, 2));
/// rows.read(1, block.view_mut())?;
/// assert_eq!(block, array![[3.0, 4.0], [5.0, 6.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpyRows {
    file: OpenFile,
    layout: Layout,
    /// The columns of the file that are data, in order.
    data: Vec<usize>,
    columns: Vec<String>,
    weights: Option<Array1<f64>>,
    missing: Missing,
}

impl NpyRows {
    /// Opens a `.npy` file with numbers of any type, in C or Fortran order. Columns are named x1 … xD.
    ///
    /// # Errors
    /// If the file can't be read, is no `.npy` file or is cut short, if it holds no numbers, if a column that the options name is
    /// not there, or if a weight can't be used. Cells are checked when they are read.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let path = path.as_ref();
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
        let mut rows = NpyRows { file, layout, data, columns, weights: None, missing: options.missing };
        if let Some(column) = choice.weights {
            rows.weights = Some(weights(path, &names[column], column, rows.whole_column(column)?.view())?);
        }
        Ok(rows)
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
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
        self.file.check_unchanged()?;
        if self.layout.fortran { self.read_fortran(columns, start, out) } else { self.read_c(columns, start, out) }
    }

    /// Column after column: one read for each.
    fn read_fortran(&self, columns: &[usize], start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
        let number = self.layout.number;
        let rows = out.nrows();
        for (mut to, &column) in out.axis_iter_mut(Axis(1)).zip(columns) {
            let first = (column * self.layout.rows + start) * number.size;
            self.file.with_bytes(self.layout.offset + first as u64, rows * number.size, |bytes| {
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
        self.file.with_bytes(self.layout.offset + (start * width) as u64, out.nrows() * width, |bytes| {
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

impl RowSource for NpyRows {
    fn n_rows(&self) -> usize {
        self.layout.rows
    }
    fn n_cols(&self) -> usize {
        self.data.len()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> lvm_core::Result<()> {
        Ok(self.read_columns(&self.data, start, out)?)
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.weights.as_ref().map(|w| w.view())
    }
    fn missing(&self) -> Missing {
        self.missing
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.columns.get(column).cloned()
    }
}
