use super::same_length;
use crate::error::{Error, Result};
use ndarray::{Array1, ArrayView1};
use rand::Rng;

/// Categorical on 0 … K − 1: p(k) = π_k.
///
/// ```
/// use lvm_core::dist::Categorical;
/// let p = Categorical::new(ndarray::array![0.2, 0.8].view())?;
/// assert!(p.mode() == 1 && (p.log_prob(0) - 0.2_f64.ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Categorical {
    log_probabilities: Array1<f64>,
}

impl Categorical {
    /// From probabilities (K) that sum to 1 within 1e-9; they are normalised.
    ///
    /// # Errors
    /// If there is none, one is negative, or the sum is off.
    pub fn new(probabilities: ArrayView1<'_, f64>) -> Result<Self> {
        let sum = probabilities.sum();
        if probabilities.iter().any(|p| !(*p >= 0.0)) || !((sum - 1.0).abs() <= 1e-9) {
            return Err(Error::config("probabilities", format!("they must be non-negative and sum to 1, the sum is {sum}")));
        }
        Ok(Self { log_probabilities: probabilities.mapv(|p| (p / sum).ln()) })
    }

    /// From logits (K), π_k = exp(η_k) / Σ_j exp(η_j), without overflow.
    ///
    /// # Errors
    /// If there is none or one is NaN or +∞, or all are −∞.
    pub fn from_logits(logits: ArrayView1<'_, f64>) -> Result<Self> {
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !max.is_finite() || logits.iter().any(|v| v.is_nan()) {
            return Err(Error::config("logits", "at least one must be finite, none NaN or +∞"));
        }
        let sum: f64 = logits.iter().map(|v| (v - max).exp()).sum();
        Ok(Self { log_probabilities: logits.mapv(|v| (v - max) - sum.ln()) })
    }

    /// log π (K).
    pub fn log_probabilities(&self) -> ArrayView1<'_, f64> {
        self.log_probabilities.view()
    }

    /// log π_k, and −∞ for k ≥ K.
    pub fn log_prob(&self, k: usize) -> f64 {
        self.log_probabilities.get(k).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// One draw.
    pub fn sample(&self, rng: &mut dyn Rng) -> usize {
        let mut rest = super::open_uniform(rng);
        let mut last = 0;
        for (k, log_p) in self.log_probabilities.iter().enumerate() {
            let p = log_p.exp();
            if p > 0.0 {
                last = k;
                rest -= p;
                if rest <= 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// The first of the most probable categories.
    pub fn mode(&self) -> usize {
        let mut best = 0;
        for k in 1..self.log_probabilities.len() {
            if self.log_probabilities[k] > self.log_probabilities[best] {
                best = k;
            }
        }
        best
    }

    /// −Σ_k π_k log π_k.
    pub fn entropy(&self) -> f64 {
        -self.log_probabilities.iter().filter(|v| v.is_finite()).map(|v| v.exp() * v).sum::<f64>()
    }

    /// KL(self ‖ p) = Σ_k π_k log(π_k/p_k); +∞ where p_k = 0 < π_k.
    ///
    /// # Errors
    /// If the numbers of categories differ.
    pub fn kl(&self, p: &Self) -> Result<f64> {
        same_length("categories of p", self.log_probabilities.len(), p.log_probabilities.len())?;
        let pairs = self.log_probabilities.iter().zip(&p.log_probabilities);
        Ok(pairs.filter(|(a, _)| a.is_finite()).map(|(a, b)| a.exp() * (a - b)).sum())
    }
}
