//! Constrained parameters expressed by unconstrained ones: x = b(u), with log |∂x/∂u| and gradients pulled back.
//!
//! | bijection | x | u | file |
//! |---|---|---|---|
//! | [`Identity`] | ℝⁿ | n | `identity` |
//! | [`Positive`] | (0, ∞)ⁿ, by exp or softplus | n | `positive` |
//! | [`Interval`] | (a, b)ⁿ; [`Interval::unit`] for (0, 1) | n | `interval` |
//! | [`Simplex`] | K positive numbers that sum to 1 | K − 1 | `simplex` |
//! | [`Ordered`] | x₁ < x₂ < … < x_n | n | `ordered` |
//! | [`CovarianceFactor`] | L lower triangular, positive diagonal | d (d + 1) / 2 | `covariance_factor` |
//! | [`CorrelationFactor`] | L with rows of length 1 besides | d (d − 1) / 2 | `correlation_factor` |
//! | [`Blocks`] | several of these, one after the other | the sum | `blocks` |
//!
//! No bijection gives an infinity or a NaN for |u| ≤ 700, and x lies inside the open set: what rounding would put on the border is moved
//! to the nearest number inside.

mod blocks;
mod constrained;
mod correlation_factor;
mod covariance_factor;
mod identity;
mod interval;
mod ordered;
mod positive;
mod simplex;

pub use blocks::Blocks;
pub use constrained::Constrained;
pub use correlation_factor::CorrelationFactor;
pub use covariance_factor::CovarianceFactor;
pub use identity::Identity;
pub use interval::Interval;
pub use ordered::Ordered;
pub use positive::{Link, Positive};
pub use simplex::Simplex;

use lvm_core::{Error, ErrorKind, Result};
use std::fmt::Debug;

/// A smooth one-to-one map of ℝᵐ onto a set of constrained x.
pub trait Bijection: Debug + Send + Sync {
    /// m, the entries of u.
    fn unconstrained_dim(&self) -> usize;

    /// The entries of x.
    fn constrained_dim(&self) -> usize;

    /// x = b(u), written over `x`; returns log |∂x/∂u|, where x has more entries than u that of the free ones.
    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64;

    /// u = b⁻¹(x), written over `u`.
    ///
    /// # Errors
    /// If x does not lie in the set, or has another number of entries.
    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()>;

    /// (∂x/∂u)ᵀ g + `jacobian` · ∇_u log |∂x/∂u| for a gradient g in x, written over `u_gradient`; `x` is `constrain(u)`. The weight
    /// `jacobian` is 1 for a log density, 0 for a likelihood.
    fn pull_back(&self, u: &[f64], x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]);
}

/// Refuses x and u of other lengths than the bijection has.
fn check_lengths(b: &dyn Bijection, x: &[f64], u: &[f64]) -> Result<()> {
    for (what, expected, found) in [("entries of x", b.constrained_dim(), x.len()), ("entries of u", b.unconstrained_dim(), u.len())] {
        if expected != found {
            return Err(ErrorKind::Shape { what, expected, found }.into());
        }
    }
    Ok(())
}

/// Entry i of x is outside the set.
fn outside(i: usize, x: f64, must: impl std::fmt::Display) -> Error {
    Error::config("x", format!("entry {i} is {x}; it must {must}"))
}

/// log σ'(u) = log σ(u) + log σ(−u), without cancellation.
fn log_sigmoid_slope(u: f64) -> f64 {
    // σ'(u) is even: −|u| − 2 log(1 + e^{−|u|})
    -u.abs() - 2.0 * (-u.abs()).exp().ln_1p()
}
