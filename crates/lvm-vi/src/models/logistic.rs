//! Bayesian logistic regression.

use super::design::{Design, Response, SingleResponse, check_sd, normal_prior};
use super::single;
use crate::target::{DataLogDensity, TargetError};
use lvm_core::Result;
use lvm_core::rows::RowSource;
use lvm_core::special::{sigmoid_softplus_slice, sigmoid_softplus_sum};
use ndarray::ArrayView1;

/// Bayesian logistic regression.
///
/// # Model
/// ```text
/// z ~ N(0, s² I)            coefficients (D)
/// y_n ~ Bernoulli(σ(x_nᵀ z))
/// ```
/// # Symbols
/// | symbol | meaning | shape | constraint |
/// |---|---|---|---|
/// | x | covariates; an intercept is a column of ones | (N, D) | finite |
/// | y | outcomes | N | 0 or 1 |
/// | s | standard deviation of the prior | | positive |
/// | z | coefficients, the latents | D | |
///
/// # Numerics
/// All rows: one pass over strips of 64 rows on all threads, O(N D). While a strip is in the nearest cache it gives its linear
/// predictors, their vectorised exponentials and its part of the gradient, so the table is read from memory once. A table whose numbers
/// all have a single-precision equal (an f32 table, whole numbers, indicators) is kept in single precision, 4 bytes a cell in place of 8.
/// Sums are added in an order that depends on N alone, so the number of threads changes nothing. The posterior is log-concave and has no
/// closed form.
///
/// Cells in single precision are widened before they are multiplied, so an f32 table and the same numbers in f64 give the same answer to the
/// last bit. [`LogisticRegression::in_single_precision`] computes faster and to seven digits.
///
/// ```
/// use lvm_vi::models::LogisticRegression;
/// use lvm_vi::target::{FullData, LogDensity};
/// use ndarray::array;
/// let model = LogisticRegression::new(&array![[1.0], [-1.0]], array![1.0, 0.0].view(), 1.0)?;
/// let log_prior = -0.5 * std::f64::consts::TAU.ln();
/// assert!((FullData::new(&model).log_density(&[0.0])? - log_prior - 2.0 * 0.5f64.ln()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    design: Design,
    prior_sd: f64,
}

impl LogisticRegression {
    /// Covariates x (N, D), outcomes y (N), standard deviation of the prior of each coefficient.
    ///
    /// # Errors
    /// If the lengths differ, a cell is not finite, an outcome is not 0 or 1, or the standard deviation is not positive.
    pub fn new(x: &dyn RowSource, y: ArrayView1<'_, f64>, prior_sd: f64) -> Result<Self> {
        check_sd("prior_sd", prior_sd)?;
        Ok(LogisticRegression { design: Design::read(x, y, |y| y == 0.0 || y == 1.0, "0 or 1")?, prior_sd })
    }

    /// The same model, with passes over all rows computed in single precision, as other programs compute f32 tables: coefficients,
    /// predictors, exponentials and derivatives in f32; the gradient is added up in f32 over 512 rows and in f64 from there, values in f64.
    /// Minibatches stay in f64.
    ///
    /// With u = 6e-8, a predictor is off by at most (D + 1) u Σ_j |x_nj z_j|, usually by a few u |η_n|, and the log density and the
    /// gradient are those of such predictors to a few 1e-6 of Σ_n |log p(y_n | z)| and Σ_n |x_nj r_n|, r = σ(η) − y, but for 3e-16 a row in
    /// the one and 2e-38 |x_nj| in the other. Where a number overflows f32, the pass is repeated in f64. Steps of stochastic inference have far
    /// more noise than that. It is not for what takes differences of log densities: a check of the gradient by differences, or one that
    /// compares minibatches with the whole to the last digit, finds the roundings.
    ///
    /// ```
    /// use lvm_vi::models::LogisticRegression;
    /// use lvm_vi::target::{FullData, LogDensity};
    /// use ndarray::array;
    /// let (x, y) = (array![[0.1_f32], [-1.0]], array![1.0, 0.0]);
    /// let double = LogisticRegression::new(&x, y.view(), 1.0)?;
    /// let single = double.clone().in_single_precision()?;
    /// let [a, b] = [&double, &single].map(|model| FullData::new(model).log_density(&[0.3]));
    /// assert!((a? - b?).abs() < 1e-6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a cell has no equal in single precision, or a cell or a weight that is not 0 is outside 1e-30 … 1e30 in size.
    pub fn in_single_precision(self) -> Result<Self> {
        Ok(LogisticRegression { design: self.design.in_single_precision()?, ..self })
    }
}

struct Bernoulli;

impl Response for Bernoulli {
    fn evaluate(&self, eta: &mut [f64], y: &[f64], value: &mut [f64]) {
        // with s = 2y − 1: log p = −log(1 + e^{−sη}),   d/dη = s σ(−sη)
        eta.iter_mut().zip(y).for_each(|(eta, y)| *eta *= 1.0 - 2.0 * y);
        sigmoid_softplus_slice(eta, value);
        value.iter_mut().for_each(|v| *v = -*v);
        eta.iter_mut().zip(y).for_each(|(d, y)| *d *= 2.0 * y - 1.0);
    }

    fn sum(&self, eta: &mut [f64], y: &[f64]) -> f64 {
        eta.iter_mut().zip(y).for_each(|(eta, y)| *eta *= 1.0 - 2.0 * y);
        let value = -sigmoid_softplus_sum(eta);
        eta.iter_mut().zip(y).for_each(|(d, y)| *d *= 2.0 * y - 1.0);
        value
    }
}

impl SingleResponse for Bernoulli {
    fn sum_single(&self, eta: &mut [f32], y: &[f32]) -> f64 {
        single::bernoulli(eta, y)
    }
}

impl DataLogDensity for LogisticRegression {
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
        Ok(self.design.some(&Bernoulli, rows, z, gradient))
    }

    fn log_likelihood_grad_all(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.design.all_in_either(&Bernoulli, z, gradient))
    }
}
