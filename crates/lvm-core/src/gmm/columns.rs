//! What EM needs to know of each column before it starts: mean, variance, whether it varies at all.

use crate::error::{ErrorKind, Result};
use crate::gmm::covariance::CovarianceType;
use crate::rows::{RowSource, n_present};
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2};

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
}

/// Weighted sums (D) about a centre.
struct Sums {
    rows_weight: f64,
    weight: Array1<f64>,
    first: Array1<f64>,
    second: Array1<f64>,
    /// Smallest and largest (2, D).
    range: Array2<f64>,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.rows_weight += other.rows_weight;
        self.weight += &other.weight;
        self.first += &other.first;
        self.second += &other.second;
        self.range.row_mut(0).zip_mut_with(&other.range.row(0), |a, b| *a = a.min(*b));
        self.range.row_mut(1).zip_mut_with(&other.range.row(1), |a, b| *a = a.max(*b));
    }
}

fn sums(data: &dyn RowSource, centre: &Array1<f64>) -> Result<Sums> {
    let d = data.n_cols();
    let zero = || Array1::zeros(d);
    let new = || {
        let range = Array2::from_shape_fn((2, d), |(i, _)| if i == 0 { f64::INFINITY } else { f64::NEG_INFINITY });
        Sums { rows_weight: 0.0, weight: zero(), first: zero(), second: zero(), range }
    };
    sweep(data, Plan::new(d, 40 * d), new, |sums, block| {
        sums.rows_weight += block.weights().map_or(block.n_rows() as f64, |w| w.iter().sum());
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
    /// Two passes: means, then variances about them.
    ///
    /// # Errors
    /// If the data is unusable, if all weights are zero, or if a column has no observed entry.
    pub(crate) fn new(data: &dyn RowSource) -> Result<Self> {
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
        Ok(Columns { weight: sums.rows_weight, rows: n_present(data), mean: centre + shift, variance })
    }

    /// The mean weight of a row.
    pub(crate) fn row_weight(&self) -> f64 {
        self.weight / self.rows as f64
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
        match self.variance.iter().position(constant) {
            Some(column) if ridge == 0.0 && covariance != CovarianceType::Spherical => {
                Err(ErrorKind::ConstantColumn { column, name: data.column_name(column) }.into())
            }
            _ => Ok(()),
        }
    }
}
