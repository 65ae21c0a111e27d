//! The Gaussian, dense.

use super::Lapack;
use crate::suite::Problem;
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// log 2π.
pub const LOG_2PI: f64 = 1.837_877_066_409_345_3;

/// Column means, then Σ_n w_n (x_n − x̄)(x_n − x̄)ᵀ / Σ w: two passes, one row at a time. Without weights every row counts once.
pub fn moments(x: &Array2<f64>, weights: Option<&Array1<f64>>) -> (Array1<f64>, Array2<f64>) {
    let d = x.ncols();
    let weight = |n: usize| weights.map_or(1.0, |w| w[n]);
    let total: f64 = (0..x.nrows()).map(weight).sum();
    let mut mean = Array1::zeros(d);
    // The mean of the deviations from a first mean removes the rounding a large offset leaves.
    for _ in 0..2 {
        let centre: Array1<f64> = mean.clone();
        let mut sum = Array1::zeros(d);
        for (n, row) in x.rows().into_iter().enumerate() {
            sum += &((&row - &centre) * weight(n));
        }
        mean = centre + sum / total;
    }
    let mut covariance = Array2::zeros((d, d));
    for (n, row) in x.rows().into_iter().enumerate() {
        let c = &row - &mean;
        for i in 0..d {
            for j in 0..d {
                covariance[[i, j]] += weight(n) * c[i] * c[j];
            }
        }
    }
    (mean, covariance / total)
}

/// log N(x; μ, Σ) = −½ [D log 2π + log|Σ| + (x−μ)ᵀ Σ⁻¹ (x−μ)] of each row, by Cholesky and a dense solve (PRML 2.43).
///
/// # Errors
/// If the covariance is not positive definite.
pub fn log_density(lapack: Lapack, x: &Array2<f64>, mean: &Array1<f64>, covariance: &Array2<f64>) -> Result<Array1<f64>, Problem> {
    let log_det = 2.0 * lapack.cholesky(covariance)?.diag().iter().map(|v| v.ln()).sum::<f64>();
    let inverse = lapack.inverse(covariance)?;
    let constant = x.ncols() as f64 * LOG_2PI + log_det;
    Ok(x.rows()
        .into_iter()
        .map(|row| {
            let c = &row - mean;
            -0.5 * (constant + c.dot(&inverse.dot(&c)))
        })
        .collect())
}

/// Σ|terms| of [`log_density`] of one row in the worst case over the rows, for rounding bounds: D log 2π, |log|Σ||, the quadratic form,
/// each inflated by the condition of the covariance where a solve enters.
///
/// # Errors
/// If the covariance has no eigen-decomposition.
pub fn condition(lapack: Lapack, covariance: &Array2<f64>) -> Result<f64, Problem> {
    let (values, _) = lapack.eigh(covariance)?;
    Ok(values[0] / values[values.len() - 1])
}

/// The entries of a row that are there.
pub fn observed(row: ArrayView1<'_, f64>) -> Vec<usize> {
    (0..row.len()).filter(|&j| !row[j].is_nan()).collect()
}

/// A square block of a matrix.
pub fn block(a: &Array2<f64>, rows: &[usize], columns: &[usize]) -> Array2<f64> {
    a.select(Axis(0), rows).select(Axis(1), columns)
}

/// log density of the observed part of each row: the marginal of a Gaussian is a Gaussian (PRML 2.98).
///
/// # Errors
/// If a marginal covariance is not positive definite.
pub fn log_density_of_observed(
    lapack: Lapack,
    x: &Array2<f64>,
    mean: &Array1<f64>,
    covariance: &Array2<f64>,
) -> Result<Array1<f64>, Problem> {
    x.rows()
        .into_iter()
        .map(|row| {
            let o = observed(row);
            let part = row.select(Axis(0), &o).insert_axis(Axis(0));
            Ok(log_density(lapack, &part, &mean.select(Axis(0), &o), &block(covariance, &o, &o))?[0])
        })
        .collect()
}

/// E[x_m | x_o] and Cov[x_m | x_o] of one row, m its missing and o its observed entries (PRML 2.81, 2.82).
///
/// # Errors
/// If the marginal covariance is singular.
pub fn conditional(
    lapack: Lapack,
    row: ArrayView1<'_, f64>,
    mean: &Array1<f64>,
    covariance: &Array2<f64>,
) -> Result<(Array1<f64>, Array2<f64>), Problem> {
    let o = observed(row);
    let m: Vec<usize> = (0..row.len()).filter(|j| !o.contains(j)).collect();
    let gain = block(covariance, &m, &o).dot(&lapack.inverse(&block(covariance, &o, &o))?);
    let residual = row.select(Axis(0), &o) - mean.select(Axis(0), &o);
    let conditional_mean = mean.select(Axis(0), &m) + gain.dot(&residual);
    Ok((conditional_mean, block(covariance, &m, &m) - gain.dot(&block(covariance, &o, &m))))
}
