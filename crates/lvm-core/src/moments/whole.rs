//! Mean and covariance of whole numbers (counts, grey levels, codes): nothing is rounded before the last step.
//!
//! With c any whole numbers and v = x − c, all of Σ v and Σ v vᵀ are whole, and so is
//! ```text
//! N² S = N Σ v vᵀ − (Σ v)(Σ v)ᵀ
//! ```
//! which 128 bits hold: no digit is lost wherever c lies, so that it may be where most numbers are, and products with zeros are passed over.

use super::{Moments, for_some_rows, small_blocks};
use crate::error::{ErrorKind, Result};
use crate::linalg;
use crate::mutant::planted;
use crate::rows::RowSource;
use crate::simd::{REACH, WholeStrips};
use crate::sweep::{Merge, Plan, sweep_unchecked};
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Columns from which on the products take most of the time.
const COLUMNS: usize = 64;

struct Sums {
    rows: i64,
    /// Σ v and Σ v vᵀ.
    strips: WholeStrips,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.strips.merge(other.strips);
    }
}

/// The medians of some rows, if these are whole and near enough to them.
fn centre(data: &dyn RowSource) -> Result<Option<Vec<f64>>> {
    let mut columns = vec![Vec::new(); data.n_cols()];
    for_some_rows(data, |row| columns.iter_mut().zip(row).for_each(|(c, v)| c.push(*v)))?;
    Ok(columns.iter_mut().map(|c| median(c)).collect())
}

fn median(column: &mut [f64]) -> Option<f64> {
    let middle = column.len() / 2;
    if column.is_empty() || column.iter().any(|v| v.fract() != 0.0) {
        return None;
    }
    let median = *column.select_nth_unstable_by(middle, f64::total_cmp).1;
    column.iter().all(|v| (v - median).abs() <= REACH).then_some(median)
}

/// The moments of a table of whole numbers without weights; `None` for any other, for one with a cell that can't be used, and on a processor
/// without the instructions.
pub(crate) fn moments(data: &dyn RowSource) -> Result<Option<Moments>> {
    let d = data.n_cols();
    if d < COLUMNS || data.weights().is_some() || !WholeStrips::are_fast() {
        return Ok(None);
    }
    let Some(centre) = centre(data)? else { return Ok(None) };
    let new = || Sums { rows: 0, strips: WholeStrips::about(&centre) };
    // what is exact is so however it is cut: enough parts for threads of unequal speed, where their sums need little memory
    let plan = small_blocks(d, 10 * d * d);
    let plan = if d <= 1024 { Plan { leaves: 16, ..plan } } else { plan };
    // set by the first block that tells, which calls off the pass; whatever else was wrong is met again on the usual way
    let unfit = AtomicBool::new(false);
    let found = sweep_unchecked(data, plan, new, |sums, block| {
        sums.rows += block.rows as i64;
        if unfit.load(Ordering::Relaxed) || !sums.strips.add(block.x) {
            unfit.store(true, Ordering::Relaxed);
            return Err(ErrorKind::Cancelled.into());
        }
        Ok(())
    });
    if unfit.into_inner() {
        return Ok(None);
    }
    let sums = found?;
    let (n, rows) = (i128::from(sums.rows), sums.rows as f64);
    let (first, second) = sums.strips.finish();
    let directions = if planted("moments_n_minus_1") { rows - 1.0 } else { rows };
    // below 2⁵³, as `WholeStrips` says
    let whole = |v: f64| i128::from(v as i64);
    let mut covariance = Array2::zeros((d, d));
    covariance.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(i, mut line)| {
        for (j, entry) in line.iter_mut().enumerate().take(i + 1) {
            let scaled = n * whole(second[i * d + j]) - whole(first[i]) * whole(first[j]);
            *entry = scaled as f64 / (rows * directions);
        }
    });
    linalg::mirror_lower(&mut covariance);
    let mean = Array1::from(first) / rows + Array1::from(centre);
    Ok(Some(Moments { weight: rows, rows: sums.rows as usize, mean, covariance }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;
    use ndarray::{ShapeBuilder, Slice};

    fn counts(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            let z = (i as u64 * 1_000_003 + j as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            if j.is_multiple_of(7) {
                0.0
            } else if (z >> 9) & 1 == 0 {
                5.0
            } else {
                (z % 256) as f64
            }
        })
    }

    #[test]
    fn covariances_are_within_roundings_of_rational_arithmetic() {
        let (rows, columns) = (1000, 70);
        for offset in [0.0, 1e6, -2f64.powi(49)] {
            let x = counts(rows, columns) + offset;
            let m = moments(&x).unwrap().unwrap();
            assert_eq!((m.weight, m.rows), (1000.0, rows));
            let y = counts(rows, columns).mapv(|v| v as i128);
            let n = rows as i128;
            for i in 0..columns {
                let sum = |j: usize| y.column(j).sum();
                // the offset and the quotient are each rounded
                assert!((m.mean[i] - (offset + sum(i) as f64 / n as f64)).abs() <= f64::EPSILON * (offset.abs() + 255.0));
                for j in 0..columns {
                    let products: i128 = y.column(i).iter().zip(y.column(j)).map(|(a, b)| a * b).sum();
                    let exact = (n * products - sum(i) * sum(j)) as f64 / (n * n) as f64;
                    assert!((m.covariance[[i, j]] - exact).abs() <= 2.0 * f64::EPSILON * exact.abs(), "{i} {j}");
                }
            }
        }
    }

    #[test]
    fn other_tables_go_the_usual_way() {
        let x = counts(1000, 70);
        let weights = Array1::from_elem(1000, 2.0);
        let none = |data: &dyn RowSource| moments(data).unwrap().is_none();
        assert!(none(&Rows::new(&x).weighted(weights.view()).unwrap()));
        assert!(none(&counts(1000, 63)));
        assert!(none(&(&x + 0.5)));
        assert!(none(&(&x * 1000.0)));
        // a number that is not whole, one that is far away, one that can't be used: wherever they are
        for value in [2.5, 1e6, f64::NAN] {
            for row in [0, 500, 777, 999] {
                let mut x = x.clone();
                x[[row, 33]] = value;
                assert!(none(&x), "{value} in row {row}");
                let usual = super::super::moments(&x);
                assert_eq!(usual.is_err(), value.is_nan());
            }
        }
    }

    #[test]
    fn the_answer_does_not_depend_on_threads_or_on_how_the_table_is_kept() {
        let x = counts(5000, 70);
        let on = |threads: usize, data: &(dyn RowSource + Sync)| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| moments(data).unwrap().unwrap())
        };
        let one = on(1, &x);
        let mut columns = Array2::zeros((5000, 70).f());
        columns.assign(&x);
        let single = x.mapv(|v| v as f32);
        assert!([2, 7].iter().all(|&threads| on(threads, &x) == one));
        assert!(on(3, &columns) == one && on(3, &single) == one && on(3, &Rows::new(&x).missing_as_nan()) == one);
        let mut missing = x;
        missing[[4000, 5]] = f64::NAN;
        assert!(moments(&Rows::new(&missing).missing_as_nan()).unwrap().is_none());
    }

    #[test]
    fn few_rows() {
        let x = counts(3, 64);
        for rows in [1, 2, 3] {
            let some = x.slice_axis(Axis(0), Slice::from(..rows)).to_owned();
            let m = moments(&some).unwrap().unwrap();
            let mean = some.mean_axis(Axis(0)).unwrap();
            let y = &some - &mean;
            let expected = y.t().dot(&y) / rows as f64;
            assert!(m.covariance.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-11), "{rows}");
        }
        assert!(moments(&x.mapv(|v| if v == 0.0 { -0.0 } else { v })).unwrap() == moments(&x).unwrap());
    }

    #[test]
    fn the_answer_is_that_of_the_usual_way() {
        let x = counts(3000, 90);
        let ones = Array1::ones(3000);
        let (exact, usual) = (moments(&x).unwrap().unwrap(), super::super::moments(&Rows::new(&x).weighted(ones.view()).unwrap()).unwrap());
        // a rounding for each of N products of at most 255², and some for centring
        let tolerance = 4.0 * 3000.0 * f64::EPSILON * 255.0 * 255.0;
        assert!(exact.covariance.iter().zip(&usual.covariance).all(|(a, b)| (a - b).abs() <= tolerance));
        assert!(exact.mean.iter().zip(&usual.mean).all(|(a, b)| (a - b).abs() <= 1e-13 * 255.0));
    }
}
