//! Parameters between two bounds.

use super::{Bijection, check_lengths, log_sigmoid_slope, outside};
use lvm_core::special::sigmoid;
use lvm_core::{Error, Result};

/// a < x_i < b, each by itself: x = a + (b − a) σ(u).
///
/// ```
/// use lvm_vi::bijection::{Bijection, Interval};
/// let (mut x, mut u) = ([0.0], [0.0]);
/// Interval::new(1, -1.0, 3.0)?.constrain(&[0.0], &mut x);
/// assert_eq!(x, [1.0]);
/// Interval::unit(1).unconstrain(&[0.75], &mut u)?;
/// assert!((u[0] - 3f64.ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    n: usize,
    lower: f64,
    upper: f64,
}

impl Interval {
    /// n numbers between `lower` and `upper`.
    ///
    /// # Errors
    /// If the bounds or their difference are not finite, or no number lies between them.
    pub fn new(n: usize, lower: f64, upper: f64) -> Result<Self> {
        if !(lower.is_finite() && upper.is_finite() && (upper - lower).is_finite() && lower.next_up() < upper) {
            return Err(Error::config("upper", format!("no interval from {lower} to {upper}; bounds must be finite and rise")));
        }
        Ok(Interval { n, lower, upper })
    }

    /// n numbers between 0 and 1: u is the logit of x.
    pub fn unit(n: usize) -> Self {
        Interval { n, lower: 0.0, upper: 1.0 }
    }

    fn width(&self) -> f64 {
        self.upper - self.lower
    }

    /// x of u, counted from the bound that is nearer, so that it is precise near both.
    fn at(&self, u: f64) -> f64 {
        let x = if u < 0.0 { self.lower + self.width() * sigmoid(u) } else { self.upper - self.width() * sigmoid(-u) };
        // next_up of 0 would be subnormal, whose reciprocal overflows
        let inside = if self.lower == 0.0 { f64::MIN_POSITIVE } else { self.lower.next_up() };
        let inside_upper = if self.upper == 0.0 { -f64::MIN_POSITIVE } else { self.upper.next_down() };
        x.clamp(inside.min(inside_upper), inside_upper)
    }
}

impl Bijection for Interval {
    fn unconstrained_dim(&self) -> usize {
        self.n
    }

    fn constrained_dim(&self) -> usize {
        self.n
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        // log dx/du = log(b − a) + log σ(u) + log σ(−u)
        x.iter_mut().zip(u).for_each(|(x, u)| *x = self.at(*u));
        self.n as f64 * self.width().ln() + u.iter().map(|u| log_sigmoid_slope(*u)).sum::<f64>()
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        if let Some((i, x)) = x.iter().enumerate().find(|(_, x)| !(**x > self.lower && **x < self.upper)) {
            return Err(outside(i, *x, format_args!("lie between {} and {}", self.lower, self.upper)));
        }
        // u = log (x − a)/(b − x)
        u.iter_mut().zip(x).for_each(|(u, x)| *u = (x - self.lower).ln() - (self.upper - x).ln());
        Ok(())
    }

    fn pull_back(&self, u: &[f64], _x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        // dx/du = (b − a) σ(u) σ(−u),   d/du log dx/du = σ(−u) − σ(u)
        for ((out, u), g) in u_gradient.iter_mut().zip(u).zip(x_gradient) {
            let (up, down) = (sigmoid(*u), sigmoid(-u));
            *out = g * self.width() * up * down + jacobian * (down - up);
        }
    }
}
