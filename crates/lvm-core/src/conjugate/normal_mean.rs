use super::Summary;
use crate::dist::{Normal, Univariate};
use crate::error::{Error, Result};
use crate::mutant::planted;
use crate::special::HALF_LOG_2PI;
use ndarray::ArrayView1;

/// The mean of a normal with known standard deviation: μ ~ N(m, s²), x_n ~ N(μ, σ²).   PRML 2.141
///
/// ```
/// use lvm_core::conjugate::NormalMean;
/// use lvm_core::dist::{Normal, Univariate};
/// use ndarray::array;
/// let posterior = NormalMean::new(Normal::new(0.0, 1.0)?, 0.5)?.posterior(array![10.0].view())?;
/// assert_eq!(posterior.mean().mean(), 8.0);
/// assert!((posterior.mean().variance() - 0.2).abs() < 1e-16);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalMean {
    mean: Normal,
    noise_sd: f64,
}

impl NormalMean {
    /// With the belief N(m, s²) about μ and the known σ > 0.
    ///
    /// # Errors
    /// If σ is not positive.
    pub fn new(mean: Normal, noise_sd: f64) -> Result<Self> {
        if !(noise_sd > 0.0 && noise_sd.is_finite()) {
            return Err(Error::config("noise_sd", format!("{noise_sd} must be positive and finite")));
        }
        Ok(Self { mean, noise_sd })
    }

    /// The belief about μ.
    pub fn mean(&self) -> Normal {
        self.mean
    }

    /// σ.
    pub fn noise_sd(&self) -> f64 {
        self.noise_sd
    }

    /// The belief after the data: N(m + w (x̄ − m), s² (1 − w)), w = n s²/(σ² + n s²).
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn posterior(&self, data: ArrayView1<'_, f64>) -> Result<Self> {
        let x = Summary::of(data)?;
        let (m, s, noise) = (self.mean.mean(), self.mean.sd(), self.noise_sd);
        let ratio = noise / s;
        let total = if planted("normal_mean_flat_prior") { x.n } else { ratio * ratio + x.n };
        Self::new(Normal::new(m + x.n / total * (x.mean - m), noise / total.sqrt())?, noise)
    }

    /// log p(x₁ … x_n) = −n/2 log 2πσ² − ½ log(1 + n s²/σ²) − ½ [Σ(x − x̄)²/σ² + n (x̄ − m)²/(σ² + n s²)].
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn log_evidence(&self, data: ArrayView1<'_, f64>) -> Result<f64> {
        let x = Summary::of(data)?;
        let (ratio, z) = (self.mean.sd() / self.noise_sd, (x.mean - self.mean.mean()) / self.noise_sd);
        let spread = x.n * ratio * ratio;
        let squares = x.squares / (self.noise_sd * self.noise_sd) + x.n * z * z / (1.0 + spread);
        Ok(-x.n * (HALF_LOG_2PI + self.noise_sd.ln()) - 0.5 * (spread.ln_1p() + squares))
    }

    /// The next observation: N(m, s² + σ²).
    ///
    /// # Errors
    /// If the variances overflow.
    pub fn predictive(&self) -> Result<Normal> {
        Normal::new(self.mean.mean(), self.mean.sd().hypot(self.noise_sd))
    }
}
