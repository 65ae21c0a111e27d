use crate::dist::{Beta, Univariate};
use crate::error::{Error, Result};
use crate::special::lbeta;

/// A success probability: θ ~ Beta(a, b), x_n ~ Bernoulli(θ).   PRML 2.17
///
/// ```
/// use lvm_core::{conjugate::BetaBernoulli, dist::Beta};
/// // a uniform belief, then three successes in four trials: (1 + 3) / (2 + 4)
/// let belief = BetaBernoulli { probability: Beta::new(1.0, 1.0)? }.posterior(3, 4)?;
/// assert!((belief.predictive() - 2.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaBernoulli {
    /// The belief about θ.
    pub probability: Beta,
}

impl BetaBernoulli {
    /// The belief Beta(a + k, b + n − k) after k successes in n trials.
    ///
    /// # Errors
    /// If there are more successes than trials.
    pub fn posterior(&self, successes: u64, trials: u64) -> Result<Self> {
        let failures = failures(successes, trials)?;
        Ok(Self { probability: Beta::new(self.probability.a() + successes as f64, self.probability.b() + failures)? })
    }

    /// log p(x₁ … x_n) = log B(a + k, b + n − k) − log B(a, b), of the sequence: no binomial coefficient.
    ///
    /// # Errors
    /// If there are more successes than trials.
    pub fn log_evidence(&self, successes: u64, trials: u64) -> Result<f64> {
        let failures = failures(successes, trials)?;
        let (a, b) = (self.probability.a(), self.probability.b());
        Ok(lbeta(a + successes as f64, b + failures) - lbeta(a, b))
    }

    /// The probability that the next trial succeeds, a/(a + b).
    pub fn predictive(&self) -> f64 {
        self.probability.mean()
    }
}

fn failures(successes: u64, trials: u64) -> Result<f64> {
    match trials.checked_sub(successes) {
        Some(failures) => Ok(failures as f64),
        None => Err(Error::config("successes", format!("{successes} are more than the {trials} trials"))),
    }
}
