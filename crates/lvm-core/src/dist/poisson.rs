use super::{Univariate, finite, is_count, standard_normal};
use crate::error::Result;
use crate::special::{lgamma, log_gamma_kernel};
use rand::Rng;

/// Poisson by its log rate η = log λ: p(k) = λᵏ e^{−λ} / k!, k = 0, 1, 2, …
///
/// ```
/// use lvm_core::dist::{PoissonLog, Univariate};
/// assert!((PoissonLog::new(3.0_f64.ln())?.mean() - 3.0).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoissonLog {
    log_rate: f64,
}

impl PoissonLog {
    /// With log rate η.
    ///
    /// # Errors
    /// If η is not finite.
    pub fn new(log_rate: f64) -> Result<Self> {
        Ok(Self { log_rate: finite("log_rate", log_rate)? })
    }

    /// η.
    pub fn log_rate(&self) -> f64 {
        self.log_rate
    }
}

impl Univariate for PoissonLog {
    fn log_prob(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        if !is_count(x) {
            return f64::NEG_INFINITY;
        }
        let rate = self.log_rate.exp();
        let ratio = rate / x;
        if x >= 10.0 && ratio > 0.1 && ratio < 10.0 {
            // near the mean kη, λ and log k! cancel; the kernel does not
            log_gamma_kernel(x, rate)
        } else {
            x * self.log_rate - rate - lgamma(x + 1.0)
        }
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        let rate = self.log_rate.exp();
        match rand_distr::Poisson::new(rate) {
            Ok(poisson) => rand_distr::Distribution::sample(&poisson, rng),
            // a rate of zero by underflow, or above 1e19, where counts are spaced wider than one and the normal limit is exact
            Err(_) if rate < 1.0 => 0.0,
            Err(_) => (rate + rate.sqrt() * standard_normal(rng)).round(),
        }
    }

    fn mean(&self) -> f64 {
        self.log_rate.exp()
    }

    fn variance(&self) -> f64 {
        self.log_rate.exp()
    }

    fn mode(&self) -> f64 {
        self.log_rate.exp().floor()
    }
}
