use super::Summary;
use crate::dist::{Gamma, Normal, StudentT, Univariate};
use crate::error::{Error, Result};
use crate::mutant::planted;
use crate::special::{HALF_LOG_2PI, lgamma_delta};
use ndarray::ArrayView1;

/// Mean and precision of a normal: μ | τ ~ N(m, 1/(λτ)), τ ~ Gamma(a, rate b), x_n ~ N(μ, 1/τ).   PRML 2.154
///
/// ```
/// use lvm_core::{conjugate::NormalGamma, dist::Gamma};
/// use ndarray::array;
/// let belief = NormalGamma::new(0.0, 1.0, Gamma::new(2.0, 2.0)?)?.posterior(array![2.0, 4.0].view())?;
/// // (1 · 0 + 2 · 3) / (1 + 2)
/// assert!((belief.mean() - 2.0).abs() < 1e-14 && belief.lambda() == 3.0);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalGamma {
    mean: f64,
    lambda: f64,
    precision: Gamma,
}

/// q(μ) q(τ), the factorised approximation of a normal-gamma posterior, with its evidence lower bound.   PRML 10.1.3
///
/// ```
/// use lvm_core::{conjugate::NormalGamma, dist::Gamma};
/// use ndarray::array;
/// let (prior, x) = (NormalGamma::new(0.0, 1.0, Gamma::new(2.0, 2.0)?)?, array![2.0, 4.0]);
/// let q = prior.mean_field_optimum(x.view())?;
/// assert!((q.elbo + q.kl - prior.log_evidence(x.view())?).abs() < 1e-12 && q.kl > 0.0);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalGammaMeanField {
    /// q(μ).
    pub mean: Normal,
    /// q(τ).
    pub precision: Gamma,
    /// E_q[log p(x, μ, τ) − log q(μ, τ)] = log p(x) − [`kl`](Self::kl).
    pub elbo: f64,
    /// KL(q ‖ posterior).
    pub kl: f64,
}

impl NormalGamma {
    /// With location m, λ > 0 pseudo-observations of it, and the belief about the precision τ.
    ///
    /// # Errors
    /// If m is not finite or λ not positive.
    pub fn new(mean: f64, lambda: f64, precision: Gamma) -> Result<Self> {
        if !mean.is_finite() {
            return Err(Error::config("mean", format!("{mean} is not finite")));
        }
        if !(lambda > 0.0 && lambda.is_finite()) {
            return Err(Error::config("lambda", format!("{lambda} must be positive and finite")));
        }
        Ok(Self { mean, lambda, precision })
    }

    /// m.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// λ.
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// The marginal of τ, Gamma(a, b).
    pub fn precision(&self) -> Gamma {
        self.precision
    }

    /// The marginal of μ: Student's t with 2a degrees of freedom about m with scale √(b/(aλ)).
    ///
    /// # Errors
    /// If the scale overflows.
    pub fn mean_marginal(&self) -> Result<StudentT> {
        let (a, b) = (self.precision.shape(), self.precision.rate());
        StudentT::new(2.0 * a, self.mean, (b / a / self.lambda).sqrt())
    }

    /// The next observation: Student's t with 2a degrees of freedom about m with scale √(b (λ + 1)/(aλ)).
    ///
    /// # Errors
    /// If the scale overflows.
    pub fn predictive(&self) -> Result<StudentT> {
        let (a, b) = (self.precision.shape(), self.precision.rate());
        StudentT::new(2.0 * a, self.mean, (b / a * (1.0 + 1.0 / self.lambda)).sqrt())
    }

    /// The belief after the data: λ + n, m + n/(λ + n) (x̄ − m), a + n/2, b + ½ [Σ(x − x̄)² + λn/(λ + n) (x̄ − m)²].
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn posterior(&self, data: ArrayView1<'_, f64>) -> Result<Self> {
        let x = Summary::of(data)?;
        let total = self.lambda + x.n;
        let shift = x.mean - self.mean;
        let rate = self.precision.rate() + 0.5 * (x.squares + self.lambda * (x.n / total) * shift * shift);
        let observed = if planted("normal_gamma_n") { x.n } else { 0.5 * x.n };
        Self::new(self.mean + x.n / total * shift, total, Gamma::new(self.precision.shape() + observed, rate)?)
    }

    /// log p(x₁ … x_n) = log Γ(a')/Γ(a) − a log(b'/b) − n/2 log b' + ½ log(λ/λ') − n/2 log 2π, primes for the posterior.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn log_evidence(&self, data: ArrayView1<'_, f64>) -> Result<f64> {
        let after = self.posterior(data)?;
        let half = 0.5 * data.len() as f64;
        let (a, b, b_after) = (self.precision.shape(), self.precision.rate(), after.precision.rate());
        // b' ≥ b and λ' ≥ λ: written as log(1 + …)
        Ok(lgamma_delta(a, half)
            - a * ((b_after - b) / b).ln_1p()
            - half * b_after.ln()
            - 0.5 * (2.0 * half / self.lambda).ln_1p()
            - 2.0 * half * HALF_LOG_2PI)
    }

    /// Coordinate ascent on q(μ) q(τ) for the posterior given the data, from E\[τ\] = `start`: what is reached after each iteration, which
    /// updates q(μ), then q(τ).   PRML 10.26–10.30
    ///
    /// # Errors
    /// If a value of the data is not finite or the start is not positive.
    pub fn mean_field(&self, data: ArrayView1<'_, f64>, start: f64, iterations: usize) -> Result<Vec<NormalGammaMeanField>> {
        if !(start > 0.0 && start.is_finite()) {
            return Err(Error::config("start", format!("E[τ] = {start} must be positive and finite")));
        }
        let (posterior, evidence) = (self.posterior(data)?, self.log_evidence(data)?);
        let mut expected = start;
        let mut trajectory = Vec::with_capacity(iterations);
        for _ in 0..iterations {
            let q = posterior.mean_field_step(expected, evidence)?;
            expected = q.precision.mean();
            trajectory.push(q);
        }
        Ok(trajectory)
    }

    /// The best q(μ) q(τ) for the posterior given the data, the fixed point of [`mean_field`](Self::mean_field) in closed form.
    ///
    /// # Errors
    /// If a value of the data is not finite.
    pub fn mean_field_optimum(&self, data: ArrayView1<'_, f64>) -> Result<NormalGammaMeanField> {
        let posterior = self.posterior(data)?;
        // E[τ] = (a + ½)/(b + 1/(2 E[τ])), so E[τ] = a/b: the mean of τ is exact
        posterior.mean_field_step(posterior.precision.mean(), self.log_evidence(data)?)
    }

    /// q(μ) = N(m, 1/(λ E\[τ\])), then q(τ) = Gamma(a + ½, b + λ Var(μ)/2), of the posterior self.
    fn mean_field_step(&self, expected: f64, evidence: f64) -> Result<NormalGammaMeanField> {
        let sd = (1.0 / (self.lambda * expected)).sqrt();
        let mean = Normal::new(self.mean, sd)?;
        let precision = Gamma::new(self.precision.shape() + 0.5, self.precision.rate() + 0.5 / expected)?;
        // KL = KL(q(τ) ‖ p(τ)) + E_τ KL(q(μ) ‖ N(m, 1/(λτ))),  the latter ½ (λ v τ − 1 − log λ v τ)
        let ratio = precision.mean() / expected;
        let conditional = 0.5 * (ratio - 1.0 - (precision.mean_log() - expected.ln()));
        let kl = precision.kl(&self.precision) + conditional;
        Ok(NormalGammaMeanField { mean, precision, elbo: evidence - kl, kl })
    }
}
