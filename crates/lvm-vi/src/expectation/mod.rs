//! Expectations of log p and of its derivatives under a Gaussian q, exactly: what makes the ELBO a function without noise.
//!
//! ```text
//! f(m, S) = E_q[log p(u)],   ∂f/∂m = E_q[∇ log p],   ∂²f/∂m² = E_q[∇² log p] = 2 ∂f/∂S,   q = N(m, S)
//! ```
//!
//! (Bonnet 1964; Price 1958; Opper and Archambeau 2009). A user writes the density once, as a [`LogJoint`] of terms; it is then both a
//! target for any method ([`crate::target::LogDensityGrad`]) and a [`GaussianExpectation`] for the exact engines.

mod expression;
mod gaussian;
mod log_joint;
mod predictor;
mod quadratic;
mod univariate;

pub use expression::{Affine, Expression};
pub use gaussian::GaussianTarget;
pub use log_joint::LogJoint;
pub use predictor::Predictors;
pub use quadratic::ExponentialQuadratic;
pub use univariate::{Exponential, LogOnePlusSquare, Softplus, Univariate};

use crate::target::LogDensity;
use lvm_core::{Result, linalg};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// E_q of log p, of its gradient and of its Hessian.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// E_q\[log p\] in nats.
    pub value: f64,
    /// E_q\[∇ log p\] (d).
    pub gradient: Array1<f64>,
    /// E_q\[∇² log p\] (d, d).
    pub hessian: Array2<f64>,
}

impl Expectation {
    /// Zeros in d dimensions.
    pub fn zeros(d: usize) -> Self {
        Expectation { value: 0.0, gradient: Array1::zeros(d), hessian: Array2::zeros((d, d)) }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient.iter().chain(&self.hessian).all(|v| v.is_finite())
    }
}

/// The covariance S of a Gaussian q.
#[derive(Debug, Clone, Copy)]
pub enum Covariance<'a> {
    /// The variances (d) of a diagonal S.
    Diagonal(ArrayView1<'a, f64>),
    /// All of S (d, d).
    Full(ArrayView2<'a, f64>),
}

impl Covariance<'_> {
    /// S a.
    pub fn times(&self, a: ArrayView1<'_, f64>) -> Array1<f64> {
        match self {
            Covariance::Diagonal(v) => v * &a,
            Covariance::Full(s) => s.dot(&a),
        }
    }

    /// tr(Q S).
    pub fn trace_product(&self, q: ArrayView2<'_, f64>) -> f64 {
        match self {
            Covariance::Diagonal(v) => q.diag().dot(v),
            // both are symmetric
            Covariance::Full(s) => q.iter().zip(s).map(|(q, s)| q * s).sum(),
        }
    }

    /// xᵀ S x for every row of `x` (N, d).
    pub fn row_variances(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        match self {
            Covariance::Diagonal(v) => x.map_axis(Axis(1), |row| row.iter().zip(v).map(|(x, v)| x * x * v).sum()),
            Covariance::Full(s) => (linalg::matmul(x, *s) * x).sum_axis(Axis(1)),
        }
    }
}

/// A log density whose expectations under every Gaussian are known to rounding.
pub trait GaussianExpectation: LogDensity {
    /// The expectations under N(`mean`, `covariance`), written over `out`. Not finite where the expectation is not.
    ///
    /// # Errors
    /// If the target can't be evaluated at all.
    fn expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) -> Result<()>;
}
