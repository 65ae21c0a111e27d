use super::{Univariate, log1p_square, open_uniform, positive, standard_normal};
use crate::error::Result;
use crate::mutant::planted;
use crate::special::HALF_LOG_2PI;
use rand::Rng;
use std::f64::consts::{FRAC_2_PI, LN_2, PI};

/// Half-normal, |y| for y ~ N(0, σ²): p(x) = 2 exp(−x²/(2σ²)) / (σ √(2π)), x ≥ 0.
///
/// ```
/// use lvm_core::dist::{HalfNormal, Univariate};
/// assert!((HalfNormal::new(1.0)?.mean() - (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfNormal {
    scale: f64,
}

impl HalfNormal {
    /// With scale σ > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(scale: f64) -> Result<Self> {
        Ok(Self { scale: positive("scale", scale)? })
    }

    /// σ, the standard deviation of y.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// ½ log(πe σ²/2).
    pub fn entropy(&self) -> f64 {
        HALF_LOG_2PI + 0.5 + self.scale.ln() - LN_2
    }
}

impl Univariate for HalfNormal {
    fn log_prob(&self, x: f64) -> f64 {
        if x < 0.0 {
            return f64::NEG_INFINITY;
        }
        let z = x / self.scale;
        let fold = if planted("half_normal_unfolded") { 0.0 } else { LN_2 };
        -0.5 * z * z - self.scale.ln() - (HALF_LOG_2PI - fold)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.scale * standard_normal(rng).abs()
    }

    fn mean(&self) -> f64 {
        self.scale * FRAC_2_PI.sqrt()
    }

    fn variance(&self) -> f64 {
        self.scale * self.scale * (1.0 - FRAC_2_PI)
    }

    fn mode(&self) -> f64 {
        0.0
    }
}

/// Half-Cauchy, |y| for y ~ Cauchy(0, σ): p(x) = 2 / (πσ (1 + x²/σ²)), x ≥ 0.
///
/// ```
/// use lvm_core::dist::{HalfCauchy, Univariate};
/// assert!((HalfCauchy::new(1.0)?.log_prob(0.0) - (2.0 / std::f64::consts::PI).ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfCauchy {
    scale: f64,
}

impl HalfCauchy {
    /// With scale σ > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(scale: f64) -> Result<Self> {
        Ok(Self { scale: positive("scale", scale)? })
    }

    /// σ, the median.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// log 2πσ.
    pub fn entropy(&self) -> f64 {
        (2.0 * PI).ln() + self.scale.ln()
    }
}

impl Univariate for HalfCauchy {
    fn log_prob(&self, x: f64) -> f64 {
        if x < 0.0 {
            return f64::NEG_INFINITY;
        }
        FRAC_2_PI.ln() - self.scale.ln() - log1p_square(x / self.scale, 1.0)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.scale * (0.5 * PI * open_uniform(rng)).tan()
    }

    /// +∞.
    fn mean(&self) -> f64 {
        f64::INFINITY
    }

    /// NaN: there is none.
    fn variance(&self) -> f64 {
        f64::NAN
    }

    fn mode(&self) -> f64 {
        0.0
    }
}
