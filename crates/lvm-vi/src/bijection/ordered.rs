//! Numbers in rising order.

use super::{Bijection, check_lengths, outside};
use lvm_core::Result;

/// x₁ < x₂ < … < x_n: x₁ = u₁, x_k = x_{k−1} + e^{u_k}.
///
/// Distances below the spacing of f64 at x are widened to it. With it labels of exchangeable components are told apart.
///
/// ```
/// use lvm_vi::bijection::{Bijection, Ordered};
/// let mut x = [0.0; 3];
/// Ordered(3).constrain(&[1.0, 0.0, 0.0], &mut x);
/// assert_eq!(x, [1.0, 2.0, 3.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered(
    /// n.
    pub usize,
);

impl Bijection for Ordered {
    fn unconstrained_dim(&self) -> usize {
        self.0
    }

    fn constrained_dim(&self) -> usize {
        self.0
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        // log |J| = Σ_{k ≥ 2} u_k
        let (mut last, mut log_jacobian) = (f64::NAN, 0.0);
        for (i, (x, u)) in x.iter_mut().zip(u).enumerate() {
            if i == 0 {
                *x = *u;
            } else {
                *x = (last + u.exp()).max(last.next_up());
                log_jacobian += u;
            }
            last = *x;
        }
        log_jacobian
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        if let Some((i, x)) = x.iter().enumerate().find(|(_, x)| !x.is_finite()) {
            return Err(outside(i, *x, "be finite"));
        }
        for i in 0..x.len() {
            u[i] = match i {
                0 => x[0],
                _ if x[i] > x[i - 1] => (x[i] - x[i - 1]).ln(),
                _ => return Err(outside(i, x[i], format_args!("be above the entry before it, {}", x[i - 1]))),
            };
        }
        Ok(())
    }

    fn pull_back(&self, u: &[f64], _x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        // ∂x_j/∂u_k = e^{u_k} for all j ≥ k ≥ 2
        let mut above = 0.0;
        for i in (0..u.len()).rev() {
            above += x_gradient[i];
            u_gradient[i] = if i == 0 { above } else { above * u[i].exp() + jacobian };
        }
    }
}
