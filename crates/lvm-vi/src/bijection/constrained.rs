//! A log density of constrained parameters, seen as one of unconstrained ones.

use super::Bijection;
use crate::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use lvm_core::mutant::planted;
use lvm_core::{ErrorKind, Result};

/// log p(b(u)) + log |∂b/∂u|: the density of u when x = b(u) has density p. The model is written once, in x; the Jacobian and its gradient
/// are added here, and to the prior only when the data comes in minibatches.
///
/// ```
/// use lvm_vi::bijection::{Constrained, Positive};
/// use lvm_vi::target::{LogDensity, TargetError};
/// struct Exponential;
/// impl LogDensity for Exponential {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, x: &[f64]) -> Result<f64, TargetError> { Ok(-x[0]) }
/// }
/// let target = Constrained::new(Exponential, Positive::exp(1))?;
/// assert_eq!(target.log_density(&[0.5])?, -0.5f64.exp() + 0.5);
/// assert_eq!(target.constrain(&[0.0]), [1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Constrained<T, B> {
    target: T,
    bijection: B,
}

impl<T, B: Bijection> Constrained<T, B> {
    /// A log density of x beside a bijection onto the x it is defined for.
    ///
    /// # Errors
    /// If the target has another dimension than x.
    pub fn new(target: T, bijection: B) -> Result<Self>
    where
        T: LogDensity,
    {
        let found = target.dim();
        Self::of_dimension(target, bijection, found)
    }

    /// As [`Constrained::new`], for a model with data in rows.
    ///
    /// # Errors
    /// If the target has another dimension than x.
    pub fn with_data(target: T, bijection: B) -> Result<Self>
    where
        T: DataLogDensity,
    {
        let found = target.dim();
        Self::of_dimension(target, bijection, found)
    }

    fn of_dimension(target: T, bijection: B, found: usize) -> Result<Self> {
        let expected = bijection.constrained_dim();
        if expected != found {
            return Err(ErrorKind::Shape { what: "dimension of the target beside that of the bijection's x", expected, found }.into());
        }
        Ok(Constrained { target, bijection })
    }

    /// x = b(u).
    pub fn constrain(&self, u: &[f64]) -> Vec<f64> {
        self.point(u).0
    }

    /// u = b⁻¹(x).
    ///
    /// # Errors
    /// If x is not in the set.
    pub fn unconstrain(&self, x: &[f64]) -> Result<Vec<f64>> {
        let mut u = vec![0.0; self.bijection.unconstrained_dim()];
        self.bijection.unconstrain(x, &mut u)?;
        Ok(u)
    }

    /// The target as it was written.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// x with log |J|.
    fn point(&self, u: &[f64]) -> (Vec<f64>, f64) {
        let mut x = vec![0.0; self.bijection.constrained_dim()];
        let log_jacobian = self.bijection.constrain(u, &mut x);
        (x, if planted("jacobian_sign") { -log_jacobian } else { log_jacobian })
    }
}

impl<T: LogDensity, B: Bijection> LogDensity for Constrained<T, B> {
    fn dim(&self) -> usize {
        self.bijection.unconstrained_dim()
    }

    fn log_density(&self, u: &[f64]) -> Result<f64, TargetError> {
        let (x, log_jacobian) = self.point(u);
        let weight = if planted("jacobian_missing") { 0.0 } else { 1.0 };
        Ok(self.target.log_density(&x)? + weight * log_jacobian)
    }
}

impl<T: LogDensityGrad, B: Bijection> LogDensityGrad for Constrained<T, B> {
    fn log_density_grad(&self, u: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (x, log_jacobian) = self.point(u);
        let mut x_gradient = vec![0.0; x.len()];
        let value = self.target.log_density_grad(&x, &mut x_gradient)?;
        self.bijection.pull_back(u, &x, &x_gradient, 1.0, gradient);
        Ok(value + log_jacobian)
    }
}

impl<T: DataLogDensity, B: Bijection> DataLogDensity for Constrained<T, B> {
    fn dim(&self) -> usize {
        self.bijection.unconstrained_dim()
    }

    fn n_data(&self) -> usize {
        self.target.n_data()
    }

    fn log_prior_grad(&self, u: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (x, log_jacobian) = self.point(u);
        let mut x_gradient = vec![0.0; x.len()];
        let value = self.target.log_prior_grad(&x, &mut x_gradient)?;
        self.bijection.pull_back(u, &x, &x_gradient, 1.0, gradient);
        Ok(value + log_jacobian)
    }

    fn log_likelihood_grad(&self, rows: &[usize], u: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (x, _) = self.point(u);
        let mut x_gradient = vec![0.0; x.len()];
        let value = self.target.log_likelihood_grad(rows, &x, &mut x_gradient)?;
        // the Jacobian belongs to the prior: once, however many batches there are
        self.bijection.pull_back(u, &x, &x_gradient, if planted("jacobian_in_each_batch") { 1.0 } else { 0.0 }, gradient);
        Ok(value)
    }

    fn log_likelihood_grad_all(&self, u: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (x, _) = self.point(u);
        let mut x_gradient = vec![0.0; x.len()];
        let value = self.target.log_likelihood_grad_all(&x, &mut x_gradient)?;
        self.bijection.pull_back(u, &x, &x_gradient, 0.0, gradient);
        Ok(value)
    }
}
