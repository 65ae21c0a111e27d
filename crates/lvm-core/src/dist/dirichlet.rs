use super::{log_gamma_draw, positive, same_length, x_log_y};
use crate::error::{Error, Result};
use crate::special::{deviance, digamma, lgamma, lgamma_bregman_rest, stirling_error};
use ndarray::{Array1, ArrayView1};
use rand::Rng;
use std::f64::consts::PI;

/// Dirichlet(α): p(x) = Γ(Σα) / Π Γ(α_k) · Π x_k^{α_k − 1} on the simplex Σ x_k = 1.
///
/// ```
/// use lvm_core::dist::Dirichlet;
/// let p = Dirichlet::new(ndarray::array![1.0, 1.0, 2.0].view())?;
/// assert_eq!(p.mean(), ndarray::array![0.25, 0.25, 0.5]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dirichlet {
    alpha: Array1<f64>,
    total: f64,
}

impl Dirichlet {
    /// With concentrations α (K), all positive.
    ///
    /// # Errors
    /// If there is none or one is not positive.
    pub fn new(alpha: ArrayView1<'_, f64>) -> Result<Self> {
        if alpha.is_empty() {
            return Err(Error::config("alpha", "at least one concentration is needed"));
        }
        for a in alpha {
            positive("alpha", *a)?;
        }
        Ok(Self { alpha: alpha.to_owned(), total: alpha.sum() })
    }

    /// α (K).
    pub fn alpha(&self) -> ArrayView1<'_, f64> {
        self.alpha.view()
    }

    /// log p(x); −∞ off the simplex (a negative entry, or a sum off 1 by more than 1e-8).
    ///
    /// # Errors
    /// If x has another length.
    pub fn log_prob(&self, x: ArrayView1<'_, f64>) -> Result<f64> {
        same_length("entries of x", self.alpha.len(), x.len())?;
        if x.iter().any(|v| *v < 0.0) || (x.sum() - 1.0).abs() > 1e-8 {
            return Ok(f64::NEG_INFINITY);
        }
        if self.total < 10.0 || x.iter().any(|v| *v == 0.0) {
            let kernel: f64 = self.alpha.iter().zip(x).map(|(a, v)| x_log_y(a - 1.0, *v) - lgamma(*a)).sum();
            return Ok(kernel + lgamma(self.total));
        }
        // with Stirling for each Γ(α_k + 1) = α_k Γ(α_k) and A = Σα:
        //   Σ_k [−α_k log(α_k / (A x_k)) − δ(α_k) + ½ log(α_k / 2π) − log x_k] + δ(A) − ½ log(A / 2π)
        let term = |(a, v): (&f64, &f64)| {
            let (m, d) = (self.total * v, a - self.total * v);
            -deviance(*a, m, d) - d - stirling_error(*a) + 0.5 * (a / (2.0 * PI)).ln() - v.ln()
        };
        Ok(self.alpha.iter().zip(x).map(term).sum::<f64>() + stirling_error(self.total) - 0.5 * (self.total / (2.0 * PI)).ln())
    }

    /// One draw (K), through logarithms of gamma draws, so that tiny concentrations do not underflow.
    pub fn sample(&self, rng: &mut dyn Rng) -> Array1<f64> {
        let logs = self.alpha.mapv(|a| log_gamma_draw(a, rng));
        let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights = logs.mapv(|v| (v - max).exp());
        let sum = weights.sum();
        weights / sum
    }

    /// α_k / A, A = Σα.
    pub fn mean(&self) -> Array1<f64> {
        &self.alpha / self.total
    }

    /// m_k (1 − m_k)/(A + 1) with the mean m.
    pub fn variance(&self) -> Array1<f64> {
        self.alpha.mapv(|a| a / self.total * ((self.total - a) / self.total) / (self.total + 1.0))
    }

    /// E\[log x_k\] = ψ(α_k) − ψ(A).
    pub fn mean_log(&self) -> Array1<f64> {
        let at_total = digamma(self.total);
        self.alpha.mapv(|a| digamma(a) - at_total)
    }

    /// (α_k − 1)/(A − K) where all α_k > 1; else none inside the simplex.
    pub fn mode(&self) -> Option<Array1<f64>> {
        let k = self.alpha.len() as f64;
        self.alpha.iter().all(|a| *a > 1.0).then(|| self.alpha.mapv(|a| (a - 1.0) / (self.total - k)))
    }

    /// Σ log Γ(α_k) − log Γ(A) + (A − K) ψ(A) − Σ (α_k − 1) ψ(α_k).
    pub fn entropy(&self) -> f64 {
        let k = self.alpha.len() as f64;
        let each: f64 = self.alpha.iter().map(|a| lgamma(*a) - (a - 1.0) * digamma(*a)).sum();
        each - lgamma(self.total) + (self.total - k) * digamma(self.total)
    }

    /// KL(self ‖ p): the Bregman divergence of the log normaliser.
    ///
    /// # Errors
    /// If the numbers of categories differ.
    pub fn kl(&self, p: &Self) -> Result<f64> {
        same_length("concentrations of p", self.alpha.len(), p.alpha.len())?;
        // the deviances of α_pk from A_p α_k/A, and what Stirling leaves of the divergences of log Γ
        let growth: f64 = self.alpha.iter().zip(&p.alpha).map(|(a, b)| b - a).sum();
        let term = |(a, b): (&f64, &f64)| {
            let share = a / self.total;
            deviance(*b, p.total * share, (b - a) - growth * share) + lgamma_bregman_rest(*b, *a, b - a)
        };
        Ok(self.alpha.iter().zip(&p.alpha).map(term).sum::<f64>() - lgamma_bregman_rest(p.total, self.total, growth))
    }
}
