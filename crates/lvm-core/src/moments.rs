//! Mean and scatter of complete rows, in two passes: the scatter is taken about the mean, never as E[x²] − μ².

use crate::error::{ErrorKind, Result};
use crate::linalg;
use crate::rows::{RowSource, n_present};
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2, ArrayViewMut2, ShapeBuilder};

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

/// Weighted sums of the columns.
struct Sums {
    weight: f64,
    sum: Array1<f64>,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.weight += other.weight;
        self.sum += &other.sum;
    }
}

/// Scatter about a fixed centre, with the buffer for centred blocks.
struct Scatter {
    lower: Array2<f64>,
    centred: Vec<f64>,
}

impl Merge for Scatter {
    fn merge(&mut self, other: Self) {
        self.lower += &other.lower;
    }
}

/// The total weight and the mean of complete rows.
///
/// # Errors
/// If a cell is not finite or can't be read.
pub fn mean(data: &dyn RowSource) -> Result<(f64, Array1<f64>)> {
    let d = data.n_cols();
    // The first pass is about zero; a second about the first mean removes what rounding a large offset left in it.
    let pass = |centre: &Array1<f64>| {
        sweep(
            data,
            Plan::new(d, 8 * d),
            || Sums { weight: 0.0, sum: Array1::zeros(d) },
            |sums, block| {
                sums.weight += block.weights().map_or(block.n_rows() as f64, |w| w.iter().sum());
                for j in 0..d {
                    let (column, c) = (block.column(j), centre[j]);
                    sums.sum[j] += match block.weights() {
                        None => column.iter().map(|v| v - c).sum::<f64>(),
                        Some(w) => column.iter().zip(w).map(|(v, w)| w * (v - c)).sum(),
                    };
                }
                Ok(())
            },
        )
    };
    let first = pass(&Array1::zeros(d))?;
    if first.weight <= 0.0 {
        return Err(ErrorKind::NoWeight.into());
    }
    let rough = first.sum / first.weight;
    let second = pass(&rough)?;
    Ok((second.weight, rough + second.sum / second.weight))
}

/// Mean and maximum-likelihood covariance of complete rows.
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
    let d = data.n_cols();
    let (weight, mean) = mean(data)?;
    let scatter = sweep(
        data,
        Plan::new(d, 8 * d * d),
        || Scatter { lower: Array2::zeros((d, d).f()), centred: Vec::new() },
        |scatter, block| {
            let b = block.n_rows();
            scatter.centred.clear();
            for j in 0..d {
                let c = mean[j];
                match block.weights() {
                    None => scatter.centred.extend(block.column(j).iter().map(|v| v - c)),
                    Some(w) => scatter.centred.extend(block.column(j).iter().zip(w).map(|(v, w)| w.sqrt() * (v - c))),
                }
            }
            // invariant: d columns of b numbers were just written
            let centred = ArrayViewMut2::from_shape((b, d).f(), &mut scatter.centred[..]).expect("block shape");
            linalg::gram_lower(1.0, centred.view(), scatter.lower.view_mut());
            Ok(())
        },
    )?;
    let mut covariance = scatter.lower / weight;
    linalg::mirror_lower(&mut covariance);
    Ok(Moments { weight, rows: n_present(data), mean, covariance })
}
