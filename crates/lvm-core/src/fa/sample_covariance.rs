//! The sample covariance maximum likelihood works on, on a scale where every variable counts the same.

use crate::error::{ErrorKind, Result};
use crate::moments::Moments;
use crate::rows::RowSource;
use ndarray::{Array1, Array2, ArrayView2};

/// S in units in which every variance lies in [1/2, 2).
///
/// The likelihood of factor analysis is scale-equivariant: with x' = x / s, W' = W / s and ψ' = ψ / s² the density changes by the
/// constant Σ log s_j only. The units s_j are powers of two, so that going there and back changes no bit of W and ψ (which makes a
/// resumed fit the same fit).
#[derive(Debug, Clone)]
pub(super) struct SampleCovariance {
    /// N, the total weight.
    pub(super) n: f64,
    /// x̄ (D), in the units of the data.
    pub(super) mean: Array1<f64>,
    /// s (D).
    pub(super) unit: Array1<f64>,
    /// C = S / (s sᵀ) (D, D).
    pub(super) c: Array2<f64>,
    /// C_jj (D).
    pub(super) variance: Array1<f64>,
}

/// A power of two between √½ and √2 times the standard deviation.
pub(super) fn power_of_two(variance: f64) -> f64 {
    (0.5 * variance.log2()).round().exp2()
}

impl SampleCovariance {
    /// From the moments of a table.
    pub(super) fn of_rows(moments: Moments, data: &dyn RowSource) -> Result<Self> {
        let Moments { weight, mean, covariance, .. } = moments;
        // A column of equal numbers has the variance rounding leaves: (a few ulp of the mean)².
        let constant = |column: &usize| covariance[[*column, *column]].sqrt() <= 4.0 * f64::EPSILON * mean[*column].abs();
        let constants: Vec<usize> = (0..mean.len()).filter(constant).collect();
        match constants.len() {
            0 => {}
            n if n == mean.len() => return Err(ErrorKind::NoVariation.into()),
            _ => {
                let columns = constants.into_iter().map(|column| (column, data.column_name(column))).collect();
                return Err(ErrorKind::ConstantColumns { columns }.into());
            }
        }
        Ok(Self::new(weight, mean, covariance))
    }

    /// From a covariance or correlation matrix; the mean is zero.
    pub(super) fn of_matrix(covariance: ArrayView2<'_, f64>, n: f64) -> Result<Self> {
        let d = covariance.nrows();
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if covariance.ncols() != d {
            return Err(
                ErrorKind::Shape { what: "number of columns of the covariance matrix", expected: d, found: covariance.ncols() }.into()
            );
        }
        if !(n.is_finite() && n > 0.0) {
            return Err(crate::Error::config("n", format!("{n} rows given; the matrix must come from a finite number of rows above 0")));
        }
        for ((row, column), &value) in covariance.indexed_iter() {
            if !value.is_finite() {
                let name = None;
                return Err(match value.is_nan() {
                    true => ErrorKind::NotANumber { row, column, name },
                    false => ErrorKind::Infinite { row, column, name },
                }
                .into());
            }
            let scale = (covariance[[row, row]].abs() * covariance[[column, column]].abs()).sqrt();
            // Matrices come printed to a few digits or computed in either order of summation: half a digit in eight is asymmetry enough.
            if (value - covariance[[column, row]]).abs() > 1e-8 * scale {
                let message = format!("entries ({row}, {column}) and ({column}, {row}) differ; a covariance matrix is symmetric");
                return Err(crate::Error::config("covariance", message));
            }
            if value.abs() > scale * (1.0 + 1e-8) {
                let message = format!("entry ({row}, {column}) is {value}, more than its two variances allow; no correlation is above 1");
                return Err(crate::Error::config("covariance", message));
            }
        }
        let columns: Vec<_> = covariance.diag().iter().enumerate().filter(|(_, v)| **v <= 0.0).map(|(column, _)| (column, None)).collect();
        if !columns.is_empty() {
            return Err(ErrorKind::ConstantColumns { columns }.into());
        }
        Ok(Self::new(n, Array1::zeros(d), covariance.to_owned()))
    }

    fn new(n: f64, mean: Array1<f64>, mut c: Array2<f64>) -> Self {
        let unit = c.diag().mapv(power_of_two);
        for (mut row, own) in c.outer_iter_mut().zip(&unit) {
            row.zip_mut_with(&unit, |c, other| *c /= own * other);
        }
        let variance = c.diag().to_owned();
        SampleCovariance { n, mean, unit, c, variance }
    }

    /// D.
    pub(super) fn dim(&self) -> usize {
        self.variance.len()
    }

    /// The mean log-likelihood per row in the units of the data, from F = log det Σ + tr(Σ⁻¹ C).
    pub(super) fn mean_log_likelihood(&self, f: f64) -> f64 {
        // log p̄ = −½ (D log 2π + F) − Σ_j log s_j
        -0.5 * (self.dim() as f64 * std::f64::consts::TAU.ln() + f) - self.unit.iter().map(|s| s.ln()).sum::<f64>()
    }
}
