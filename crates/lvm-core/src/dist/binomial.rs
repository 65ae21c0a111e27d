use super::{Univariate, finite, is_count};
use crate::error::{Error, Result};
use crate::special::{lbeta, log_beta_kernel, log_sigmoid, sigmoid};
use rand::Rng;

/// Binomial by its logit η: p(k) = C(n, k) σ(η)ᵏ (1 − σ(η))ⁿ⁻ᵏ, k = 0 … n.
///
/// ```
/// use lvm_core::dist::{BinomialLogit, Univariate};
/// // two tosses of a fair coin: one head in half of the cases
/// assert!((BinomialLogit::new(2, 0.0)?.log_prob(1.0) - 0.5_f64.ln()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinomialLogit {
    trials: u64,
    logit: f64,
}

impl BinomialLogit {
    /// With n trials, n < 2⁵³, and the logit η of the success probability.
    ///
    /// # Errors
    /// If η is not finite or n not representable.
    pub fn new(trials: u64, logit: f64) -> Result<Self> {
        if trials >= 1 << 53 {
            return Err(Error::config("trials", format!("{trials} is not below 2^53")));
        }
        Ok(Self { trials, logit: finite("logit", logit)? })
    }

    /// n.
    pub fn trials(&self) -> u64 {
        self.trials
    }

    /// η.
    pub fn logit(&self) -> f64 {
        self.logit
    }
}

impl Univariate for BinomialLogit {
    fn log_prob(&self, x: f64) -> f64 {
        let n = self.trials as f64;
        if x.is_nan() {
            return x;
        }
        if !is_count(x) || x > n {
            return f64::NEG_INFINITY;
        }
        let rest = n - x;
        if x.min(rest) < 10.0 {
            // log C(n, k) = −log[(n + 1) B(n − k + 1, k + 1)], exactly 0 at the ends
            let choose = if x.min(rest) == 0.0 { 0.0 } else { -lbeta(rest + 1.0, x + 1.0) - n.ln_1p() };
            return choose + x * log_sigmoid(self.logit) + rest * log_sigmoid(-self.logit);
        }
        // C(n, k) = n/(k(n − k)) / B(k, n − k); the smaller of the two probabilities is the one known in full
        let kernel =
            if self.logit <= 0.0 { log_beta_kernel(x, rest, sigmoid(self.logit)) } else { log_beta_kernel(rest, x, sigmoid(-self.logit)) };
        kernel + (n / x / rest).ln()
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        // invariant: σ(η) is in [0, 1]
        let binomial = rand_distr::Binomial::new(self.trials, sigmoid(self.logit)).expect("a probability");
        rand_distr::Distribution::<u64>::sample(&binomial, rng) as f64
    }

    fn mean(&self) -> f64 {
        self.trials as f64 * sigmoid(self.logit)
    }

    fn variance(&self) -> f64 {
        self.trials as f64 * sigmoid(self.logit) * sigmoid(-self.logit)
    }

    fn mode(&self) -> f64 {
        ((self.trials as f64 + 1.0) * sigmoid(self.logit)).floor().min(self.trials as f64)
    }
}
