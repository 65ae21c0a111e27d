//! A Gaussian as target: the anchor of every method.

use super::{Covariance, Expectation, GaussianExpectation};
use crate::target::{LogDensity, LogDensityGrad, TargetError};
use lvm_core::{ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use std::f64::consts::TAU;

/// log N(u; μ, Λ⁻¹), normalised: its log evidence is 0.
///
/// Its best full-rank q is itself; its best mean-field q has means μ and variances 1/Λ_ii, with
/// KL(q ‖ p) = ½ (Σ log Λ_ii − log det Λ).
///
/// ```
/// use lvm_vi::{expectation::GaussianTarget, target::LogDensity};
/// let p = GaussianTarget::from_precision(ndarray::array![0.0, 1.0], ndarray::array![[2.0, 0.0], [0.0, 0.5]])?;
/// assert!((p.log_density(&[0.0, 1.0]).unwrap() + std::f64::consts::TAU.ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianTarget {
    mean: Array1<f64>,
    precision: Array2<f64>,
    log_normaliser: f64,
}

impl GaussianTarget {
    /// The Gaussian of this mean (d) and precision Λ (d, d).
    ///
    /// # Errors
    /// If the shapes disagree or Λ is not positive definite.
    pub fn from_precision(mean: Array1<f64>, precision: Array2<f64>) -> Result<Self> {
        check(mean.len(), precision.view())?;
        let factor = linalg::cholesky(precision.view()).map_err(|e| e.of("precision of a Gaussian target"))?;
        Ok(Self::new(mean, precision, linalg::log_det(factor.view())))
    }

    /// The Gaussian of this mean (d) and covariance (d, d).
    ///
    /// # Errors
    /// If the shapes disagree or the covariance is not positive definite.
    pub fn from_covariance(mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self> {
        check(mean.len(), covariance.view())?;
        let factor = linalg::cholesky(covariance.view()).map_err(|e| e.of("covariance of a Gaussian target"))?;
        Ok(Self::new(mean, linalg::cholesky_inverse(factor.view()), -linalg::log_det(factor.view())))
    }

    fn new(mean: Array1<f64>, precision: Array2<f64>, log_det: f64) -> Self {
        let log_normaliser = 0.5 * (log_det - mean.len() as f64 * TAU.ln());
        GaussianTarget { mean, precision, log_normaliser }
    }

    /// μ (d).
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        self.mean.view()
    }

    /// Λ (d, d).
    pub fn precision(&self) -> ArrayView2<'_, f64> {
        self.precision.view()
    }
}

fn check(d: usize, matrix: ArrayView2<'_, f64>) -> Result<()> {
    if d == 0 {
        return Err(ErrorKind::Empty.into());
    }
    match matrix.shape().iter().find(|n| **n != d) {
        Some(&found) => Err(ErrorKind::Shape { what: "matrix of a Gaussian target", expected: d, found }.into()),
        None => Ok(()),
    }
}

impl LogDensity for GaussianTarget {
    fn dim(&self) -> usize {
        self.mean.len()
    }

    fn log_density(&self, z: &[f64]) -> std::result::Result<f64, TargetError> {
        let mut quadratic = 0.0;
        for (i, row) in self.precision.rows().into_iter().enumerate() {
            let pull: f64 = row.iter().zip(z).zip(&self.mean).map(|((l, z), m)| l * (z - m)).sum();
            quadratic += (z[i] - self.mean[i]) * pull;
        }
        Ok(self.log_normaliser - 0.5 * quadratic)
    }
}

impl LogDensityGrad for GaussianTarget {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> std::result::Result<f64, TargetError> {
        let mut quadratic = 0.0;
        for (i, row) in self.precision.rows().into_iter().enumerate() {
            // ∇ log p = −Λ (u − μ)
            let pull: f64 = row.iter().zip(z).zip(&self.mean).map(|((l, z), m)| l * (z - m)).sum();
            gradient[i] = -pull;
            quadratic += (z[i] - self.mean[i]) * pull;
        }
        Ok(self.log_normaliser - 0.5 * quadratic)
    }
}

impl GaussianExpectation for GaussianTarget {
    fn expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) -> Result<()> {
        let deviation = &mean - &self.mean;
        out.gradient.assign(&self.precision.dot(&deviation));
        out.gradient *= -1.0;
        let spread = covariance.trace_product(self.precision.view());
        out.value = self.log_normaliser + 0.5 * (deviation.dot(&out.gradient) - spread);
        out.hessian.assign(&self.precision);
        out.hessian *= -1.0;
        Ok(())
    }
}
