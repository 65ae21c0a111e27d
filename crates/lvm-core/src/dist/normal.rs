use super::{Univariate, finite, log_ratio, positive, standard_normal};
use crate::error::Result;
use crate::special::{HALF_LOG_2PI, deviance, log1p_minus, norm_cdf, norm_quantile};
use rand::Rng;

/// N(μ, σ²): p(x) = exp(−(x − μ)²/(2σ²)) / (σ √(2π)).
///
/// ```
/// use lvm_core::dist::{Normal, Univariate};
/// let (q, p) = (Normal::new(0.0, 1.0)?, Normal::new(1.0, 2.0)?);
/// assert!((q.log_prob(0.0) + 0.9189385332046727).abs() < 1e-15);
/// assert!((q.kl(&p) - (2_f64.ln() - 0.25)).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    mean: f64,
    sd: f64,
}

impl Normal {
    /// With mean μ and standard deviation σ.
    ///
    /// # Errors
    /// If μ is not finite or σ not positive.
    pub fn new(mean: f64, sd: f64) -> Result<Self> {
        Ok(Self { mean: finite("mean", mean)?, sd: positive("sd", sd)? })
    }

    /// σ.
    pub fn sd(&self) -> f64 {
        self.sd
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        norm_cdf((x - self.mean) / self.sd)
    }

    /// The x with P(X ≤ x) = p.
    pub fn quantile(&self, p: f64) -> f64 {
        self.mean + self.sd * norm_quantile(p)
    }

    /// ½ log(2πe σ²).
    pub fn entropy(&self) -> f64 {
        HALF_LOG_2PI + 0.5 + self.sd.ln()
    }

    /// KL(self ‖ p) = ½ (r − 1 − log r) + (μ − μ_p)²/(2σ_p²), r = σ²/σ_p².
    pub fn kl(&self, p: &Self) -> f64 {
        let z = (self.mean - p.mean) / p.sd;
        0.5 * (self.variance_deviance(p) + z * z)
    }

    /// The Rényi divergence D_α(self ‖ p) for α > 0; the Kullback–Leibler divergence at α = 1; +∞ where the integral diverges.
    ///
    /// With v = α σ_p² + (1 − α) σ² > 0: log(σ_p/σ) + log(σ_p²/v)/(2(α − 1)) + α (μ − μ_p)²/(2v). Gil, Alajaji, Linder (2013).
    pub fn renyi(&self, p: &Self, alpha: f64) -> f64 {
        if alpha == 1.0 {
            return self.kl(p);
        }
        let u = self.excess_variance(p);
        // v/σ_p² = 1 + w, and the linear terms of the two logarithms cancel exactly
        let w = (1.0 - alpha) * u;
        if !(w > -1.0) {
            return f64::INFINITY;
        }
        let z = (self.mean - p.mean) / p.sd;
        0.5 * self.variance_deviance(p) - log1p_minus(w) / (2.0 * (alpha - 1.0)) + alpha * z * z / (2.0 * (1.0 + w))
    }

    /// The Wasserstein-2 distance √((μ − μ_p)² + (σ − σ_p)²).
    pub fn wasserstein_2(&self, p: &Self) -> f64 {
        (self.mean - p.mean).hypot(self.sd - p.sd)
    }

    /// σ²/σ_p² − 1 without cancellation.
    fn excess_variance(&self, p: &Self) -> f64 {
        (self.sd - p.sd) / p.sd * ((self.sd + p.sd) / p.sd)
    }

    /// r − 1 − log r for r = σ²/σ_p².
    fn variance_deviance(&self, p: &Self) -> f64 {
        let ratio = self.sd / p.sd;
        // far below 1 nothing cancels, and the square could underflow
        if ratio < 0.1 {
            ratio * ratio - 1.0 - 2.0 * log_ratio(self.sd, p.sd)
        } else {
            deviance(1.0, ratio * ratio, -self.excess_variance(p))
        }
    }
}

impl Univariate for Normal {
    fn log_prob(&self, x: f64) -> f64 {
        let z = (x - self.mean) / self.sd;
        -0.5 * z * z - self.sd.ln() - HALF_LOG_2PI
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.mean + self.sd * standard_normal(rng)
    }

    fn mean(&self) -> f64 {
        self.mean
    }

    fn variance(&self) -> f64 {
        self.sd * self.sd
    }

    fn mode(&self) -> f64 {
        self.mean
    }
}
