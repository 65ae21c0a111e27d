use super::{Univariate, log_gamma_draw, positive};
use crate::error::Result;
use crate::special::{digamma, lgamma, log_gamma_kernel};
use rand::Rng;

/// Inverse gamma (a, b) with shape a and scale b, of 1/y for y ~ Gamma(a, rate b): p(x) = bᵃ x^{−a−1} e^{−b/x} / Γ(a), x > 0.
///
/// ```
/// use lvm_core::dist::{InverseGamma, Univariate};
/// assert_eq!(InverseGamma::new(3.0, 4.0)?.mean(), 2.0);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseGamma {
    shape: f64,
    scale: f64,
}

impl InverseGamma {
    /// With shape a > 0 and scale b > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(shape: f64, scale: f64) -> Result<Self> {
        Ok(Self { shape: positive("shape", shape)?, scale: positive("scale", scale)? })
    }

    /// a.
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// b.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// a + log b + log Γ(a) − (1 + a) ψ(a).
    pub fn entropy(&self) -> f64 {
        self.shape + self.scale.ln() + lgamma(self.shape) - (1.0 + self.shape) * digamma(self.shape)
    }
}

impl Univariate for InverseGamma {
    fn log_prob(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        if x <= 0.0 || x == f64::INFINITY {
            return f64::NEG_INFINITY;
        }
        let y = self.scale / x;
        if y.is_infinite() {
            return f64::NEG_INFINITY;
        }
        // p(x) = a/x · yᵃ e^{−y} / Γ(a + 1),  y = b/x
        self.shape.ln() - x.ln() + log_gamma_kernel(self.shape, y)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        (self.scale.ln() - log_gamma_draw(self.shape, rng)).exp()
    }

    /// b/(a − 1) for a > 1, else +∞.
    fn mean(&self) -> f64 {
        if self.shape > 1.0 { self.scale / (self.shape - 1.0) } else { f64::INFINITY }
    }

    /// b²/((a − 1)²(a − 2)) for a > 2, +∞ for a > 1, else NaN.
    fn variance(&self) -> f64 {
        if self.shape > 2.0 {
            (self.scale / (self.shape - 1.0)).powi(2) / (self.shape - 2.0)
        } else if self.shape > 1.0 {
            f64::INFINITY
        } else {
            f64::NAN
        }
    }

    fn mode(&self) -> f64 {
        self.scale / (self.shape + 1.0)
    }
}
