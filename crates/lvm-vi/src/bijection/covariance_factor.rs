//! Cholesky factors of covariances.

use super::{Bijection, check_lengths, outside};
use lvm_core::Result;

/// L lower triangular (d, d) with a positive diagonal, as the rows of its lower triangle one after the other: L_ij = u, L_ii = eᵘ.
///
/// The density is one of L. For a prior on Σ = L Lᵀ add [`CovarianceFactor::log_jacobian_of_covariance`].
///
/// ```
/// use lvm_vi::bijection::{Bijection, CovarianceFactor};
/// let mut l = [0.0; 3];
/// CovarianceFactor { d: 2 }.constrain(&[0.0, 5.0, 0.0], &mut l);
/// assert_eq!(l, [1.0, 5.0, 1.0]); // [[1, 0], [5, 1]]
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CovarianceFactor {
    /// d, the rows of L.
    pub d: usize,
}

impl CovarianceFactor {
    /// The places of the diagonal in the packed triangle.
    fn diagonal(&self) -> impl Iterator<Item = usize> {
        (0..self.d).map(|i| i * (i + 3) / 2)
    }

    /// log |∂Σ/∂L| for the lower triangle of Σ = L Lᵀ, L as packed by [`Bijection::constrain`]: d log 2 + Σ_i (d − i) log L_ii, i from 0.
    pub fn log_jacobian_of_covariance(&self, l: &[f64]) -> f64 {
        let powers = (1..=self.d).rev().map(|p| p as f64);
        self.d as f64 * std::f64::consts::LN_2 + self.diagonal().zip(powers).map(|(i, p)| p * l[i].ln()).sum::<f64>()
    }

    /// Its gradient in L, added to `gradient`.
    pub fn add_log_jacobian_of_covariance_grad(&self, l: &[f64], gradient: &mut [f64]) {
        let powers = (1..=self.d).rev().map(|p| p as f64);
        self.diagonal().zip(powers).for_each(|(i, p)| gradient[i] += p / l[i]);
    }
}

impl Bijection for CovarianceFactor {
    fn unconstrained_dim(&self) -> usize {
        self.d * (self.d + 1) / 2
    }

    fn constrained_dim(&self) -> usize {
        self.unconstrained_dim()
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        x.copy_from_slice(u);
        self.diagonal().for_each(|i| x[i] = u[i].exp().max(f64::MIN_POSITIVE));
        self.diagonal().map(|i| u[i]).sum()
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        if let Some((i, x)) = x.iter().enumerate().find(|(_, x)| !x.is_finite()) {
            return Err(outside(i, *x, "be finite"));
        }
        u.copy_from_slice(x);
        for i in self.diagonal() {
            if !(x[i] > 0.0) {
                return Err(outside(i, x[i], "be positive, since it is on the diagonal"));
            }
            u[i] = x[i].ln();
        }
        Ok(())
    }

    fn pull_back(&self, _u: &[f64], x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        u_gradient.copy_from_slice(x_gradient);
        self.diagonal().for_each(|i| u_gradient[i] = x_gradient[i] * x[i] + jacobian);
    }
}
