use super::{Univariate, finite, positive, standard_normal};
use crate::error::Result;
use crate::special::HALF_LOG_2PI;
use rand::Rng;

/// Lognormal: log x ~ N(μ, σ²), p(x) = exp(−(log x − μ)²/(2σ²)) / (xσ √(2π)), x > 0.
///
/// ```
/// use lvm_core::dist::{LogNormal, Univariate};
/// assert!((LogNormal::new(0.0, 1.0)?.mean() - 0.5_f64.exp()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormal {
    mu: f64,
    sigma: f64,
}

impl LogNormal {
    /// With μ and σ > 0, the moments of log x.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(mu: f64, sigma: f64) -> Result<Self> {
        Ok(Self { mu: finite("mu", mu)?, sigma: positive("sigma", sigma)? })
    }

    /// μ, the mean of log x.
    pub fn mu(&self) -> f64 {
        self.mu
    }

    /// σ, the standard deviation of log x.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// μ + ½ log(2πe σ²).
    pub fn entropy(&self) -> f64 {
        self.mu + HALF_LOG_2PI + 0.5 + self.sigma.ln()
    }
}

impl Univariate for LogNormal {
    fn log_prob(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return f64::NEG_INFINITY;
        }
        let z = (x.ln() - self.mu) / self.sigma;
        -0.5 * z * z - x.ln() - self.sigma.ln() - HALF_LOG_2PI
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        (self.mu + self.sigma * standard_normal(rng)).exp()
    }

    fn mean(&self) -> f64 {
        (self.mu + 0.5 * self.sigma * self.sigma).exp()
    }

    fn variance(&self) -> f64 {
        let square = self.sigma * self.sigma;
        square.exp_m1() * (2.0 * self.mu + square).exp()
    }

    fn mode(&self) -> f64 {
        (self.mu - self.sigma * self.sigma).exp()
    }
}
