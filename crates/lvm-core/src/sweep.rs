//! One pass over the rows, in parallel, with an answer that does not depend on the number of threads.
//!
//! The rows are cut into leaves whose number depends on the data alone; each leaf folds its blocks in order into an accumulator of its
//! own, and leaves are merged along a fixed binary tree. A block is a few hundred rows, column by column, small enough for the cache.

use crate::error::{Error, ErrorKind, Result};
use crate::rows::{Missing, RowSource, bad_cell};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder};
use rayon::prelude::*;

/// Sums that can be added.
pub trait Merge {
    /// Adds `other`, which comes from later rows.
    fn merge(&mut self, other: Self);
}

/// A run of consecutive rows, stored column by column.
pub struct Block<'a> {
    start: usize,
    rows: usize,
    cols: usize,
    x: &'a [f64],
    weights: Option<&'a [f64]>,
    /// Row numbers in the source; rows of weight zero are left out.
    numbers: Option<&'a [usize]>,
    has_missing: bool,
}

impl<'a> Block<'a> {
    /// Rows in this block.
    pub fn n_rows(&self) -> usize {
        self.rows
    }
    /// D.
    pub fn n_cols(&self) -> usize {
        self.cols
    }
    /// The block (B, D), in column-major order.
    pub fn x(&self) -> ArrayView2<'a, f64> {
        // invariant: x holds rows * cols numbers by construction
        ArrayView2::from_shape((self.rows, self.cols).f(), self.x).expect("block shape")
    }
    /// The numbers of the block, column after column.
    pub fn columns(&self) -> &'a [f64] {
        self.x
    }
    /// Column `j` of the block.
    pub fn column(&self, j: usize) -> &'a [f64] {
        &self.x[j * self.rows..(j + 1) * self.rows]
    }
    /// Row weights, all above zero, if the source has weights.
    pub fn weights(&self) -> Option<&'a [f64]> {
        self.weights
    }
    /// The number in the source of row `i` of the block.
    pub fn row_number(&self, i: usize) -> usize {
        self.numbers.map_or(self.start + i, |n| n[i])
    }
    /// Whether any entry is NaN (which then means missing).
    pub fn has_missing(&self) -> bool {
        self.has_missing
    }
    /// Refuses a row without an observed entry: such a row has log p(x) = 0 under every model, so a fit can learn nothing from it, and
    /// its place in N would only spoil BIC.
    ///
    /// # Errors
    /// [`ErrorKind::MissingRow`] for the first such row of the block.
    pub(crate) fn refuse_empty_row(&self) -> Result<()> {
        let empty = |i: &usize| (0..self.cols).all(|j| self.column(j)[*i].is_nan());
        match (0..self.rows).find(|i| self.has_missing && empty(i)) {
            Some(i) => Err(ErrorKind::MissingRow { row: self.row_number(i) }.into()),
            None => Ok(()),
        }
    }
}

/// A run of consecutive rows, stored row by row.
pub(crate) struct RowBlock<'a> {
    data: &'a dyn RowSource,
    start: usize,
    numbers: Option<&'a [usize]>,
    /// The rows, one after the other.
    pub(crate) x: &'a [f64],
    /// Rows in this block.
    pub(crate) rows: usize,
    /// Row weights, all above zero, if the source has weights.
    pub(crate) weights: Option<&'a [f64]>,
}

impl RowBlock<'_> {
    /// An error for the first cell that can't be used, if there is one.
    pub(crate) fn check(&self) -> Result<()> {
        let cols = self.data.n_cols();
        check_cells(self.data, self.x, (self.rows, cols), (cols, 1), |i| self.row_number(i)).map(|_| ())
    }
    /// The number in the source of row `i` of the block.
    pub(crate) fn row_number(&self, i: usize) -> usize {
        self.numbers.map_or(self.start + i, |n| n[i])
    }
}

/// How a pass is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Rows in a block.
    pub block_rows: usize,
    /// Leaves of the merge tree at most.
    pub leaves: usize,
}

impl Plan {
    /// Blocks of about 256 KiB (64 to 2048 rows), and as many leaves (4 to 64) as keep the accumulators, of `accumulator_bytes` each,
    /// within 16 MiB.
    pub fn new(cols: usize, accumulator_bytes: usize) -> Self {
        let block_rows = ((256 << 10) / (8 * cols.max(1))).next_power_of_two().clamp(64, 2048);
        let leaves = ((16 << 20) / accumulator_bytes.max(1)).clamp(4, 64);
        Plan { block_rows, leaves }
    }

    /// Rows of a leaf: a whole number of blocks.
    fn leaf_rows(&self, rows: usize) -> usize {
        rows.div_ceil(self.leaves).next_multiple_of(self.block_rows).max(self.block_rows)
    }
}

/// The buffers a leaf reads its blocks into.
struct Reader<'d> {
    data: &'d dyn RowSource,
    weights: Option<ArrayView1<'d, f64>>,
    x: Vec<f64>,
    w: Vec<f64>,
    numbers: Vec<usize>,
}

impl<'d> Reader<'d> {
    fn new(data: &'d dyn RowSource, weighted: bool) -> Self {
        let weights = if weighted { data.weights() } else { None };
        Reader { data, weights, x: Vec::new(), w: Vec::new(), numbers: Vec::new() }
    }

    /// Reads rows `start .. start + rows` column by column, leaves out those of weight zero, and checks every cell.
    fn block(&mut self, start: usize, rows: usize) -> Result<Block<'_>> {
        let cols = self.data.n_cols();
        self.x.resize(rows * cols, 0.0);
        // invariant: the buffer was just given this size
        let out = ArrayViewMut2::from_shape((rows, cols).f(), &mut self.x[..]).expect("block shape");
        self.data.read(start, out)?;
        let kept = self.present(start, rows);
        if kept < rows {
            compact(&mut self.x, start, rows, cols, &self.numbers);
        }
        let numbers = (kept < rows).then_some(&self.numbers[..]);
        let x = &self.x[..kept * cols];
        let has_missing = check_cells(self.data, x, (kept, 1), (cols, kept), |i| numbers.map_or(start + i, |n| n[i]))?;
        let weights = self.weights.map(|_| &self.w[..]);
        Ok(Block { start, rows: kept, cols, x, weights, numbers, has_missing })
    }

    /// As [`block`](Self::block), row by row, without checking the cells. Rows that lie in memory already are not copied.
    fn row_block(&mut self, start: usize, rows: usize) -> Result<RowBlock<'_>> {
        let (data, cols) = (self.data, self.data.n_cols());
        if self.weights.is_none()
            && let Some(x) = data.row_slice(start, rows)
        {
            return Ok(RowBlock { data, start, numbers: None, x, rows, weights: None });
        }
        self.x.resize(rows * cols, 0.0);
        // invariant: the buffer was just given this size
        let out = ArrayViewMut2::from_shape((rows, cols), &mut self.x[..]).expect("block shape");
        self.data.read(start, out)?;
        let kept = self.present(start, rows);
        if kept < rows {
            for (to, &row) in self.numbers.iter().enumerate() {
                self.x.copy_within((row - start) * cols..(row - start + 1) * cols, to * cols);
            }
        }
        let numbers = (kept < rows).then_some(&self.numbers[..]);
        let x = &self.x[..kept * cols];
        Ok(RowBlock { data, start, numbers, x, rows: kept, weights: self.weights.map(|_| &self.w[..]) })
    }

    /// Weights and numbers of the rows of weight above zero, if the source has weights; how many rows there are.
    fn present(&mut self, start: usize, rows: usize) -> usize {
        let Some(weights) = self.weights else { return rows };
        self.w.clear();
        self.numbers.clear();
        for row in start..start + rows {
            if weights[row] > 0.0 {
                self.w.push(weights[row]);
                self.numbers.push(row);
            }
        }
        self.w.len()
    }
}

/// Moves the rows named in `keep` to the front of every column and closes the gaps between columns.
fn compact(x: &mut [f64], start: usize, rows: usize, cols: usize, keep: &[usize]) {
    let mut to = 0;
    for j in 0..cols {
        for &row in keep {
            x[to] = x[j * rows + row - start];
            to += 1;
        }
    }
}

/// The largest magnitude whose square is far from overflow.
pub(crate) const LARGEST: f64 = 1e150;

/// Whether any cell is missing; an error for a cell that can't be used. Rows and columns are given as (how many, from one to the next).
fn check_cells(
    data: &dyn RowSource,
    x: &[f64],
    (rows, row_stride): (usize, usize),
    (cols, col_stride): (usize, usize),
    number: impl Fn(usize) -> usize,
) -> Result<bool> {
    // Eight running maxima let the compiler vectorise; NaN fails every comparison, so `!(|v| <= LARGEST)` finds all bad cells.
    let bad = x.chunks(1024).any(|c| c.iter().fold(false, |bad, v| bad | !(v.abs() <= LARGEST)));
    if !bad {
        return Ok(false);
    }
    let integrate = data.missing() == Missing::Integrate;
    for i in 0..rows {
        for j in 0..cols {
            let value = x[i * row_stride + j * col_stride];
            let usable = value.abs() <= LARGEST || (value.is_nan() && integrate);
            if !usable {
                return Err(bad_cell(data, number(i), j, value));
            }
        }
    }
    Ok(true)
}

/// Checks that there is a table at all and, where a model is given data, that it has the model's number of columns.
///
/// # Errors
/// [`ErrorKind::Empty`] or [`ErrorKind::Shape`].
pub fn check_shape(data: &dyn RowSource, cols: Option<usize>) -> Result<()> {
    if let Some(expected) = cols
        && data.n_cols() != expected
    {
        return Err(ErrorKind::Shape { what: "number of columns of the data", expected, found: data.n_cols() }.into());
    }
    if data.n_rows() == 0 || data.n_cols() == 0 {
        return Err(ErrorKind::Empty.into());
    }
    Ok(())
}

/// Folds all rows of weight above zero into one accumulator.
///
/// `new` makes an empty accumulator (with whatever scratch space `fold` wants to keep in it), `fold` adds a block.
///
/// # Errors
/// The error of the first row that can't be read or used, or the first of `fold`, in row order.
pub fn sweep<A, N, F>(data: &dyn RowSource, plan: Plan, new: N, fold: F) -> Result<A>
where
    A: Merge + Send,
    N: Fn() -> A + Sync,
    F: Fn(&mut A, &Block<'_>) -> Result<()> + Sync,
{
    leaves(data, plan, new, |total, reader, start, n| {
        let block = reader.block(start, n)?;
        if block.n_rows() > 0 { fold(total, &block) } else { Ok(()) }
    })
}

/// As [`sweep`] over blocks that are stored row by row.
pub(crate) fn sweep_by_row<A, N, F>(data: &dyn RowSource, plan: Plan, new: N, fold: F) -> Result<A>
where
    A: Merge + Send,
    N: Fn() -> A + Sync,
    F: Fn(&mut A, &RowBlock<'_>) -> Result<()> + Sync,
{
    sweep_unchecked(data, plan, new, |total, block| {
        block.check()?;
        fold(total, block)
    })
}

/// As [`sweep_by_row`], for a fold that finds out for itself whether to call [`RowBlock::check`], or is not the first to meet the rows.
pub(crate) fn sweep_unchecked<A, N, F>(data: &dyn RowSource, plan: Plan, new: N, fold: F) -> Result<A>
where
    A: Merge + Send,
    N: Fn() -> A + Sync,
    F: Fn(&mut A, &RowBlock<'_>) -> Result<()> + Sync,
{
    leaves(data, plan, new, |total, reader, start, n| {
        let block = reader.row_block(start, n)?;
        if block.rows > 0 { fold(total, &block) } else { Ok(()) }
    })
}

/// Folds all rows; `add` reads and adds the block that begins at a row and has this many rows.
fn leaves<A, N, F>(data: &dyn RowSource, plan: Plan, new: N, add: F) -> Result<A>
where
    A: Merge + Send,
    N: Fn() -> A + Sync,
    F: Fn(&mut A, &mut Reader<'_>, usize, usize) -> Result<()> + Sync,
{
    check_shape(data, None)?;
    let rows = data.n_rows();
    let leaf_rows = plan.leaf_rows(rows);
    let leaf = |index: usize| -> Result<A> {
        let end = ((index + 1) * leaf_rows).min(rows);
        let mut total = new();
        let mut reader = Reader::new(data, true);
        for start in (index * leaf_rows..end).step_by(plan.block_rows) {
            add(&mut total, &mut reader, start, plan.block_rows.min(end - start))?;
        }
        Ok(total)
    };
    tree(0, rows.div_ceil(leaf_rows), &leaf)
}

/// Leaves `first .. end`, merged in order along a binary tree.
fn tree<A: Merge + Send>(first: usize, end: usize, leaf: &(impl Fn(usize) -> Result<A> + Sync)) -> Result<A> {
    if end - first == 1 {
        return leaf(first);
    }
    let middle = first + (end - first).div_ceil(2);
    let (left, right) = rayon::join(|| tree(first, middle, leaf), || tree(middle, end, leaf));
    let mut left = left?;
    left.merge(right?);
    Ok(left)
}

/// Computes `width` numbers for every row, whatever its weight; (N, width).
///
/// # Errors
/// As [`sweep`].
pub fn map_rows<S, N, F>(data: &dyn RowSource, width: usize, new: N, map: F) -> Result<Array2<f64>>
where
    N: Fn() -> S + Sync,
    F: Fn(&mut S, &Block<'_>, ArrayViewMut2<'_, f64>) -> Result<()> + Sync,
{
    check_shape(data, None)?;
    let plan = Plan::new(data.n_cols(), 0);
    let mut out = Array2::zeros((data.n_rows(), width));
    let failures: Vec<Error> = out
        .axis_chunks_iter_mut(Axis(0), plan.block_rows)
        .into_par_iter()
        .enumerate()
        .map_init(
            || (Reader::new(data, false), new()),
            |(reader, scratch), (index, chunk)| {
                let block = reader.block(index * plan.block_rows, chunk.nrows())?;
                map(scratch, &block, chunk)
            },
        )
        .filter_map(Result::err)
        .collect();
    match failures.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;
    use ndarray::{Array1, Array2, array};

    struct Sum(f64, usize);
    impl Merge for Sum {
        fn merge(&mut self, other: Self) {
            self.0 += other.0;
            self.1 += other.1;
        }
    }

    fn total(data: &dyn RowSource, plan: Plan) -> Result<Sum> {
        sweep(
            data,
            plan,
            || Sum(0.0, 0),
            |a, b| {
                a.0 += b.x().sum();
                a.1 += b.n_rows();
                Ok(())
            },
        )
    }

    #[test]
    fn every_row_is_met_once_at_all_block_edges() {
        for rows in [1, 2, 63, 64, 65, 127, 128, 129, 1000] {
            let x = Array2::from_shape_fn((rows, 3), |(i, j)| (i * 3 + j) as f64);
            let n = rows * 3;
            let sum = total(&x, Plan { block_rows: 64, leaves: 4 }).unwrap();
            assert_eq!(sum.0, (n * (n - 1) / 2) as f64);
            assert_eq!(sum.1, rows);
        }
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let x = Array2::from_shape_fn((5000, 3), |(i, j)| ((i * 7 + j) as f64).sin() * 1e3);
        let sums: Vec<u64> = [1, 2, 7]
            .iter()
            .map(|&threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| total(&x, Plan { block_rows: 64, leaves: 16 }).unwrap().0.to_bits())
            })
            .collect();
        assert_eq!(sums[0], sums[1]);
        assert_eq!(sums[0], sums[2]);
    }

    #[test]
    fn rows_of_weight_zero_are_not_there_even_when_nan() {
        let x = array![[1.0, 2.0], [f64::NAN, 5.0], [3.0, 4.0]];
        let w = array![1.0, 0.0, 2.0];
        let rows = Rows::new(&x).weighted(w.view()).unwrap();
        let sum = total(&rows, Plan::new(2, 0)).unwrap();
        assert_eq!((sum.0, sum.1), (10.0, 2));
    }

    #[test]
    fn a_bad_cell_is_named() {
        let mut x = Array2::zeros((3000, 4));
        x[[2500, 3]] = f64::NAN;
        let error = total(&x, Plan::new(4, 0)).err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::NotANumber { row: 2500, column: 3, .. }));
        assert!(total(&Rows::new(&x).missing_as_nan(), Plan::new(4, 0)).is_ok());
        x[[7, 0]] = f64::INFINITY;
        let error = total(&Rows::new(&x).missing_as_nan(), Plan::new(4, 0)).err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Infinite { row: 7, column: 0, .. }));
    }

    #[test]
    fn map_rows_keeps_row_order_and_ignores_weights() {
        let x = Array2::from_shape_fn((5000, 20), |(i, _)| i as f64);
        let w = Array1::from_shape_fn(5000, |i| (i % 2) as f64);
        let rows = Rows::new(&x).weighted(w.view()).unwrap();
        let out = map_rows(
            &rows,
            1,
            || (),
            |(), b, mut o| {
                o.column_mut(0).assign(&b.x().column(0));
                Ok(())
            },
        )
        .unwrap();
        assert!(out.column(0).iter().enumerate().all(|(i, v)| *v == i as f64));
    }
}
