//! Parameters without constraint.

use super::{Bijection, check_lengths, outside};
use lvm_core::Result;

/// x = u, for a stretch of n parameters without constraint among others that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity(
    /// n.
    pub usize,
);

impl Bijection for Identity {
    fn unconstrained_dim(&self) -> usize {
        self.0
    }

    fn constrained_dim(&self) -> usize {
        self.0
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        x.copy_from_slice(u);
        0.0
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        if let Some((i, x)) = x.iter().enumerate().find(|(_, x)| !x.is_finite()) {
            return Err(outside(i, *x, "be finite"));
        }
        u.copy_from_slice(x);
        Ok(())
    }

    fn pull_back(&self, _u: &[f64], _x: &[f64], x_gradient: &[f64], _jacobian: f64, u_gradient: &mut [f64]) {
        u_gradient.copy_from_slice(x_gradient);
    }
}
