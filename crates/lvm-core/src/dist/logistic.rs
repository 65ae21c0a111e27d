use super::{Univariate, finite, open_uniform, positive};
use crate::error::Result;
use crate::special::logit;
use rand::Rng;
use std::f64::consts::PI;

/// Logistic: p(x) = e^{−z} / (σ (1 + e^{−z})²), z = (x − μ)/σ.
///
/// ```
/// use lvm_core::dist::{Logistic, Univariate};
/// assert!((Logistic::new(0.0, 1.0)?.variance() - std::f64::consts::PI.powi(2) / 3.0).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logistic {
    loc: f64,
    scale: f64,
}

impl Logistic {
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

    /// 2 + log σ.
    pub fn entropy(&self) -> f64 {
        2.0 + self.scale.ln()
    }
}

impl Univariate for Logistic {
    fn log_prob(&self, x: f64) -> f64 {
        // symmetric in z, so e^{−|z|} never overflows
        let z = ((x - self.loc) / self.scale).abs();
        -z - self.scale.ln() - 2.0 * (-z).exp().ln_1p()
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.loc + self.scale * logit(open_uniform(rng))
    }

    fn mean(&self) -> f64 {
        self.loc
    }

    fn variance(&self) -> f64 {
        (PI * self.scale).powi(2) / 3.0
    }

    fn mode(&self) -> f64 {
        self.loc
    }
}
