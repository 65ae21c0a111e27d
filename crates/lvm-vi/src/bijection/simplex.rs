//! Probabilities that sum to 1.

use super::{Bijection, check_lengths, log_sigmoid_slope, outside};
use lvm_core::mutant::planted;
use lvm_core::special::{log_sigmoid, sigmoid};
use lvm_core::{Error, Result};

/// x of K positive numbers with Σ x = 1, by breaking a stick: x_k = r_k σ(u_k − log(K − k)), r_k = 1 − Σ_{j<k} x_j (k from 1), so that
/// u = 0 is the uniform x. The density is with respect to the first K − 1 entries.
///
/// ```
/// use lvm_vi::bijection::{Bijection, Simplex};
/// let mut x = [0.0; 3];
/// Simplex::new(3)?.constrain(&[0.0, 0.0], &mut x);
/// assert!(x.iter().all(|x| (x - 1.0 / 3.0).abs() < 1e-15));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simplex {
    k: usize,
}

impl Simplex {
    /// Probabilities of k outcomes.
    ///
    /// # Errors
    /// If k is below 2.
    pub fn new(k: usize) -> Result<Self> {
        if k < 2 {
            return Err(Error::config("k", format!("a simplex of {k} entries has no freedom; at least 2 are needed")));
        }
        Ok(Simplex { k })
    }

    /// The logit of the share that break i (from 0) takes of what is left.
    fn shifted(&self, i: usize, u: f64) -> f64 {
        u - (if planted("simplex_reversed") { i + 1 } else { self.k - 1 - i } as f64).ln()
    }
}

impl Bijection for Simplex {
    fn unconstrained_dim(&self) -> usize {
        self.k - 1
    }

    fn constrained_dim(&self) -> usize {
        self.k
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        // log |J| = Σ_k log r_k + log σ'(v_k): the matrix is triangular, with ∂x_k/∂u_k = r_k σ'(v_k)
        let (mut log_rest, mut log_jacobian) = (0.0, 0.0);
        for (i, (x, u)) in x.iter_mut().zip(u).enumerate() {
            let v = self.shifted(i, *u);
            *x = (log_rest + log_sigmoid(v)).exp().max(f64::MIN_POSITIVE);
            log_jacobian += log_rest + log_sigmoid_slope(v);
            log_rest += log_sigmoid(-v);
        }
        x[self.k - 1] = log_rest.exp().max(f64::MIN_POSITIVE);
        log_jacobian
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        if let Some((i, x)) = x.iter().enumerate().find(|(_, x)| !(**x > 0.0)) {
            return Err(outside(i, *x, "be positive"));
        }
        let sum: f64 = x.iter().sum();
        if !((sum - 1.0).abs() <= 1e-8) {
            return Err(Error::config("x", format!("the entries sum to {sum}; they must sum to 1")));
        }
        // v_k = log x_k − log Σ_{j>k} x_j, with sums from the end: nothing cancels
        let mut rest = x[self.k - 1];
        for i in (0..self.k - 1).rev() {
            u[i] = x[i].ln() - rest.ln() + ((self.k - 1 - i) as f64).ln();
            rest += x[i];
        }
        Ok(())
    }

    fn pull_back(&self, u: &[f64], x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        // backwards, with a_k the derivative in log r_k of everything from break k on:
        // a_K = g_K x_K,   ∂/∂v_k = g_k x_k (1 − s_k) − a_{k+1} s_k + 1 − 2 s_k,   a_k = g_k x_k + a_{k+1} + 1,   s_k = σ(v_k)
        let mut above = x_gradient[self.k - 1] * x[self.k - 1];
        for i in (0..self.k - 1).rev() {
            let v = self.shifted(i, u[i]);
            let (share, rest) = (sigmoid(v), sigmoid(-v));
            let own = x_gradient[i] * x[i];
            u_gradient[i] = own * rest - above * share + jacobian * (rest - share);
            above += own + jacobian;
        }
    }
}
