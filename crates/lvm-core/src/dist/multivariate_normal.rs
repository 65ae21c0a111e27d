use super::{mahalanobis, positive_definite, same_length, standard_normal};
use crate::error::Result;
use crate::linalg;
use crate::mutant::planted;
use crate::special::{HALF_LOG_2PI, deviance};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;

/// N(μ, Σ) in D dimensions: p(x) = exp(−½ (x − μ)ᵀ Σ⁻¹ (x − μ)) / √det(2πΣ).
///
/// Stored are μ and the lower Cholesky factor L of Σ = L Lᵀ; densities are solved against L, Σ is never inverted.
///
/// ```
/// use lvm_core::dist::MultivariateNormal;
/// use ndarray::array;
/// let p = MultivariateNormal::new(array![0.0, 0.0].view(), array![[1.0, 0.5], [0.5, 1.0]].view())?;
/// assert!((p.log_prob(array![0.0, 0.0].view())? + (2.0 * std::f64::consts::PI).ln() + 0.5 * 0.75_f64.ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultivariateNormal {
    mean: Array1<f64>,
    cholesky: Array2<f64>,
}

impl MultivariateNormal {
    /// With mean μ (D) and covariance Σ (D, D).
    ///
    /// # Errors
    /// If the shapes differ or Σ is not symmetric positive definite.
    pub fn new(mean: ArrayView1<'_, f64>, covariance: ArrayView2<'_, f64>) -> Result<Self> {
        for m in mean {
            super::finite("mean", *m)?;
        }
        Ok(Self { mean: mean.to_owned(), cholesky: positive_definite("covariance", mean.len(), covariance)? })
    }

    /// D.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// μ (D).
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        self.mean.view()
    }

    /// L (D, D), lower triangular, Σ = L Lᵀ.
    pub fn cholesky(&self) -> ArrayView2<'_, f64> {
        self.cholesky.view()
    }

    /// Σ (D, D).
    pub fn covariance(&self) -> Array2<f64> {
        self.cholesky.dot(&self.cholesky.t())
    }

    /// log p(x).
    ///
    /// # Errors
    /// If x has another length.
    pub fn log_prob(&self, x: ArrayView1<'_, f64>) -> Result<f64> {
        same_length("entries of x", self.dim(), x.len())?;
        let square = mahalanobis(x, self.mean.view(), self.cholesky.view());
        let constant = if planted("mvn_two_pi") { 0.0 } else { self.dim() as f64 * HALF_LOG_2PI };
        Ok(-0.5 * (square + linalg::log_det(self.cholesky.view())) - constant)
    }

    /// One draw μ + L z, z ~ N(0, I); (D).
    pub fn sample(&self, rng: &mut dyn Rng) -> Array1<f64> {
        let z: Array1<f64> = (0..self.dim()).map(|_| standard_normal(rng)).collect();
        &self.mean + &self.cholesky.dot(&z)
    }

    /// ½ log det(2πe Σ).
    pub fn entropy(&self) -> f64 {
        self.dim() as f64 * (HALF_LOG_2PI + 0.5) + 0.5 * linalg::log_det(self.cholesky.view())
    }

    /// KL(self ‖ p) = ½ Σ_i (λ_i − 1 − log λ_i) + ½ (μ − μ_p)ᵀ Σ_p⁻¹ (μ − μ_p), λ the eigenvalues of Σ_p⁻¹ Σ.
    ///
    /// # Errors
    /// If the dimensions differ or an eigen-decomposition fails.
    pub fn kl(&self, p: &Self) -> Result<f64> {
        same_length("dimension of p", self.dim(), p.dim())?;
        let square = mahalanobis(self.mean.view(), p.mean.view(), p.cholesky.view());
        Ok(0.5 * (relative_excess(self.cholesky.view(), p.cholesky.view())?.0 + square))
    }

    /// The Wasserstein-2 distance √(|μ − μ_p|² + min_U ‖L − L_p U‖²_F) over orthogonal U: the Bures distance of the covariances.
    ///
    /// # Errors
    /// If the dimensions differ or a decomposition fails.
    pub fn wasserstein_2(&self, p: &Self) -> Result<f64> {
        same_length("dimension of p", self.dim(), p.dim())?;
        // the minimising U is the orthogonal factor of L_pᵀ L = P S Qᵀ: U = P Qᵀ (Procrustes); nothing cancels when Σ ≈ Σ_p
        let (left, _, right) = linalg::svd(p.cholesky.t().dot(&self.cholesky).view())?;
        let gap = &self.cholesky - &p.cholesky.dot(&left.dot(&right));
        let shift = &self.mean - &p.mean;
        Ok((gap.iter().chain(&shift).map(|v| v * v).sum::<f64>()).sqrt())
    }
}

/// (Σ_i (λ_i − 1 − log λ_i), Σ_i log λ_i) over the eigenvalues λ of B⁻¹ A for A = L_a L_aᵀ, B = L_b L_bᵀ.
pub(super) fn relative_excess(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<(f64, f64)> {
    // the eigenvalues are the squared singular values of L_b⁻¹ L_a
    let mut m = a.to_owned();
    linalg::solve_lower(b, m.view_mut());
    let (_, s, _) = linalg::svd(m.view())?;
    let excess = s.iter().map(|s| deviance(1.0, s * s, -(s - 1.0) * (s + 1.0))).sum();
    Ok((excess, linalg::log_det(a) - linalg::log_det(b)))
}
