//! Bayesian linear regression with known noise: the model whose posterior is exact.

use super::design::{Design, Response, check_sd, normal_prior};
use crate::family::{FullRank, Gaussian};
use crate::target::{DataLogDensity, TargetError};
use lvm_core::rows::RowSource;
use lvm_core::{Result, linalg};
use ndarray::{Array1, Array2, ArrayView1};
use std::f64::consts::TAU;

/// Bayesian linear regression with noise of known size.
///
/// # Model
/// ```text
/// z ~ N(0, s² I)            coefficients (D)
/// y_n ~ N(x_nᵀ z, σ²)
/// ```
/// # Symbols
/// | symbol | meaning | shape | constraint |
/// |---|---|---|---|
/// | x | covariates; an intercept is a column of ones | (N, D) | finite |
/// | y | responses | N | finite |
/// | s | standard deviation of the prior | | positive |
/// | σ | standard deviation of the noise | | positive |
/// | z | coefficients, the latents | D | |
///
/// # Numerics
/// Posterior and evidence in closed form, O(N D² + D³): the truth for every approximate method. The gradient as in
/// [`LogisticRegression`](super::LogisticRegression), but for single precision.
///
/// ```
/// use lvm_vi::family::Family;
/// use lvm_vi::models::LinearRegression;
/// use ndarray::array;
/// let model = LinearRegression::new(&array![[1.0]], array![10.0].view(), 1.0, 0.5)?;
/// let posterior = model.posterior()?;
/// assert!((posterior.mean()[0] - 8.0).abs() < 1e-14 && (posterior.covariance()[[0, 0]] - 0.2).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LinearRegression {
    design: Design,
    prior_sd: f64,
    noise_sd: f64,
}

impl LinearRegression {
    /// Covariates x (N, D), responses y (N), standard deviations of the prior of each coefficient and of the noise.
    ///
    /// # Errors
    /// If the lengths differ, a number is not finite, or a standard deviation is not positive.
    pub fn new(x: &dyn RowSource, y: ArrayView1<'_, f64>, prior_sd: f64, noise_sd: f64) -> Result<Self> {
        check_sd("prior_sd", prior_sd)?;
        check_sd("noise_sd", noise_sd)?;
        Ok(LinearRegression { design: Design::read(x, y, f64::is_finite, "finite")?, prior_sd, noise_sd })
    }

    /// p(z | y) = N(m, S) with S⁻¹ = I/s² + XᵀX/σ², m = S Xᵀy/σ².
    ///
    /// # Errors
    /// If S⁻¹ is not positive definite in floating-point numbers.
    pub fn posterior(&self) -> Result<FullRank> {
        let d = self.design.columns();
        let mut precision: Array2<f64> = Array2::eye(d) / (self.prior_sd * self.prior_sd);
        let mut linear = Array1::<f64>::zeros(d);
        let scale = 1.0 / (self.noise_sd * self.noise_sd);
        for b in 0..self.design.n_blocks() {
            let (x, rows) = (self.design.block(b), self.design.range(b));
            let weights: Array1<f64> = rows.clone().map(|n| scale * self.design.weight(n)).collect();
            let weighted = &x * &weights.insert_axis(ndarray::Axis(1));
            linalg::add_lower(1.0, weighted.view(), x.view(), precision.view_mut());
            linear += &weighted.t().dot(&ArrayView1::from(&self.design.y[rows]));
        }
        let lower = linalg::cholesky(precision.view()).map_err(|e| e.of("the precision of the coefficients"))?;
        let mut mean = linear.insert_axis(ndarray::Axis(1));
        linalg::cholesky_solve(lower.view(), mean.view_mut());
        FullRank::new(&mean.into_raw_vec_and_offset().0, linalg::cholesky_inverse(lower.view()).view())
    }

    /// log p(y) = log p(y, z) − log p(z | y), at z = m.
    ///
    /// # Errors
    /// As [`LinearRegression::posterior`].
    pub fn log_evidence(&self) -> Result<f64> {
        let posterior = self.posterior()?;
        let mut gradient = vec![0.0; self.design.columns()];
        let mean = posterior.location();
        let log_likelihood = self.design.all(&self.noise(), mean, &mut gradient) - self.constant(0..self.design.rows());
        let log_joint = log_likelihood + normal_prior(mean, self.prior_sd, &mut gradient);
        Ok(log_joint + 0.5 * (posterior.log_det() + mean.len() as f64 * TAU.ln()))
    }

    fn noise(&self) -> Noise {
        Noise { precision: 1.0 / (self.noise_sd * self.noise_sd) }
    }

    /// ½ Σ w_n log 2πσ².
    fn constant(&self, rows: impl Iterator<Item = usize>) -> f64 {
        rows.map(|n| self.design.weight(n)).sum::<f64>() * (0.5 * TAU.ln() + self.noise_sd.ln())
    }
}

/// N(y; η, 1/precision).
struct Noise {
    precision: f64,
}

impl Response for Noise {
    fn evaluate(&self, eta: &mut [f64], y: &[f64], value: &mut [f64]) {
        // log p = −(y − η)²/2σ² − ½ log 2πσ²,   d/dη = (y − η)/σ²
        for ((eta, v), y) in eta.iter_mut().zip(value).zip(y) {
            let residual = y - *eta;
            *eta = residual * self.precision;
            *v = -0.5 * residual * *eta;
        }
    }
}

impl DataLogDensity for LinearRegression {
    fn dim(&self) -> usize {
        self.design.columns()
    }

    fn n_data(&self) -> usize {
        self.design.rows()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(normal_prior(z, self.prior_sd, gradient))
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.design.some(&self.noise(), rows, z, gradient) - self.constant(rows.iter().copied()))
    }

    fn log_likelihood_grad_all(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.design.all(&self.noise(), z, gradient) - self.constant(0..self.design.rows()))
    }
}
