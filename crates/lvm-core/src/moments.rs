//! Mean and scatter of complete rows, in one pass about a provisional centre: never as `E[x²] − μ²`.
//!
//! With c the mean of a few rows and δ = x̄ − c, the scatter about the mean is the scatter about c less N δ δᵀ. That subtraction is
//! harmless while δ is small beside the spread; where it is not, a second pass is made about the mean itself.

mod whole;

use crate::error::{Error, ErrorKind, Result};
use crate::linalg;
use crate::mutant::planted;
use crate::rows::{Missing, RowSource, n_present};
use crate::simd::{Strips, Weighted};
use crate::sweep::{Merge, Plan, check_shape, sweep, sweep_by_row};
use ndarray::{Array1, Array2, ArrayView1, Axis};
pub(crate) use whole::moments as whole_numbers;

/// First and second moments of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// N, the total weight.
    pub weight: f64,
    /// Rows of weight above zero.
    pub rows: usize,
    /// x̄ (D).
    pub mean: Array1<f64>,
    /// S = Σ_n w_n (x_n − x̄)(x_n − x̄)ᵀ / N (D, D): the maximum-likelihood covariance.
    pub covariance: Array2<f64>,
}

/// Rows in each of the runs that the provisional centre is taken from, and their number.
const RUN: usize = 32;
const RUNS: usize = 8;

/// Shows at most 256 usable rows spread over the table.
fn for_some_rows(data: &dyn RowSource, mut visit: impl FnMut(ArrayView1<'_, f64>)) -> Result<()> {
    check_shape(data, None)?;
    let (n, d) = (data.n_rows(), data.n_cols());
    let weights = data.weights();
    let mut buffer = Array2::zeros((RUN.min(n), d));
    for run in 0..n.div_ceil(RUN).min(RUNS) {
        let start = run * (n - buffer.nrows()) / (RUNS - 1);
        data.read(start, buffer.view_mut())?;
        for (i, row) in buffer.axis_iter(Axis(0)).enumerate() {
            if weights.as_ref().is_none_or(|w| w[start + i] > 0.0) && row.iter().all(|v| v.is_finite()) {
                visit(row);
            }
        }
    }
    Ok(())
}

/// The mean of at most 256 rows spread over the table: a centre near the data, exact for a constant column.
pub(crate) fn provisional_centre(data: &dyn RowSource) -> Result<Array1<f64>> {
    let d = data.n_cols();
    let mut first: Option<Array1<f64>> = None;
    let (mut sum, mut count): (Array1<f64>, f64) = (Array1::zeros(d), 0.0);
    for_some_rows(data, |row| {
        let first = first.get_or_insert_with(|| row.to_owned());
        sum += &(&row - &*first);
        count += 1.0;
    })?;
    Ok(match first {
        Some(first) => first + sum / count,
        None => Array1::zeros(d),
    })
}

/// Sums about a centre, with room for the rows of a block.
struct Sums {
    weight: f64,
    /// Σ w (x − c).
    first: Array1<f64>,
    /// Σ w (x − c)(x − c)ᵀ: the lower triangle (D, D), or the diagonal alone (D, 1).
    second: Array2<f64>,
    strips: Strips,
    rows: Vec<u32>,
    buffer: Vec<f64>,
}

impl Sums {
    fn zeros(d: usize, columns: usize) -> Self {
        let (first, second) = (Array1::zeros(d), Array2::zeros((d, columns)));
        Sums { weight: 0.0, first, second, strips: Strips::default(), rows: Vec::new(), buffer: Vec::new() }
    }

    /// Adds the rows that have not come together to a product yet.
    fn flush(&mut self) {
        // invariant: made in row-major order by `Sums::zeros`
        self.strips.flush(self.second.as_slice_mut().expect("row-major"));
    }
}

impl Merge for Sums {
    fn merge(&mut self, mut other: Self) {
        self.flush();
        other.flush();
        self.weight += other.weight;
        self.first += &other.first;
        self.second += &other.second;
    }
}

/// What second moments are wanted.
#[derive(Clone, Copy, PartialEq)]
enum Second {
    Covariance,
    Variances,
}

/// Blocks of about 32 KiB, 8 rows at least. Gathering walks a block a few columns at a time, down all its rows: of many long rows each would
/// be fetched from memory anew, with no reading ahead.
const BLOCK_BYTES: usize = 32 << 10;

/// The plan of a pass whose rows are gathered for products.
pub(crate) fn small_blocks(d: usize, accumulator_bytes: usize) -> Plan {
    let block_rows = (BLOCK_BYTES / (8 * d)).next_power_of_two().clamp(8, 2048);
    Plan { block_rows, ..Plan::new(d, accumulator_bytes) }
}

/// Σ f(v), eight sums side by side: one after another, each addition would wait for the last.
fn lanes(x: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let (whole, rest) = x.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for group in whole {
        for (sum, &v) in sums.iter_mut().zip(group) {
            *sum += f(v);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&v| f(v)).sum::<f64>()
}

/// Σ w, Σ w (x − c) and the lower triangle of Σ w (x − c)(x − c)ᵀ.
fn products(data: &dyn RowSource, centre: &[f64]) -> Result<Sums> {
    let d = centre.len();
    let plan = small_blocks(d, 8 * d * d);
    let new = || Sums::zeros(d, d);
    let mut sums = sweep_by_row(data, plan, new, |sums, block| {
        sums.weight += block.weights.map_or(block.rows as f64, |w| w.iter().sum());
        sums.rows.clear();
        sums.rows.extend((0..).take(block.rows));
        sums.buffer.clear();
        match block.weights {
            None => sums.buffer.resize(block.rows, 1.0),
            Some(w) => sums.buffer.extend(w.iter().map(|w| w.sqrt())),
        }
        let rows = Weighted { x: block.x, rows: &sums.rows, roots: &sums.buffer, centre };
        // invariant: made in row-major order by `Sums::zeros`
        let (first, second) = (sums.first.as_slice_mut().expect("contiguous"), sums.second.as_slice_mut().expect("row-major"));
        sums.strips.add(rows, first, second);
        Ok(())
    })?;
    sums.flush();
    Ok(sums)
}

/// Σ w, Σ w (x − c) and Σ w (x − c)² of each column.
fn squares(data: &dyn RowSource, centre: &[f64]) -> Result<Sums> {
    let d = centre.len();
    let new = || Sums::zeros(d, 1);
    sweep(data, Plan::new(d, 8 * d), new, |sums, block| {
        sums.weight += block.weights().map_or(block.n_rows() as f64, |w| w.iter().sum());
        let buffer = &mut sums.buffer;
        for (j, &c) in centre.iter().enumerate() {
            let column = block.column(j);
            buffer.clear();
            match block.weights() {
                None => {
                    buffer.extend(column.iter().map(|v| v - c));
                    sums.first[j] += lanes(buffer, |v| v);
                }
                Some(w) => {
                    sums.first[j] += column.iter().zip(w).map(|(v, w)| (v - c) * w).sum::<f64>();
                    buffer.extend(column.iter().zip(w).map(|(v, w)| (v - c) * w.sqrt()));
                }
            }
            sums.second[[j, 0]] += lanes(buffer, |v| v * v);
        }
        Ok(())
    })
}

/// One pass about `centre`; (weight, x̄ − c, second moments about x̄).
fn pass(data: &dyn RowSource, centre: &Array1<f64>, second: Second) -> Result<Sums> {
    let about = centre.to_vec();
    let mut sums = match second {
        Second::Covariance => products(data, &about)?,
        Second::Variances => squares(data, &about)?,
    };
    if sums.weight <= 0.0 {
        return Err(ErrorKind::NoWeight.into());
    }
    sums.first /= sums.weight;
    sums.second /= if planted("moments_n_minus_1") { sums.weight - 1.0 } else { sums.weight };
    // S = Σ w (x − c)(x − c)ᵀ / N − δ δᵀ,   δ = x̄ − c
    for (i, mut line) in sums.second.outer_iter_mut().enumerate() {
        let delta = sums.first[i];
        match second {
            Second::Covariance => line.iter_mut().zip(&sums.first).take(i + 1).for_each(|(s, other)| *s -= delta * other),
            Second::Variances => line[0] -= delta * delta,
        }
    }
    Ok(sums)
}

/// Passes about a centre that is near enough to the mean; (weight, mean, second moments).
fn centred(data: &dyn RowSource, second: Second) -> Result<(f64, Array1<f64>, Array2<f64>)> {
    let mut centre = provisional_centre(data)?;
    let mut sums = pass(data, &centre, second)?;
    let variance = |sums: &Sums, j: usize| sums.second[[j, if second == Second::Covariance { j } else { 0 }]];
    // beyond twice the standard deviation the subtraction would cost more than two bits
    if (0..centre.len()).any(|j| !(sums.first[j] * sums.first[j] <= 4.0 * variance(&sums, j))) {
        centre += &sums.first;
        sums = pass(data, &centre, second)?;
    }
    Ok((sums.weight, centre + sums.first, sums.second))
}

/// The total weight, the mean (D) and the variances (D, divided by N) of complete rows.
///
/// ```
/// use lvm_core::moments::mean_and_variances;
/// use ndarray::array;
/// let (weight, mean, variances) = mean_and_variances(&array![[1.0, 0.0], [3.0, 4.0]])?;
/// assert_eq!((weight, mean, variances), (2.0, array![2.0, 2.0], array![1.0, 4.0]));
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If a cell is not finite or can't be read.
pub fn mean_and_variances(data: &dyn RowSource) -> Result<(f64, Array1<f64>, Array1<f64>)> {
    let (weight, mean, variances) = centred(data, Second::Variances)?;
    Ok((weight, mean, variances.index_axis_move(Axis(1), 0).mapv_into(|v| v.max(0.0))))
}

/// The total weight and the mean of complete rows.
///
/// # Errors
/// If a cell is not finite or can't be read.
pub fn mean(data: &dyn RowSource) -> Result<(f64, Array1<f64>)> {
    mean_and_variances(data).map(|(weight, mean, _)| (weight, mean))
}

/// Mean and maximum-likelihood covariance of complete rows.
///
/// Of whole numbers (counts, grey levels) in 64 columns or more, without weights and within 4095 of the middle of their column, the sums are
/// exact and take a third of the time, on x86-64 processors with AVX2; each entry of the answer is then within three roundings of the true
/// one.
///
/// ```
/// use lvm_core::moments::moments;
/// use ndarray::array;
/// let m = moments(&array![[1e9, 0.0], [1e9 + 2.0, 2.0]])?;
/// assert_eq!(m.covariance, array![[1.0, 1.0], [1.0, 1.0]]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If a cell is not finite or can't be read.
pub fn moments(data: &dyn RowSource) -> Result<Moments> {
    match whole_numbers(data)? {
        Some(exact) => Ok(exact),
        None => moments_of_any(data),
    }
}

/// As [`moments`], for a table that is not of whole numbers.
pub(crate) fn moments_of_any(data: &dyn RowSource) -> Result<Moments> {
    let (weight, mean, mut covariance) = centred(data, Second::Covariance)?;
    linalg::mirror_lower(&mut covariance);
    Ok(Moments { weight, rows: n_present(data), mean, covariance })
}

/// An error that names the first row with a missing entry, for methods that need complete rows.
///
/// # Errors
/// That error, and those of reading the data.
pub fn refuse_missing(data: &dyn RowSource, what: &'static str) -> Result<()> {
    if data.missing() == Missing::Refuse {
        return Ok(());
    }
    struct Nothing;
    impl Merge for Nothing {
        fn merge(&mut self, _: Self) {}
    }
    let plan = Plan::new(data.n_cols(), 0);
    sweep(
        data,
        plan,
        || Nothing,
        |_, block| {
            let missing = |i: &usize| (0..block.n_cols()).any(|j| block.column(j)[*i].is_nan());
            match (0..block.n_rows()).find(|i| block.has_missing() && missing(i)) {
                Some(i) => {
                    let row = block.row_number(i);
                    Err(Error::config("data", format!("row {row} (from 0) has missing entries; {what} needs complete rows")))
                }
                None => Ok(()),
            }
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;

    /// Two passes, as the definition says.
    fn naive(x: &Array2<f64>, w: &Array1<f64>) -> (Array1<f64>, Array2<f64>) {
        let n = w.sum();
        let mean = w.dot(x) / n;
        let r = x - &mean;
        let s = r.t().dot(&(&r * &w.view().insert_axis(Axis(1)))) / n;
        (mean, s)
    }

    #[test]
    fn moments_are_those_of_two_passes_even_when_the_first_rows_mislead() {
        for rows in [1, 2, 31, 33, 300, 3000] {
            // a far outlier in the first row, a trend, a constant column and a large offset
            let x = Array2::from_shape_fn((rows, 4), |(i, j)| match j {
                0 => f64::from(u8::from(i == 0)) * 1e9,
                1 => i as f64,
                2 => 0.1,
                _ => 1e8 + (i as f64 * 1.7).sin(),
            });
            let w = Array1::from_shape_fn(rows, |i| 1.0 + (i % 3) as f64);
            let (mean, s) = naive(&x, &w);
            let m = moments(&Rows::new(&x).weighted(w.view()).unwrap()).unwrap();
            let (_, mean_again, variances) = mean_and_variances(&Rows::new(&x).weighted(w.view()).unwrap()).unwrap();
            // the twin's mean is off by up to n ε of itself, and with it every value it centres
            let off = |j: usize| rows as f64 * f64::EPSILON * mean[j].abs();
            let sd = |j: usize| s[[j, j]].sqrt();
            for j in 0..4 {
                assert!((m.mean[j] - mean[j]).abs() <= off(j) + 1e-14 * sd(j));
                assert!((mean_again[j] - mean[j]).abs() <= off(j) + 1e-14 * sd(j));
                for k in 0..4 {
                    let tolerance = 1e-12 * sd(j) * sd(k) + off(j) * sd(k) + sd(j) * off(k) + off(j) * off(k);
                    assert!((m.covariance[[j, k]] - s[[j, k]]).abs() <= tolerance, "{rows} {j} {k}");
                    assert!(j != k || (variances[j] - s[[j, j]]).abs() <= tolerance, "{rows} {j}");
                }
            }
            assert_eq!(m.covariance[[2, 2]], 0.0);
        }
    }
}
