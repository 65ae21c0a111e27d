use super::{Univariate, invert, log_gamma_draw, positive};
use crate::error::Result;
use crate::special::{deviance, digamma, gammainc_lower, lgamma, lgamma_bregman_rest, log_gamma_kernel, trigamma};
use rand::Rng;

/// Gamma(a, b) with shape a and rate b: p(x) = bᵃ xᵃ⁻¹ e^{−bx} / Γ(a), x > 0.
///
/// ```
/// use lvm_core::dist::{Gamma, Univariate};
/// let p = Gamma::new(3.0, 2.0)?;
/// assert_eq!((p.mean(), p.variance()), (1.5, 0.75));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gamma {
    shape: f64,
    rate: f64,
}

impl Gamma {
    /// With shape a > 0 and rate b > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(shape: f64, rate: f64) -> Result<Self> {
        Ok(Self { shape: positive("shape", shape)?, rate: positive("rate", rate)? })
    }

    /// a.
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// b.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// E\[log x\] = ψ(a) − log b.
    pub fn mean_log(&self) -> f64 {
        digamma(self.shape) - self.rate.ln()
    }

    /// Var(log x) = ψ′(a).
    pub fn variance_log(&self) -> f64 {
        trigamma(self.shape)
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        gammainc_lower(self.shape, self.rate * x.max(0.0))
    }

    /// The x with P(X ≤ x) = p; NaN outside [0, 1].
    pub fn quantile(&self, p: f64) -> f64 {
        if !(p > 0.0 && p < 1.0) {
            return match p {
                0.0 => 0.0,
                1.0 => f64::INFINITY,
                _ => f64::NAN,
            };
        }
        // on the scale of u = log bx, where dP/du = xᵃ e⁻ˣ/Γ(a)
        let a = self.shape;
        let u = invert(p, (-745.0, 709.0), |u| (gammainc_lower(a, u.exp()), a * log_gamma_kernel(a, u.exp()).exp()));
        (u - self.rate.ln()).exp()
    }

    /// a − log b + log Γ(a) + (1 − a) ψ(a).
    pub fn entropy(&self) -> f64 {
        self.shape - self.rate.ln() + lgamma(self.shape) + (1.0 - self.shape) * digamma(self.shape)
    }

    /// KL(self ‖ p) = log Γ(a_p)/Γ(a) + (a − a_p) ψ(a) + a_p log(b/b_p) + a (b_p/b − 1), accurate also for p near self.
    pub fn kl(&self, p: &Self) -> f64 {
        // the deviance of a_p from a b_p/b, and what Stirling leaves of the divergence of log Γ
        let step = p.shape - self.shape;
        let d = step - self.shape * ((p.rate - self.rate) / self.rate);
        deviance(p.shape, self.shape * (p.rate / self.rate), d) + lgamma_bregman_rest(p.shape, self.shape, step)
    }
}

impl Univariate for Gamma {
    fn log_prob(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        if x < 0.0 || x == f64::INFINITY {
            return f64::NEG_INFINITY;
        }
        if x == 0.0 {
            return match self.shape.total_cmp(&1.0) {
                std::cmp::Ordering::Less => f64::INFINITY,
                std::cmp::Ordering::Equal => self.rate.ln(),
                std::cmp::Ordering::Greater => f64::NEG_INFINITY,
            };
        }
        // p(x) = a/x · (bx)ᵃ e^{−bx} / Γ(a + 1)
        self.shape.ln() - x.ln() + log_gamma_kernel(self.shape, self.rate * x)
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        (log_gamma_draw(self.shape, rng) - self.rate.ln()).exp()
    }

    fn mean(&self) -> f64 {
        self.shape / self.rate
    }

    fn variance(&self) -> f64 {
        self.shape / self.rate / self.rate
    }

    /// (a − 1)/b, or 0 for a < 1.
    fn mode(&self) -> f64 {
        (self.shape - 1.0).max(0.0) / self.rate
    }
}
