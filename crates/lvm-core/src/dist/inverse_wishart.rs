use super::positive_definite;
use super::wishart::{bartlett, degrees_of_freedom};
use crate::error::Result;
use crate::linalg;
use crate::special::multivariate_lgamma;
use ndarray::{Array2, ArrayView2};
use rand::Rng;
use std::f64::consts::LN_2;

/// Inverse Wishart(ν, Ψ), of X⁻¹ ~ Wishart(ν, Ψ⁻¹): p(X) = det(Ψ)^{ν/2} det(X)^{−(ν+D+1)/2} exp(−½ tr ΨX⁻¹) / (2^{νD/2} Γ_D(ν/2)).
///
/// ```
/// use lvm_core::dist::InverseWishart;
/// let p = InverseWishart::new(5.0, ndarray::array![[2.0, 0.0], [0.0, 2.0]].view())?;
/// // Ψ / (ν − D − 1)
/// let mean = p.mean().expect("ν > D + 1");
/// assert!((mean[[0, 0]] - 1.0).abs() < 1e-14 && mean[[0, 1]].abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct InverseWishart {
    df: f64,
    cholesky: Array2<f64>,
}

impl InverseWishart {
    /// With ν > D − 1 degrees of freedom and scale matrix Ψ (D, D).
    ///
    /// # Errors
    /// If ν ≤ D − 1 or Ψ is not symmetric positive definite.
    pub fn new(df: f64, scale: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(Self { df: degrees_of_freedom(df, scale.nrows())?, cholesky: positive_definite("scale", scale.nrows(), scale)? })
    }

    /// ν.
    pub fn df(&self) -> f64 {
        self.df
    }

    /// Ψ (D, D).
    pub fn scale(&self) -> Array2<f64> {
        self.cholesky.dot(&self.cholesky.t())
    }

    /// log p(X).
    ///
    /// # Errors
    /// If X has another shape or is not symmetric positive definite.
    pub fn log_prob(&self, x: ArrayView2<'_, f64>) -> Result<f64> {
        let d = self.cholesky.nrows();
        let of_x = positive_definite("x", d, x)?;
        // tr ΨX⁻¹ = ‖L_X⁻¹ L_Ψ‖²_F
        let mut m = self.cholesky.clone();
        linalg::solve_lower(of_x.view(), m.view_mut());
        let trace: f64 = m.iter().map(|v| v * v).sum();
        let half = 0.5 * self.df;
        Ok(half * linalg::log_det(self.cholesky.view())
            - 0.5 * (self.df + d as f64 + 1.0) * linalg::log_det(of_x.view())
            - 0.5 * trace
            - half * d as f64 * LN_2
            - multivariate_lgamma(d, half))
    }

    /// One draw L A⁻ᵀ A⁻¹ Lᵀ with Bartlett's A; (D, D).
    pub fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        let d = self.cholesky.nrows();
        // X⁻¹ = L⁻ᵀ A Aᵀ L⁻¹, so X = (A⁻¹ Lᵀ)ᵀ (A⁻¹ Lᵀ)
        let a = bartlett(self.df, d, rng);
        let mut m = self.cholesky.t().as_standard_layout().into_owned();
        linalg::solve_lower(a.view(), m.view_mut());
        m.t().dot(&m)
    }

    /// Ψ/(ν − D − 1) (D, D) for ν > D + 1.
    pub fn mean(&self) -> Option<Array2<f64>> {
        let factor = self.df - self.cholesky.nrows() as f64 - 1.0;
        (factor > 0.0).then(|| self.scale() / factor)
    }

    /// Ψ/(ν + D + 1) (D, D).
    pub fn mode(&self) -> Array2<f64> {
        self.scale() / (self.df + self.cholesky.nrows() as f64 + 1.0)
    }
}
