use super::multivariate_normal::relative_excess;
use super::{log_gamma_draw, positive_definite, same_length, standard_normal};
use crate::error::{Error, Result};
use crate::linalg;
use crate::mutant::planted;
use crate::special::{digamma, lgamma_bregman, multivariate_lgamma};
use ndarray::{Array2, ArrayView2};
use rand::Rng;
use std::f64::consts::LN_2;

/// Wishart(ν, V) with scale matrix V, E\[X\] = νV: p(X) = det(X)^{(ν−D−1)/2} exp(−½ tr V⁻¹X) / (2^{νD/2} det(V)^{ν/2} Γ_D(ν/2)).
///
/// Over symmetric positive definite X (D, D), ν > D − 1; the measure counts the D(D+1)/2 entries of a triangle. Muirhead (1982), 3.2.1.
///
/// ```
/// use lvm_core::dist::Wishart;
/// let p = Wishart::new(4.0, ndarray::Array2::eye(2).view())?;
/// assert!((p.mean()[[0, 0]] - 4.0).abs() < 1e-14 && p.mean()[[0, 1]].abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Wishart {
    df: f64,
    cholesky: Array2<f64>,
}

/// Refuses ν ≤ D − 1.
pub(super) fn degrees_of_freedom(df: f64, d: usize) -> Result<f64> {
    if df.is_finite() && df > d as f64 - 1.0 {
        Ok(df)
    } else {
        Err(Error::config("df", format!("{df} must be finite and above D − 1 = {}", d as f64 - 1.0)))
    }
}

impl Wishart {
    /// With ν degrees of freedom and scale matrix V (D, D).
    ///
    /// # Errors
    /// If ν ≤ D − 1 or V is not symmetric positive definite.
    pub fn new(df: f64, scale: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(Self { df: degrees_of_freedom(df, scale.nrows())?, cholesky: positive_definite("scale", scale.nrows(), scale)? })
    }

    /// ν.
    pub fn df(&self) -> f64 {
        self.df
    }

    /// D.
    pub fn dim(&self) -> usize {
        self.cholesky.nrows()
    }

    /// V (D, D).
    pub fn scale(&self) -> Array2<f64> {
        self.cholesky.dot(&self.cholesky.t())
    }

    /// log p(X).
    ///
    /// # Errors
    /// If X has another shape or is not symmetric positive definite.
    pub fn log_prob(&self, x: ArrayView2<'_, f64>) -> Result<f64> {
        let d = self.dim();
        let of_x = positive_definite("x", d, x)?;
        // tr V⁻¹X = ‖L_V⁻¹ L_X‖²_F
        let mut m = of_x.clone();
        linalg::solve_lower(self.cholesky.view(), m.view_mut());
        let trace: f64 = m.iter().map(|v| v * v).sum();
        let half = 0.5 * if planted("wishart_df") { self.df + 1.0 } else { self.df };
        Ok(0.5 * (self.df - d as f64 - 1.0) * linalg::log_det(of_x.view())
            - 0.5 * trace
            - half * d as f64 * LN_2
            - half * linalg::log_det(self.cholesky.view())
            - multivariate_lgamma(d, half))
    }

    /// One draw L A Aᵀ Lᵀ with A lower triangular, A_ii² ~ χ²_{ν−i}, A_ij ~ N(0, 1) (Bartlett 1933); (D, D).
    pub fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        let factor = self.cholesky.dot(&bartlett(self.df, self.dim(), rng));
        factor.dot(&factor.t())
    }

    /// νV (D, D).
    pub fn mean(&self) -> Array2<f64> {
        self.scale() * self.df
    }

    /// (ν − D − 1) V (D, D) for ν ≥ D + 1.
    pub fn mode(&self) -> Option<Array2<f64>> {
        let factor = self.df - self.dim() as f64 - 1.0;
        (factor >= 0.0).then(|| self.scale() * factor)
    }

    /// E\[log det X\] = Σ_{j<D} ψ((ν − j)/2) + D log 2 + log det V.   PRML B.81
    pub fn mean_log_det(&self) -> f64 {
        let d = self.dim();
        (0..d).map(|j| digamma(0.5 * (self.df - j as f64))).sum::<f64>() + d as f64 * LN_2 + linalg::log_det(self.cholesky.view())
    }

    /// −E\[log p(X)\] = log normaliser − (ν − D − 1)/2 E\[log det X\] + νD/2.   PRML B.82
    pub fn entropy(&self) -> f64 {
        let (d, half) = (self.dim() as f64, 0.5 * self.df);
        let normaliser = half * d * LN_2 + half * linalg::log_det(self.cholesky.view()) + multivariate_lgamma(self.dim(), half);
        normaliser - 0.5 * (self.df - d - 1.0) * self.mean_log_det() + half * d
    }

    /// KL(self ‖ p): Bregman divergences of log Γ and −log, so accurate also for p near self.
    ///
    /// # Errors
    /// If the dimensions differ or a decomposition fails.
    pub fn kl(&self, p: &Self) -> Result<f64> {
        same_length("dimension of p", self.dim(), p.dim())?;
        let gammas: f64 =
            (0..self.dim()).map(|j| lgamma_bregman(0.5 * (p.df - j as f64), 0.5 * (self.df - j as f64), 0.5 * (p.df - self.df))).sum();
        // λ the eigenvalues of V_p⁻¹ V:  ν/2 Σ (λ − 1 − log λ) + (ν − ν_p)/2 Σ log λ
        let (excess, log_det) = relative_excess(self.cholesky.view(), p.cholesky.view())?;
        Ok(gammas + 0.5 * self.df * excess + 0.5 * (self.df - p.df) * log_det)
    }
}

/// A of Bartlett's decomposition, (D, D) lower triangular: A Aᵀ ~ Wishart(ν, I).
pub(super) fn bartlett(df: f64, d: usize, rng: &mut dyn Rng) -> Array2<f64> {
    let mut a = Array2::zeros((d, d));
    for i in 0..d {
        for j in 0..i {
            a[[i, j]] = standard_normal(rng);
        }
        // χ²_k = 2 Gamma(k/2)
        a[[i, i]] = (0.5 * (LN_2 + log_gamma_draw(0.5 * (df - i as f64), rng))).exp();
    }
    a
}
