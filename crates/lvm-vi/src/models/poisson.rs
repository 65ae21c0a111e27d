//! Bayesian Poisson regression.

use super::design::{Design, Response, check_sd, normal_prior};
use crate::target::{DataLogDensity, TargetError};
use lvm_core::Result;
use lvm_core::mutant::planted;
use lvm_core::rows::RowSource;
use lvm_core::special::{exp_slice, lgamma};
use ndarray::ArrayView1;

/// Bayesian Poisson regression with the logarithmic link.
///
/// # Model
/// ```text
/// z ~ N(0, s² I)            coefficients (D)
/// y_n ~ Poisson(exp(x_nᵀ z))
/// ```
/// # Symbols
/// | symbol | meaning | shape | constraint |
/// |---|---|---|---|
/// | x | covariates; an intercept is a column of ones | (N, D) | finite |
/// | y | counts | N | 0, 1, 2, … |
/// | s | standard deviation of the prior | | positive |
/// | z | coefficients, the latents | D | |
///
/// # Numerics
/// As [`LogisticRegression`](super::LogisticRegression), but for single precision. Where a rate overflows (x_nᵀ z > 708) the log density is −∞.
///
/// ```
/// use lvm_vi::models::PoissonRegression;
/// use lvm_vi::target::{FullData, LogDensity};
/// use ndarray::array;
/// let model = PoissonRegression::new(&array![[1.0]], array![3.0].view(), 1.0)?;
/// // log Poisson(3 | 1) = −1 − log 3!
/// let exact = -0.5 * std::f64::consts::TAU.ln() - 1.0 - 6f64.ln();
/// assert!((FullData::new(&model).log_density(&[0.0])? - exact).abs() < 1e-14);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PoissonRegression {
    design: Design,
    prior_sd: f64,
    /// w_n log y_n! (N).
    log_factorials: Vec<f64>,
}

impl PoissonRegression {
    /// Covariates x (N, D), counts y (N), standard deviation of the prior of each coefficient.
    ///
    /// # Errors
    /// If the lengths differ, a cell is not finite, a count is not a whole number from 0 on, or the standard deviation is not positive.
    pub fn new(x: &dyn RowSource, y: ArrayView1<'_, f64>, prior_sd: f64) -> Result<Self> {
        check_sd("prior_sd", prior_sd)?;
        let design = Design::read(x, y, |y| y >= 0.0 && y.is_finite() && y.fract() == 0.0, "a whole number from 0 on")?;
        let log_factorials = design.y.iter().enumerate().map(|(n, y)| design.weight(n) * lgamma(y + 1.0)).collect();
        Ok(PoissonRegression { design, prior_sd, log_factorials })
    }
}

struct Counts;

impl Response for Counts {
    fn evaluate(&self, eta: &mut [f64], y: &[f64], value: &mut [f64]) {
        // log p = y η − e^η − log y!,   d/dη = y − e^η
        value.iter_mut().zip(eta.iter()).zip(y).for_each(|((v, eta), y)| *v = eta * y);
        exp_slice(eta);
        for ((rate, v), y) in eta.iter_mut().zip(value).zip(y) {
            *v -= *rate;
            *rate = y - *rate;
        }
    }
}

impl DataLogDensity for PoissonRegression {
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
        let constant: f64 = if planted("poisson_without_factorial") { 0.0 } else { rows.iter().map(|&n| self.log_factorials[n]).sum() };
        Ok(self.design.some(&Counts, rows, z, gradient) - constant)
    }

    fn log_likelihood_grad_all(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.design.all(&Counts, z, gradient) - self.log_factorials.iter().sum::<f64>())
    }
}
