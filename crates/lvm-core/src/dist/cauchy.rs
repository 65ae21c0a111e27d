use super::{Univariate, finite, log1p_square, open_uniform, positive};
use crate::error::Result;
use rand::Rng;
use std::f64::consts::PI;

/// Cauchy: p(x) = 1 / (πσ (1 + z²)), z = (x − μ)/σ.
///
/// ```
/// use lvm_core::dist::{Cauchy, Univariate};
/// assert!((Cauchy::new(0.0, 1.0)?.log_prob(0.0) + std::f64::consts::PI.ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cauchy {
    loc: f64,
    scale: f64,
}

impl Cauchy {
    /// With location μ and scale σ > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(loc: f64, scale: f64) -> Result<Self> {
        Ok(Self { loc: finite("loc", loc)?, scale: positive("scale", scale)? })
    }

    /// μ.
    pub fn loc(&self) -> f64 {
        self.loc
    }

    /// σ.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// log 4πσ.
    pub fn entropy(&self) -> f64 {
        (4.0 * PI).ln() + self.scale.ln()
    }
}

impl Univariate for Cauchy {
    fn log_prob(&self, x: f64) -> f64 {
        let z = (x - self.loc) / self.scale;
        -PI.ln() - self.scale.ln() - log1p_square(z, 1.0)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.loc + self.scale * (PI * (open_uniform(rng) - 0.5)).tan()
    }

    /// NaN: there is none.
    fn mean(&self) -> f64 {
        f64::NAN
    }

    /// NaN: there is none.
    fn variance(&self) -> f64 {
        f64::NAN
    }

    fn mode(&self) -> f64 {
        self.loc
    }
}
