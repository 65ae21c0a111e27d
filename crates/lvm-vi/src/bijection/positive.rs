//! Positive parameters.

use super::{Bijection, check_lengths, outside};
use lvm_core::Result;
use lvm_core::mutant::planted;
use lvm_core::special::{log_sigmoid, sigmoid, softplus};

/// How a real number becomes a positive one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// x = eᵘ: scales multiply; the default.
    #[default]
    Exp,
    /// x = log(1 + eᵘ): like u for large u, so that a large scale is not a steep one.
    Softplus,
}

/// x_i > 0, each by itself.
///
/// ```
/// use lvm_vi::bijection::{Bijection, Positive};
/// let mut x = [0.0];
/// assert_eq!(Positive::exp(1).constrain(&[2.0], &mut x), 2.0);
/// assert_eq!(x[0], 2f64.exp());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positive {
    /// How many.
    pub n: usize,
    /// By which function.
    pub link: Link,
}

impl Positive {
    /// n numbers by x = eᵘ.
    pub fn exp(n: usize) -> Self {
        Positive { n, link: Link::Exp }
    }

    /// n numbers by x = log(1 + eᵘ).
    pub fn softplus(n: usize) -> Self {
        Positive { n, link: Link::Softplus }
    }
}

impl Bijection for Positive {
    fn unconstrained_dim(&self) -> usize {
        self.n
    }

    fn constrained_dim(&self) -> usize {
        self.n
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        let map = |f: fn(f64) -> f64, x: &mut [f64]| x.iter_mut().zip(u).for_each(|(x, u)| *x = f(*u).max(f64::MIN_POSITIVE));
        match self.link {
            // log dx/du = u
            Link::Exp => {
                map(f64::exp, x);
                u.iter().sum()
            }
            // log dx/du = log σ(u)
            Link::Softplus => {
                map(softplus, x);
                u.iter().map(|u| log_sigmoid(*u)).sum()
            }
        }
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        if let Some((i, x)) = x.iter().enumerate().find(|(_, x)| !(**x > 0.0 && x.is_finite())) {
            return Err(outside(i, *x, "be positive and finite"));
        }
        let inverse = match self.link {
            Link::Exp => f64::ln,
            // log(eˣ − 1): by eˣ − 1 itself where x is small, as x + log(1 − e⁻ˣ) where it is large
            Link::Softplus => |x: f64| if x < 1.0 { x.exp_m1().ln() } else { x + (-(-x).exp()).ln_1p() },
        };
        u.iter_mut().zip(x).for_each(|(u, x)| *u = inverse(*x));
        Ok(())
    }

    fn pull_back(&self, u: &[f64], x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        let terms = u_gradient.iter_mut().zip(u).zip(x.iter().zip(x_gradient));
        match self.link {
            Link::Exp => {
                let jacobian = if planted("jacobian_gradient_missing") { 0.0 } else { jacobian };
                terms.for_each(|((out, _), (x, g))| *out = g * x + jacobian);
            }
            Link::Softplus => terms.for_each(|((out, u), (_, g))| *out = g * sigmoid(*u) + jacobian * sigmoid(-u)),
        }
    }
}
