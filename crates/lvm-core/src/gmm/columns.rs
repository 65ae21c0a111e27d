//! What EM needs to know of each column before it starts: mean, variance, whether it varies at all.

use crate::error::{ErrorKind, Result};
use crate::gmm::covariance::CovarianceType;
use crate::rows::{RowSource, n_present};
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2, Axis};

/// Summary of the observed entries of every column.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Total weight of the rows.
    pub(crate) weight: f64,
    /// Rows of weight above zero.
    pub(crate) rows: usize,
    /// Means (D).
    pub(crate) mean: Array1<f64>,
    /// Variances (D), exactly zero for a constant column.
    pub(crate) variance: Array1<f64>,
    /// Squared width of the column if it were everywhere as dense as in its densest part (D), at most the variance.
    pub(crate) dense: Array1<f64>,
    /// Largest magnitudes (D).
    pub(crate) magnitude: Array1<f64>,
}

/// Weighted sums (D) about a centre.
struct Sums {
    rows_weight: f64,
    weight: Array1<f64>,
    first: Array1<f64>,
    second: Array1<f64>,
    /// Smallest and largest (2, D).
    range: Array2<f64>,
    /// Some of the rows: D numbers and a weight each.
    sample: Vec<f64>,
}

/// Rows that the densest part of a column is estimated from, about as many.
fn sample_rows(d: usize) -> usize {
    ((1 << 20) / d).clamp(1024, 16384)
}

/// Whether a row is in the sample of one in `stride`: by a hash of its number (splitmix64), so that no period of the table matters.
fn sampled(row: usize, stride: u64) -> bool {
    let mut z = (row as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).is_multiple_of(stride)
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.rows_weight += other.rows_weight;
        self.weight += &other.weight;
        self.first += &other.first;
        self.second += &other.second;
        self.sample.extend(other.sample);
        self.range.row_mut(0).zip_mut_with(&other.range.row(0), |a, b| *a = a.min(*b));
        self.range.row_mut(1).zip_mut_with(&other.range.row(1), |a, b| *a = a.max(*b));
    }
}

fn sums(data: &dyn RowSource, centre: &Array1<f64>) -> Result<Sums> {
    let d = data.n_cols();
    let stride = data.n_rows().div_ceil(sample_rows(d)) as u64;
    let zero = || Array1::zeros(d);
    let new = || {
        let range = Array2::from_shape_fn((2, d), |(i, _)| if i == 0 { f64::INFINITY } else { f64::NEG_INFINITY });
        Sums { rows_weight: 0.0, weight: zero(), first: zero(), second: zero(), range, sample: Vec::new() }
    };
    sweep(data, Plan::new(d, 40 * d), new, |sums, block| {
        block.refuse_empty_row()?;
        sums.rows_weight += block.weights().map_or(block.n_rows() as f64, |w| w.iter().sum());
        for i in (0..block.n_rows()).filter(|&i| sampled(block.row_number(i), stride)) {
            sums.sample.extend((0..d).map(|j| block.column(j)[i]));
            sums.sample.push(block.weights().map_or(1.0, |w| w[i]));
        }
        for j in 0..d {
            let (mut weight, mut first, mut second) = (0.0, 0.0, 0.0);
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for (i, &x) in block.column(j).iter().enumerate() {
                if x.is_nan() {
                    continue;
                }
                let (w, y) = (block.weights().map_or(1.0, |w| w[i]), x - centre[j]);
                weight += w;
                first += w * y;
                second += w * y * y;
                low = low.min(x);
                high = high.max(x);
            }
            sums.weight[j] += weight;
            sums.first[j] += first;
            sums.second[j] += second;
            sums.range[[0, j]] = sums.range[[0, j]].min(low);
            sums.range[[1, j]] = sums.range[[1, j]].max(high);
        }
        Ok(())
    })
}

impl Columns {
    /// Two passes: means, then variances about them. The densest part is one of 1/(2K) of the rows.
    ///
    /// # Errors
    /// If the data is unusable, if all weights are zero, or if a row or a column has no observed entry.
    pub(crate) fn new(data: &dyn RowSource, k: usize) -> Result<Self> {
        let rough = sums(data, &Array1::zeros(data.n_cols()))?;
        if rough.rows_weight <= 0.0 {
            return Err(ErrorKind::NoWeight.into());
        }
        if let Some(column) = rough.weight.iter().position(|w| *w <= 0.0) {
            return Err(ErrorKind::MissingColumn { column, name: data.column_name(column) }.into());
        }
        let centre = &rough.first / &rough.weight;
        let sums = sums(data, &centre)?;
        let shift = &sums.first / &sums.weight;
        let mut variance = &sums.second / &sums.weight - &shift * &shift;
        for (j, v) in variance.iter_mut().enumerate() {
            if sums.range[[0, j]] == sums.range[[1, j]] {
                *v = 0.0;
            }
        }
        let dense = Array1::from_shape_fn(data.n_cols(), |j| dense_width(&sums.sample, j, data.n_cols(), k).powi(2).min(variance[j]));
        let magnitude = sums.range.map_axis(Axis(0), |r| r[0].abs().max(r[1].abs()));
        Ok(Columns { weight: sums.rows_weight, rows: n_present(data), mean: centre + shift, variance, dense, magnitude })
    }

    /// What counts as one row when a sum of weights is to be read as a number of rows: 1, or the mean weight of rows whose weights are
    /// shares of less.
    pub(crate) fn row_weight(&self) -> f64 {
        (self.weight / self.rows as f64).min(1.0)
    }

    /// Refuses data that no `k` components with such covariances have a maximum-likelihood answer for.
    pub(crate) fn check(&self, data: &dyn RowSource, k: usize, covariance: CovarianceType, ridge: f64) -> Result<()> {
        if self.rows < k {
            return Err(ErrorKind::TooFewRows { rows: self.rows, needed: k, why: "a mixture of so many components" }.into());
        }
        // squares of such spreads leave the range of f64
        let constant = |v: &f64| *v < 1e-280;
        if self.variance.iter().all(constant) {
            return Err(ErrorKind::NoVariation.into());
        }
        let constants: Vec<usize> = (0..self.variance.len()).filter(|&j| constant(&self.variance[j])).collect();
        if constants.is_empty() || ridge > 0.0 || covariance == CovarianceType::Spherical {
            return Ok(());
        }
        let columns = constants.into_iter().map(|column| (column, data.column_name(column))).collect();
        Err(ErrorKind::ConstantColumns { columns }.into())
    }
}

/// W ℓ / M for the interval [a, b] of column `j` with ℓ = b − a > 0 and mass M ≥ W / (2K) that makes M / ℓ, the density, largest;
/// infinite if the sample has no two different values.
fn dense_width(sample: &[f64], j: usize, d: usize, k: usize) -> f64 {
    let mut points: Vec<(f64, f64)> = sample.chunks_exact(d + 1).filter(|r| !r[j].is_nan()).map(|r| (r[j], r[d])).collect();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // equal values become one
    points.dedup_by(|b, a| {
        a.0 == b.0 && {
            a.1 += b.1;
            true
        }
    });
    let total: f64 = points.iter().map(|p| p.1).sum();
    let least = total / (2.0 * k as f64);
    let (mut width, mut end, mut mass) = (f64::INFINITY, 0, 0.0);
    for start in 0..points.len() {
        while end < points.len() && (mass < least || end < start + 2) {
            mass += points[end].1;
            end += 1;
        }
        if mass < least || end < start + 2 {
            break;
        }
        width = f64::min(width, total * (points[end - 1].0 - points[start].0) / mass);
        mass -= points[start].1;
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn mean_and_variance_of_observed_entries() {
        let x = array![[1e9, 1.0], [1e9 + 1.0, f64::NAN], [1e9 + 2.0, 3.0]];
        let columns = Columns::new(&crate::rows::Rows::new(&x).missing_as_nan(), 1).unwrap();
        assert_eq!(columns.mean, array![1e9 + 1.0, 2.0]);
        // 2/3 in one rounding of a sum and one of a quotient
        assert!((columns.variance[0] - 2.0 / 3.0).abs() < 4.0 * f64::EPSILON);
        assert_eq!(columns.variance[1], 1.0);
    }

    #[test]
    fn one_outlier_does_not_change_the_dense_width() {
        let mut x = Array2::from_shape_fn((1000, 1), |(i, _)| i as f64 / 1000.0);
        let regular = Columns::new(&x, 2).unwrap();
        x[[17, 0]] = 1e12;
        let outlier = Columns::new(&x, 2).unwrap();
        assert!(outlier.variance[0] > 1e20);
        // a uniform column is as dense everywhere, so its width is 1, at most the variance 1/12; both to the share of one row
        assert!((regular.dense[0] - 1.0 / 12.0).abs() < 1e-3);
        assert!((outlier.dense[0] - 1.0).abs() < 1e-2);
    }

    #[test]
    fn ties_and_two_rows() {
        assert_eq!(Columns::new(&array![[0.0], [9999.0]], 2).unwrap().dense[0], 24_995_000.25);
        let counts = Array2::from_shape_fn((100, 1), |(i, _)| if i < 60 { 0.0 } else { f64::from(i as u32 % 4) });
        assert!(Columns::new(&counts, 3).unwrap().dense[0] > 0.1);
    }
}
