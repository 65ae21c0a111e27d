//! Where rows come from: an array in memory, a file, a weighted or partly missing table, all behind [`RowSource`].
//!
//! Parameters and sums are f64 always; a source of f32 rows is widened block by block, so an f32 table and the same numbers in f64
//! give the same answer, bit for bit, without a copy of the table.

use crate::error::{Error, ErrorKind, Result};
use ndarray::{ArrayBase, ArrayRef, ArrayView1, ArrayViewMut2, Axis, Data, Ix2, Slice};

/// What NaN means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// An error that names row and column.
    #[default]
    Refuse,
    /// A missing entry, integrated out exactly.
    Integrate,
}

/// A table of N rows and D columns that can deliver any range of its rows.
///
/// Implemented by ndarray arrays and views of f32 and f64, by [`Rows`] (weights, missing entries), and by the file readers of
/// `lvm-data`. Ranges are asked for from several threads at once.
///
/// ```
/// use lvm_core::{Result, moments::mean_and_variances, rows::RowSource};
/// use ndarray::{ArrayViewMut2, array};
/// /// Rows (n, 2n), made when they are asked for.
/// struct Line(usize);
/// impl RowSource for Line {
///     fn n_rows(&self) -> usize { self.0 }
///     fn n_cols(&self) -> usize { 2 }
///     fn read(&self, start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
///         for (i, mut row) in out.rows_mut().into_iter().enumerate() {
///             row[0] = (start + i) as f64;
///             row[1] = 2.0 * row[0];
///         }
///         Ok(())
///     }
/// }
/// let (weight, mean, variances) = mean_and_variances(&Line(4))?;
/// assert_eq!((weight, mean, variances), (4.0, array![1.5, 3.0], array![1.25, 5.0]));
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub trait RowSource: Sync {
    /// N.
    fn n_rows(&self) -> usize;
    /// D.
    fn n_cols(&self) -> usize;
    /// Writes rows `start .. start + out.nrows()` into `out` (B, D).
    ///
    /// # Errors
    /// If the rows can't be read ([`ErrorKind::Source`]).
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()>;
    /// Rows `start .. start + rows` one after another, if they lie so in memory as f64: what [`read`](Self::read) would copy. It saves
    /// that copy and never changes an answer.
    fn row_slice(&self, _start: usize, _rows: usize) -> Option<&[f64]> {
        None
    }
    /// Row weights (N), if any: weight w means that the row stands w times; weight 0 that it is not there.
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        None
    }
    /// What NaN means in this source.
    fn missing(&self) -> Missing {
        Missing::Refuse
    }
    /// The name of a column, for messages.
    fn column_name(&self, _column: usize) -> Option<String> {
        None
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A number type that tables are made of: f32 or f64.
pub trait Element: Copy + Send + Sync + sealed::Sealed + 'static {
    /// The same number in f64.
    fn widen(self) -> f64;
    /// The same numbers in f64, if that is what they are.
    fn as_f64(numbers: &[Self]) -> Option<&[f64]>;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
    fn as_f64(_: &[f32]) -> Option<&[f64]> {
        None
    }
}

impl Element for f64 {
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
    fn as_f64(numbers: &[f64]) -> Option<&[f64]> {
        Some(numbers)
    }
}

fn read_array<E: Element>(x: &ArrayRef<E, Ix2>, start: usize, mut out: ArrayViewMut2<'_, f64>) {
    let (rows, cols) = out.dim();
    if out.is_empty() {
        return;
    }
    let source = x.slice_axis(Axis(0), Slice::from(start..start + rows));
    let mut columns = out.view_mut().reversed_axes();
    match (source.to_slice(), columns.as_slice_mut()) {
        (Some(source), Some(columns)) => transpose(source, cols, columns, rows),
        _ => out.zip_mut_with(&source, |o, &v| *o = v.widen()),
    }
}

/// Row-major (rows, cols) to column-major, eight by eight: every cache line is met once on either side.
fn transpose<E: Element>(source: &[E], cols: usize, columns: &mut [f64], rows: usize) {
    const SIDE: usize = 8;
    let (whole_rows, whole_cols) = (rows - rows % SIDE, cols - cols % SIDE);
    for j in (0..whole_cols).step_by(SIDE) {
        for i in (0..whole_rows).step_by(SIDE) {
            let lines: [&[E; SIDE]; SIDE] = std::array::from_fn(|r| {
                // invariant: eight numbers were cut out
                source[(i + r) * cols + j..][..SIDE].try_into().expect("eight numbers")
            });
            for c in 0..SIDE {
                let out = &mut columns[(j + c) * rows + i..][..SIDE];
                for r in 0..SIDE {
                    out[r] = lines[r][c].widen();
                }
            }
        }
    }
    for (i, line) in source.chunks_exact(cols).enumerate() {
        // the last columns of all rows, and the last rows whole
        let first = if i < whole_rows { whole_cols } else { 0 };
        for (j, v) in line.iter().enumerate().skip(first) {
            columns[j * rows + i] = v.widen();
        }
    }
}

impl<E: Element, S: Data<Elem = E> + Sync> RowSource for ArrayBase<S, Ix2> {
    fn n_rows(&self) -> usize {
        self.nrows()
    }
    fn n_cols(&self) -> usize {
        self.ncols()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        read_array(self, start, out);
        Ok(())
    }
    fn row_slice(&self, start: usize, rows: usize) -> Option<&[f64]> {
        self.slice_axis(Axis(0), Slice::from(start..start + rows)).to_slice().and_then(E::as_f64)
    }
}

/// A source with row weights or with NaN meaning missing.
///
/// ```
/// use lvm_core::rows::{Missing, RowSource, Rows};
/// use ndarray::array;
/// let x = array![[1.0, f64::NAN], [2.0, 3.0]];
/// let weights = array![1.0, 3.0];
/// let rows = Rows::new(&x).missing_as_nan().weighted(weights.view())?;
/// assert_eq!(rows.missing(), Missing::Integrate);
/// assert_eq!(rows.weights().unwrap().sum(), 4.0);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    source: &'a dyn RowSource,
    weights: Option<ArrayView1<'a, f64>>,
    missing: Missing,
}

impl<'a> Rows<'a> {
    /// The rows of `source` as they are.
    pub fn new(source: &'a dyn RowSource) -> Self {
        Rows { source, weights: source.weights(), missing: source.missing() }
    }

    /// The same rows with NaN meaning missing.
    pub fn missing_as_nan(mut self) -> Self {
        self.missing = Missing::Integrate;
        self
    }

    /// The same rows, each standing as often as its weight says.
    ///
    /// # Errors
    /// If there is not exactly one weight a row, if a weight is negative or not finite, or if all are zero.
    pub fn weighted(mut self, weights: ArrayView1<'a, f64>) -> Result<Self> {
        if weights.len() != self.n_rows() {
            return Err(ErrorKind::Shape { what: "number of row weights", expected: self.n_rows(), found: weights.len() }.into());
        }
        if let Some((row, &value)) = weights.iter().enumerate().find(|(_, w)| !w.is_finite() || **w < 0.0) {
            return Err(ErrorKind::Weight { row, value }.into());
        }
        if !weights.iter().any(|w| *w > 0.0) {
            return Err(ErrorKind::NoWeight.into());
        }
        self.weights = Some(weights);
        Ok(self)
    }
}

impl RowSource for Rows<'_> {
    fn n_rows(&self) -> usize {
        self.source.n_rows()
    }
    fn n_cols(&self) -> usize {
        self.source.n_cols()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        self.source.read(start, out)
    }
    fn row_slice(&self, start: usize, rows: usize) -> Option<&[f64]> {
        self.source.row_slice(start, rows)
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.weights
    }
    fn missing(&self) -> Missing {
        self.missing
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.source.column_name(column)
    }
}

/// The error for a cell that can't be used.
pub(crate) fn bad_cell(data: &dyn RowSource, row: usize, column: usize, value: f64) -> Error {
    let name = data.column_name(column);
    if value.is_nan() {
        ErrorKind::NotANumber { row, column, name }.into()
    } else if value.is_infinite() {
        ErrorKind::Infinite { row, column, name }.into()
    } else {
        ErrorKind::TooLarge { row, column, value }.into()
    }
}

/// The total weight of the rows: N, or the sum of the weights.
pub fn total_weight(data: &dyn RowSource) -> f64 {
    data.weights().map_or(data.n_rows() as f64, |w| w.sum())
}

/// The number of rows that are there at all (weight above zero).
pub fn n_present(data: &dyn RowSource) -> usize {
    data.weights().map_or(data.n_rows(), |w| w.iter().filter(|w| **w > 0.0).count())
}
