use super::{Univariate, finite, open_uniform, positive};
use crate::error::Result;
use rand::Rng;
use std::f64::consts::LN_2;

/// Laplace: p(x) = exp(−|x − μ|/σ) / (2σ).
///
/// ```
/// use lvm_core::dist::{Laplace, Univariate};
/// let p = Laplace::new(0.0, 2.0)?;
/// assert!((p.variance() - 8.0).abs() < 1e-14 && (p.log_prob(0.0) + 4.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Laplace {
    loc: f64,
    scale: f64,
}

impl Laplace {
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

    /// 1 + log 2σ.
    pub fn entropy(&self) -> f64 {
        1.0 + LN_2 + self.scale.ln()
    }
}

impl Univariate for Laplace {
    fn log_prob(&self, x: f64) -> f64 {
        -((x - self.loc) / self.scale).abs() - LN_2 - self.scale.ln()
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        let u = open_uniform(rng) - 0.5;
        self.loc - self.scale * u.signum() * (-2.0 * u.abs()).ln_1p()
    }

    fn mean(&self) -> f64 {
        self.loc
    }

    fn variance(&self) -> f64 {
        2.0 * self.scale * self.scale
    }

    fn mode(&self) -> f64 {
        self.loc
    }
}
