use super::{Univariate, finite, log1p_square, positive};
use crate::error::Result;
use crate::special::{digamma, lbeta, lgamma_delta};
use rand::Rng;
use std::f64::consts::PI;

/// Student's t: p(x) = Γ((ν+1)/2) / (Γ(ν/2) √(νπ) σ) · (1 + z²/ν)^{−(ν+1)/2}, z = (x − μ)/σ.
///
/// ```
/// use lvm_core::dist::{StudentT, Univariate};
/// assert!((StudentT::new(5.0, 0.0, 1.0)?.variance() - 5.0 / 3.0).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentT {
    df: f64,
    loc: f64,
    scale: f64,
}

impl StudentT {
    /// With ν > 0 degrees of freedom, location μ and scale σ > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(df: f64, loc: f64, scale: f64) -> Result<Self> {
        Ok(Self { df: positive("df", df)?, loc: finite("loc", loc)?, scale: positive("scale", scale)? })
    }

    /// ν.
    pub fn df(&self) -> f64 {
        self.df
    }

    /// μ.
    pub fn loc(&self) -> f64 {
        self.loc
    }

    /// σ.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// (ν+1)/2 [ψ((ν+1)/2) − ψ(ν/2)] + log(√ν B(ν/2, ½)) + log σ.
    pub fn entropy(&self) -> f64 {
        let half = 0.5 * self.df;
        (half + 0.5) * (digamma(half + 0.5) - digamma(half)) + 0.5 * self.df.ln() + lbeta(half, 0.5) + self.scale.ln()
    }
}

impl Univariate for StudentT {
    fn log_prob(&self, x: f64) -> f64 {
        let z = (x - self.loc) / self.scale;
        let normaliser = lgamma_delta(0.5 * self.df, 0.5) - 0.5 * (self.df.ln() + PI.ln()) - self.scale.ln();
        normaliser - 0.5 * (self.df + 1.0) * log1p_square(z, self.df)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        // t = N(0, 1) / √(χ²_ν / ν)
        let log_precision = super::log_gamma_draw(0.5 * self.df, rng) - (0.5 * self.df).ln();
        self.loc + self.scale * super::standard_normal(rng) * (-0.5 * log_precision).exp()
    }

    /// μ for ν > 1, else NaN.
    fn mean(&self) -> f64 {
        if self.df > 1.0 { self.loc } else { f64::NAN }
    }

    /// σ² ν/(ν − 2) for ν > 2, +∞ for ν > 1, else NaN.
    fn variance(&self) -> f64 {
        if self.df > 2.0 {
            self.scale * self.scale * (self.df / (self.df - 2.0))
        } else if self.df > 1.0 {
            f64::INFINITY
        } else {
            f64::NAN
        }
    }

    fn mode(&self) -> f64 {
        self.loc
    }
}
