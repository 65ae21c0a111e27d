//! Cholesky factors of correlations.

use super::{Bijection, check_lengths, outside};
use lvm_core::{Error, Result};

/// L lower triangular (d, d) with a positive diagonal and rows of length 1, so that L Lᵀ is a correlation matrix; as the rows of its
/// lower triangle one after the other, d (d + 1) / 2 numbers of which d (d − 1) / 2 are free.
///
/// L_ij = tanh(u_ij) √r_ij with r_ij = Π_{k<j} (1 − tanh² u_ik) what is left of the row's length, L_ii = √r_ii. The density is with
/// respect to the entries below the diagonal.
///
/// ```
/// use lvm_vi::bijection::{Bijection, CorrelationFactor};
/// let mut l = [0.0; 3];
/// CorrelationFactor { d: 2 }.constrain(&[0.5f64.atanh()], &mut l);
/// assert!((l[1] - 0.5).abs() < 1e-15 && (l[2] - 0.75f64.sqrt()).abs() < 1e-15);
/// ```
///
/// # References
/// Lewandowski, Kurowicka & Joe 2009, Generating random correlation matrices based on vines and extended onion method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrelationFactor {
    /// d, the rows of L.
    pub d: usize,
}

/// Where row i starts in the packed triangle, and where its free numbers start in u.
fn starts(i: usize) -> (usize, usize) {
    (i * (i + 1) / 2, i * i.saturating_sub(1) / 2)
}

/// log(1 − tanh² u) = −2 log cosh u.
fn log_left(u: f64) -> f64 {
    2.0 * (std::f64::consts::LN_2 - u.abs() - (-2.0 * u.abs()).exp().ln_1p())
}

impl Bijection for CorrelationFactor {
    fn unconstrained_dim(&self) -> usize {
        self.d * self.d.saturating_sub(1) / 2
    }

    fn constrained_dim(&self) -> usize {
        self.d * (self.d + 1) / 2
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        let mut log_jacobian = 0.0;
        for i in 0..self.d {
            let (at, from) = starts(i);
            let mut log_rest = 0.0f64;
            for j in 0..i {
                let u = u[from + j];
                x[at + j] = u.tanh() * (0.5 * log_rest).exp();
                // ∂L_ij/∂u_ij = (1 − tanh² u) √r_ij
                log_jacobian += log_left(u) + 0.5 * log_rest;
                log_rest += log_left(u);
            }
            x[at + i] = (0.5 * log_rest).exp().max(f64::MIN_POSITIVE);
        }
        log_jacobian
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        for i in 0..self.d {
            let (at, from) = starts(i);
            let row = &x[at..=at + i];
            if !(row[i] > 0.0) {
                return Err(outside(at + i, row[i], "be positive, since it is on the diagonal"));
            }
            let length: f64 = row.iter().map(|l| l * l).sum();
            if !((length - 1.0).abs() <= 1e-8) {
                return Err(Error::config("x", format!("row {i} has squared length {length}; it must be 1")));
            }
            // tanh u = L_ij / √(Σ_{k ≥ j} L_ik²)   ⇔   sinh u = L_ij / √(Σ_{k > j} L_ik²), with sums from the end
            let mut rest = row[i];
            for j in (0..i).rev() {
                u[from + j] = (row[j] / rest).asinh();
                rest = rest.hypot(row[j]);
            }
        }
        Ok(())
    }

    fn pull_back(&self, u: &[f64], x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        for i in 0..self.d {
            let (at, from) = starts(i);
            // √r_ij for j = 0 … i − 1
            let roots: Vec<f64> = (0..i)
                .scan(0.0f64, |log_rest, j| {
                    let root = (0.5 * *log_rest).exp();
                    *log_rest += log_left(u[from + j]);
                    Some(root)
                })
                .collect();
            // backwards, with a_j the derivative in log r_ij of everything from column j on:
            // a_i = ½ g_ii L_ii,   ∂/∂u_ij = g_ij (1 − t²) √r_ij − 2 t (a_{j+1} + 1),   a_j = a_{j+1} + ½ g_ij L_ij + ½
            let mut above = 0.5 * x_gradient[at + i] * x[at + i];
            for j in (0..i).rev() {
                let (u, g) = (u[from + j], x_gradient[at + j]);
                u_gradient[from + j] = g * log_left(u).exp() * roots[j] - 2.0 * u.tanh() * (above + jacobian);
                above += 0.5 * (g * x[at + j] + jacobian);
            }
        }
    }
}
