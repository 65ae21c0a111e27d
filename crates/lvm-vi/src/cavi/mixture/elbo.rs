//! The evidence lower bound of a Bayesian mixture, part by part.

/// The parts of the ELBO, summed over all rows (each as often as its weight says), with every constant.   PRML 10.70–10.77
///
/// ```text
/// ELBO = E[log p(X | Z, μ, Λ)] + E[log p(Z | π)] + H[q(Z)] − KL(q(π) ‖ p(π)) − KL(q(μ, Λ) ‖ p(μ, Λ))
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ElboParts {
    /// E\[log p(X | Z, μ, Λ)\].   PRML 10.71
    pub expected_log_likelihood: f64,
    /// E\[log p(Z | π)\].   PRML 10.72
    pub expected_log_p_z: f64,
    /// H\[q(Z)\].   PRML 10.75
    pub entropy_z: f64,
    /// KL(q(π) ‖ p(π)).   PRML 10.73, 10.76
    pub kl_weights: f64,
    /// Σ_k KL(q(μ_k, Λ_k) ‖ p(μ_k, Λ_k)).   PRML 10.74, 10.77
    pub kl_components: f64,
}

impl ElboParts {
    /// The ELBO in nats.
    pub fn total(&self) -> f64 {
        self.expected_log_likelihood + self.expected_log_p_z + self.entropy_z - self.kl_weights - self.kl_components
    }
}
