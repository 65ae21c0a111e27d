//! Information criteria.

use serde::{Deserialize, Serialize};

/// Log-likelihood with what is needed to compare models by it. Lower BIC and AIC are better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// Σ_n w_n log p(x_n), nats.
    pub log_likelihood: f64,
    /// p, the number of free parameters.
    pub n_parameters: usize,
    /// N, the total weight of the rows.
    pub n: f64,
}

impl Criteria {
    /// −2 log L + p log N (Schwarz 1978).
    ///
    /// ```
    /// # use lvm_core::criteria::Criteria;
    /// let c = Criteria { log_likelihood: -1130.2639601847413, n_parameters: 11, n: 272.0 };
    /// assert!((c.bic() - 2322.1917430987387).abs() < 1e-9);
    /// ```
    pub fn bic(&self) -> f64 {
        -2.0 * self.log_likelihood + self.n_parameters as f64 * self.n.ln()
    }

    /// −2 log L + 2 p (Akaike 1974).
    ///
    /// ```
    /// # use lvm_core::criteria::Criteria;
    /// let c = Criteria { log_likelihood: -100.0, n_parameters: 5, n: 50.0 };
    /// assert_eq!((c.aic(), c.mean_log_likelihood()), (210.0, -2.0));
    /// ```
    pub fn aic(&self) -> f64 {
        -2.0 * self.log_likelihood + 2.0 * self.n_parameters as f64
    }

    /// log L / N, nats per row.
    pub fn mean_log_likelihood(&self) -> f64 {
        self.log_likelihood / self.n
    }
}
