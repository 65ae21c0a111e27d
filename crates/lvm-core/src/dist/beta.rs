use super::{Univariate, invert, log_gamma_draw, positive, x_log_y};
use crate::error::Result;
use crate::special::{betainc, deviance, digamma, lbeta, lgamma_bregman_rest, log_beta_kernel, sigmoid, trigamma};
use rand::Rng;

/// Beta(a, b): p(x) = xᵃ⁻¹ (1 − x)ᵇ⁻¹ / B(a, b), 0 ≤ x ≤ 1.
///
/// ```
/// use lvm_core::dist::{Beta, Univariate};
/// assert!((Beta::new(2.0, 3.0)?.mean() - 0.4).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    a: f64,
    b: f64,
}

impl Beta {
    /// With a, b > 0.
    ///
    /// # Errors
    /// If a parameter is outside its range.
    pub fn new(a: f64, b: f64) -> Result<Self> {
        Ok(Self { a: positive("a", a)?, b: positive("b", b)? })
    }

    /// a.
    pub fn a(&self) -> f64 {
        self.a
    }

    /// b.
    pub fn b(&self) -> f64 {
        self.b
    }

    /// log B(a, b) − (a − 1) ψ(a) − (b − 1) ψ(b) + (a + b − 2) ψ(a + b).
    pub fn entropy(&self) -> f64 {
        let (a, b) = (self.a, self.b);
        lbeta(a, b) - (a - 1.0) * digamma(a) - (b - 1.0) * digamma(b) + (a + b - 2.0) * digamma(a + b)
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        betainc(self.a, self.b, x.clamp(0.0, 1.0))
    }

    /// The x with P(X ≤ x) = p; NaN outside [0, 1].
    pub fn quantile(&self, p: f64) -> f64 {
        if !(p > 0.0 && p < 1.0) {
            return if p == 0.0 || p == 1.0 { p } else { f64::NAN };
        }
        // on the logit scale, where dI/du = xᵃ(1 − x)ᵇ/B(a, b)
        let (a, b) = (self.a, self.b);
        sigmoid(invert(p, (-745.0, 37.0), |u| (betainc(a, b, sigmoid(u)), log_beta_kernel(a, b, sigmoid(u)).exp())))
    }

    /// E\[logit x\] = ψ(a) − ψ(b).
    pub fn mean_logit(&self) -> f64 {
        digamma(self.a) - digamma(self.b)
    }

    /// Var(logit x) = ψ′(a) + ψ′(b).
    pub fn variance_logit(&self) -> f64 {
        trigamma(self.a) + trigamma(self.b)
    }

    /// KL(self ‖ p), the Bregman divergence of log B, accurate also for p near self.
    pub fn kl(&self, p: &Self) -> f64 {
        // with n = a + b: the deviances of a_p from n_p a/n and b_p from n_p b/n, and what Stirling leaves of the divergences of log Γ
        let (n, n_p) = (self.a + self.b, p.a + p.b);
        let (step_a, step_b) = (p.a - self.a, p.b - self.b);
        let d = step_a * (self.b / n) - step_b * (self.a / n);
        deviance(p.a, n_p * (self.a / n), d)
            + deviance(p.b, n_p * (self.b / n), -d)
            + lgamma_bregman_rest(p.a, self.a, step_a)
            + lgamma_bregman_rest(p.b, self.b, step_b)
            - lgamma_bregman_rest(n_p, n, step_a + step_b)
    }
}

impl Univariate for Beta {
    fn log_prob(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        if !(0.0..=1.0).contains(&x) {
            return f64::NEG_INFINITY;
        }
        if x == 0.0 || x == 1.0 {
            // one of the two factors is 1; 0⁰ = 1
            return x_log_y(self.a - 1.0, x) + x_log_y(self.b - 1.0, 1.0 - x) - lbeta(self.a, self.b);
        }
        log_beta_kernel(self.a, self.b, x) - x.ln() - (-x).ln_1p()
    }

    fn sample(&self, rng: &mut dyn Rng) -> f64 {
        // x/(1 − x) is a ratio of gammas
        sigmoid(log_gamma_draw(self.a, rng) - log_gamma_draw(self.b, rng))
    }

    fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    fn variance(&self) -> f64 {
        let n = self.a + self.b;
        self.a / n * (self.b / n) / (n + 1.0)
    }

    /// (a − 1)/(a + b − 2) for a, b > 1, else the boundary of the larger exponent.
    fn mode(&self) -> f64 {
        if self.a > 1.0 && self.b > 1.0 {
            (self.a - 1.0) / (self.a + self.b - 2.0)
        } else if self.a >= self.b {
            1.0
        } else {
            0.0
        }
    }
}
