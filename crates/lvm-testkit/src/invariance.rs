//! Laws about what must not change an answer.

use crate::{Verdict, broken, compare, raised};
use lvm_core::Result;
use lvm_core::rows::{Element, RowSource, Rows};
use ndarray::{Array1, Array2, Axis};

/// A fit reduced to the numbers it ends with (parameters in a fixed order, then the objective).
pub type Numbers<'a> = &'a (dyn Fn(&dyn RowSource) -> Result<Vec<f64>> + Sync);

fn bitwise(law: &'static str, what: &str, a: &[f64], b: &[f64]) -> Verdict {
    compare(law, what, a.iter().copied(), b.iter().copied(), |_, _| 0.0)
}

/// The answer does not depend on the number of threads, to the last bit.
///
/// # Errors
/// The first number that differs.
pub fn threads_do_not_matter(fit: Numbers<'_>, x: &dyn RowSource) -> Verdict {
    const LAW: &str = "threads do not matter";
    let on = |threads: usize| -> std::result::Result<Vec<f64>, crate::Violation> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_err(|e| broken(LAW, e.to_string()))?.install(|| fit(x)).map_err(raised(LAW))
    };
    let one = on(1)?;
    for threads in [2, 8] {
        bitwise(LAW, &format!("{threads} threads"), &on(threads)?, &one)?;
    }
    Ok(())
}

/// The same call gives the same bits.
///
/// # Errors
/// The first number that differs.
pub fn runs_repeat(fit: Numbers<'_>, x: &dyn RowSource) -> Verdict {
    const LAW: &str = "runs repeat";
    bitwise(LAW, "second run", &fit(x).map_err(raised(LAW))?, &fit(x).map_err(raised(LAW))?)
}

/// A table of f32 and the same numbers in f64 give the same answer.
///
/// # Errors
/// The first number that differs by more than `relative` (0 for none).
pub fn f32_is_f64(fit: Numbers<'_>, x: &Array2<f64>, relative: f64) -> Verdict {
    const LAW: &str = "f32 agrees with f64";
    let narrow = x.mapv(|v| v as f32);
    let wide = narrow.mapv(f64::from);
    let (a, b) = (fit(&narrow).map_err(raised(LAW))?, fit(&wide).map_err(raised(LAW))?);
    compare(LAW, "f32 table", a, b, |_, y| relative * (1.0 + y.abs()))
}

/// Weight w means that the row stands w times, and weight 0 that it is not there (rows of weight 0 hold NaN here).
///
/// # Errors
/// The first number that differs by more than `relative`: the sums are the same, in another order.
pub fn weights_are_repetition<E: Element + From<f32>>(fit: Numbers<'_>, x: &Array2<E>, relative: f64) -> Verdict {
    const LAW: &str = "weights are repetition";
    let weights = Array1::from_shape_fn(x.nrows(), |n| [3.0, 1.0, 0.0, 2.0][n % 4]);
    let repeated: Vec<usize> = (0..x.nrows()).flat_map(|n| std::iter::repeat_n(n, weights[n] as usize)).collect();
    let mut holed = x.clone();
    for (n, mut row) in holed.rows_mut().into_iter().enumerate() {
        if weights[n] == 0.0 {
            row.fill(E::from(f32::NAN));
        }
    }
    let weighted = Rows::new(&holed).weighted(weights.view()).map_err(raised(LAW))?;
    let (a, b) = (fit(&weighted).map_err(raised(LAW))?, fit(&x.select(Axis(0), &repeated)).map_err(raised(LAW))?);
    compare(LAW, "weighted table", a, b, |_, y| relative * (1.0 + y.abs()))
}

/// Views with any strides give the answer of the array in standard order.
///
/// # Errors
/// The first number that differs.
pub fn layout_does_not_matter<E: Element + From<f32>>(fit: Numbers<'_>, x: &Array2<E>) -> Verdict {
    const LAW: &str = "memory layout does not matter";
    let expected = fit(x).map_err(raised(LAW))?;
    let columns = x.t().as_standard_layout().into_owned();
    bitwise(LAW, "column-major table", &fit(&columns.t()).map_err(raised(LAW))?, &expected)?;
    let mut wide = Array2::from_elem((x.nrows(), 2 * x.ncols()), E::from(f32::NAN));
    wide.axis_chunks_iter_mut(Axis(1), 2).zip(x.columns()).for_each(|(mut pair, column)| pair.column_mut(0).assign(&column));
    let every_other = wide.slice_axis(Axis(1), ndarray::Slice::new(0, None, 2));
    bitwise(LAW, "every other column of a wider table", &fit(&every_other).map_err(raised(LAW))?, &expected)
}
