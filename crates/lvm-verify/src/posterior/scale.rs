//! Priors of parameters as a user of a sampler writes them: log density and derivative, on the line or on the logarithm of a positive
//! parameter with its Jacobian.

use super::text::Prior;
use lvm_core::special::{HALF_LOG_2PI, lgamma, sigmoid, softplus};
use std::f64::consts::{LN_2, PI};

/// log p(x) of a prior on the line, and its derivative.
pub(super) fn on_line(prior: Prior, x: f64) -> (f64, f64) {
    match prior {
        Prior::Normal(mean, sd) => {
            let r = (x - mean) / sd;
            (-0.5 * r * r - sd.ln() - HALF_LOG_2PI, -r / sd)
        }
        _ => (0.0, 0.0),
    }
}

/// log p(x) + η of a prior of x = e^η > 0 (η is log|dx/dη|), and its derivative by η.
pub(super) fn on_log(prior: Prior, eta: f64) -> (f64, f64) {
    match prior {
        Prior::HalfNormal(s) => {
            // 2 N(x; 0, s²) on x > 0
            let r2 = (2.0 * (eta - s.ln())).exp();
            (LN_2 - s.ln() - HALF_LOG_2PI - 0.5 * r2 + eta, 1.0 - r2)
        }
        Prior::HalfCauchy(s) => {
            // 2 / (π s (1 + (x/s)²)), with log(1 + (x/s)²) = softplus(2 (η − log s)), which can't overflow
            let t = 2.0 * (eta - s.ln());
            ((2.0 / (PI * s)).ln() - softplus(t) + eta, 1.0 - 2.0 * sigmoid(t))
        }
        // the density of η itself is normal
        Prior::LogNormal(mean, sd) => on_line(Prior::Normal(mean, sd), eta),
        // b^a x^(a−1) e^(−bx) / Γ(a)
        Prior::Gamma(a, b) => (a * b.ln() - lgamma(a) + a * eta - b * eta.exp(), a - b * eta.exp()),
        _ => (eta, 1.0),
    }
}

/// Whether a prior is one of a parameter on the line.
pub(super) fn is_on_line(prior: &Prior) -> bool {
    matches!(prior, Prior::Flat | Prior::Normal(..))
}

/// Whether a prior is one of a positive parameter.
pub(super) fn is_of_scale(prior: &Prior) -> bool {
    matches!(prior, Prior::Flat | Prior::HalfNormal(_) | Prior::HalfCauchy(_) | Prior::LogNormal(..) | Prior::Gamma(..))
}
