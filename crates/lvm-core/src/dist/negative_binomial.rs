use super::{PoissonLog, Univariate, is_count, log_gamma_draw, positive};
use crate::error::Result;
use crate::special::{deviance, lbeta, stirling_error};
use rand::Rng;
use std::f64::consts::PI;

/// Negative binomial by mean m and dispersion φ: p(k) = Γ(k + φ)/(Γ(φ) k!) (m/(m + φ))ᵏ (φ/(m + φ))^φ, k = 0, 1, 2, …; variance m + m²/φ.
///
/// A Poisson whose rate is Gamma(φ, φ/m).
///
/// ```
/// use lvm_core::dist::{NegativeBinomial2, Univariate};
/// // m + m²/φ
/// assert!((NegativeBinomial2::new(4.0, 2.0)?.variance() - 12.0).abs() < 1e-13);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NegativeBinomial2 {
    mean: f64,
    dispersion: f64,
}

impl NegativeBinomial2 {
    /// With mean m > 0 and dispersion φ > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(mean: f64, dispersion: f64) -> Result<Self> {
        Ok(Self { mean: positive("mean", mean)?, dispersion: positive("dispersion", dispersion)? })
    }

    /// φ.
    pub fn dispersion(&self) -> f64 {
        self.dispersion
    }
}

impl Univariate for NegativeBinomial2 {
    fn log_prob(&self, x: f64) -> f64 {
        let (m, phi) = (self.mean, self.dispersion);
        if x.is_nan() {
            return x;
        }
        if !is_count(x) {
            return f64::NEG_INFINITY;
        }
        if x == 0.0 {
            return -phi * (m / phi).ln_1p();
        }
        if x.min(phi) < 10.0 {
            // Γ(k + φ)/(Γ(φ) k!) = 1/(k B(k, φ))
            return -x.ln() - lbeta(x, phi) - x * (phi / m).ln_1p() - phi * (m / phi).ln_1p();
        }
        // φ/(k + φ) times the binomial probability of φ in n = k + φ at p = φ/(m + φ), with φ − np = φ(m − k)/(m + φ) = −(k − nq)
        let n = x + phi;
        let (p, q) = (phi / (m + phi), m / (m + phi));
        let d = p * (m - x);
        stirling_error(n) - stirling_error(phi) - stirling_error(x) - deviance(phi, n * p, d) - deviance(x, n * q, -d)
            + 0.5 * (phi / n / (2.0 * PI * x)).ln()
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        let log_rate = log_gamma_draw(self.dispersion, rng) - self.dispersion.ln() + self.mean.ln();
        // a rate of 0 by underflow has no logarithm and draws 0
        PoissonLog::new(log_rate).map_or(0.0, |poisson| poisson.sample(rng))
    }

    fn mean(&self) -> f64 {
        self.mean
    }

    fn variance(&self) -> f64 {
        self.mean + self.mean * (self.mean / self.dispersion)
    }

    /// ⌊m (φ − 1)/φ⌋ for φ > 1, else 0.
    fn mode(&self) -> f64 {
        (self.mean * (1.0 - 1.0 / self.dispersion)).floor().max(0.0)
    }
}
