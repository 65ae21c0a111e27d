use super::{log_gamma_draw, log1p_square, mahalanobis, positive, positive_definite, same_length, standard_normal};
use crate::error::Result;
use crate::linalg;
use crate::special::lgamma_delta;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use std::f64::consts::PI;

/// Multivariate t: p(x) = Γ((ν+D)/2) / (Γ(ν/2) (νπ)^{D/2} √det S) · (1 + q/ν)^{−(ν+D)/2}, q = (x − μ)ᵀ S⁻¹ (x − μ).
///
/// ```
/// use lvm_core::dist::MultivariateT;
/// let p = MultivariateT::new(5.0, ndarray::array![0.0, 0.0].view(), ndarray::Array2::eye(2).view())?;
/// // S ν / (ν − 2)
/// assert!((p.covariance().expect("ν > 2")[[0, 0]] - 5.0 / 3.0).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultivariateT {
    df: f64,
    loc: Array1<f64>,
    cholesky: Array2<f64>,
}

impl MultivariateT {
    /// With ν > 0 degrees of freedom, location μ (D) and scale matrix S (D, D).
    ///
    /// # Errors
    /// If ν is not positive, the shapes differ or S is not symmetric positive definite.
    pub fn new(df: f64, loc: ArrayView1<'_, f64>, scale: ArrayView2<'_, f64>) -> Result<Self> {
        for m in loc {
            super::finite("loc", *m)?;
        }
        Ok(Self { df: positive("df", df)?, loc: loc.to_owned(), cholesky: positive_definite("scale", loc.len(), scale)? })
    }

    /// ν.
    pub fn df(&self) -> f64 {
        self.df
    }

    /// μ (D).
    pub fn loc(&self) -> ArrayView1<'_, f64> {
        self.loc.view()
    }

    /// S (D, D).
    pub fn scale(&self) -> Array2<f64> {
        self.cholesky.dot(&self.cholesky.t())
    }

    /// S ν/(ν − 2) (D, D) for ν > 2.
    pub fn covariance(&self) -> Option<Array2<f64>> {
        (self.df > 2.0).then(|| self.scale() * (self.df / (self.df - 2.0)))
    }

    /// log p(x).
    ///
    /// # Errors
    /// If x has another length.
    pub fn log_prob(&self, x: ArrayView1<'_, f64>) -> Result<f64> {
        same_length("entries of x", self.loc.len(), x.len())?;
        let half = 0.5 * self.loc.len() as f64;
        let distance = mahalanobis(x, self.loc.view(), self.cholesky.view()).sqrt();
        let normaliser = lgamma_delta(0.5 * self.df, half) - half * (self.df.ln() + PI.ln()) - 0.5 * linalg::log_det(self.cholesky.view());
        Ok(normaliser - (0.5 * self.df + half) * log1p_square(distance, self.df))
    }

    /// One draw μ + L z / √(χ²_ν/ν); (D).
    pub fn sample(&self, rng: &mut dyn Rng) -> Array1<f64> {
        let log_precision = log_gamma_draw(0.5 * self.df, rng) - (0.5 * self.df).ln();
        let factor = (-0.5 * log_precision).exp();
        let z: Array1<f64> = (0..self.loc.len()).map(|_| factor * standard_normal(rng)).collect();
        &self.loc + &self.cholesky.dot(&z)
    }
}
