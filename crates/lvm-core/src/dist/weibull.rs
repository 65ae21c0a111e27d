use super::{Univariate, log_ratio, open_uniform, positive, x_log_y};
use crate::error::Result;
use crate::special::lgamma;
use rand::Rng;

/// Euler's constant γ.
const EULER: f64 = 0.577_215_664_901_532_9;

/// Weibull with shape k and scale λ: p(x) = (k/λ) (x/λ)ᵏ⁻¹ exp(−(x/λ)ᵏ), x ≥ 0.
///
/// ```
/// use lvm_core::dist::{Weibull, Univariate};
/// // shape 1 is the exponential distribution
/// assert!((Weibull::new(1.0, 2.0)?.mean() - 2.0).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weibull {
    shape: f64,
    scale: f64,
}

impl Weibull {
    /// With shape k > 0 and scale λ > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(shape: f64, scale: f64) -> Result<Self> {
        Ok(Self { shape: positive("shape", shape)?, scale: positive("scale", scale)? })
    }

    /// k.
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// λ.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// γ(1 − 1/k) + log(λ/k) + 1, γ Euler's constant.
    pub fn entropy(&self) -> f64 {
        EULER * (1.0 - 1.0 / self.shape) + self.scale.ln() - self.shape.ln() + 1.0
    }
}

impl Univariate for Weibull {
    fn log_prob(&self, x: f64) -> f64 {
        if x < 0.0 || x == f64::INFINITY {
            return f64::NEG_INFINITY;
        }
        let front = self.shape.ln() - self.scale.ln();
        if x == 0.0 {
            return front + x_log_y(self.shape - 1.0, 0.0);
        }
        front + (self.shape - 1.0) * log_ratio(x, self.scale) - (x / self.scale).powf(self.shape)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.scale * (-open_uniform(rng).ln()).powf(1.0 / self.shape)
    }

    fn mean(&self) -> f64 {
        self.scale * lgamma(1.0 + 1.0 / self.shape).exp()
    }

    fn variance(&self) -> f64 {
        let (first, second) = (lgamma(1.0 + 1.0 / self.shape), lgamma(1.0 + 2.0 / self.shape));
        // Γ(1 + 2/k) − Γ(1 + 1/k)² = Γ(1 + 1/k)² expm1(…)
        (self.scale * first.exp()).powi(2) * (second - 2.0 * first).exp_m1()
    }

    /// λ (1 − 1/k)^{1/k}, or 0 for k ≤ 1.
    fn mode(&self) -> f64 {
        if self.shape > 1.0 { self.scale * (1.0 - 1.0 / self.shape).powf(1.0 / self.shape) } else { 0.0 }
    }
}
