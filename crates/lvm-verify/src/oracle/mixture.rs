//! The Gaussian mixture, dense.

use super::{Lapack, gaussian};
use crate::suite::Problem;
use ndarray::{Array1, Array2};

/// A mixture as a list of components, whatever its covariance type.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// π (K).
    pub weights: Array1<f64>,
    /// μ_k, K vectors of D.
    pub means: Vec<Array1<f64>>,
    /// Σ_k, K matrices (D, D).
    pub covariances: Vec<Array2<f64>>,
}

/// log Σ exp.
fn log_sum_exp(v: &[f64]) -> f64 {
    let top = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + v.iter().map(|x| (x - top).exp()).sum::<f64>().ln()
}

impl Mixture {
    /// log π_k + log N(x_n; μ_k, Σ_k), missing entries integrated out; (N, K).
    ///
    /// # Errors
    /// If a covariance is not positive definite.
    pub fn log_joint(&self, lapack: Lapack, x: &Array2<f64>) -> Result<Array2<f64>, Problem> {
        let mut out = Array2::zeros((x.nrows(), self.weights.len()));
        for (k, mut column) in out.columns_mut().into_iter().enumerate() {
            let density = match x.iter().any(|v| v.is_nan()) {
                true => gaussian::log_density_of_observed(lapack, x, &self.means[k], &self.covariances[k])?,
                false => gaussian::log_density(lapack, x, &self.means[k], &self.covariances[k])?,
            };
            column.assign(&(density + self.weights[k].ln()));
        }
        Ok(out)
    }

    /// log p(x_n) = log Σ_k π_k N(x_n; μ_k, Σ_k) (PRML 9.14); (N).
    ///
    /// # Errors
    /// If a covariance is not positive definite.
    pub fn log_density(&self, lapack: Lapack, x: &Array2<f64>) -> Result<Array1<f64>, Problem> {
        Ok(self.log_joint(lapack, x)?.rows().into_iter().map(|r| log_sum_exp(&r.to_vec())).collect())
    }

    /// γ_nk = π_k N(x_n; μ_k, Σ_k) / p(x_n) (PRML 9.13); (N, K).
    ///
    /// # Errors
    /// If a covariance is not positive definite.
    pub fn responsibilities(&self, lapack: Lapack, x: &Array2<f64>) -> Result<Array2<f64>, Problem> {
        let mut joint = self.log_joint(lapack, x)?;
        for mut row in joint.rows_mut() {
            let total = log_sum_exp(&row.to_vec());
            row.mapv_inplace(|v| (v - total).exp());
        }
        Ok(joint)
    }

    /// `E[x]` and `Cov[x]` of the mixture: Σ π_k μ_k and Σ π_k (Σ_k + μ_k μ_kᵀ) − μ μᵀ, taken about the mean (PRML 12.12).
    pub fn moments(&self) -> (Array1<f64>, Array2<f64>) {
        let d = self.means[0].len();
        let mean = self.means.iter().zip(&self.weights).fold(Array1::zeros(d), |m, (mu, &w)| m + mu * w);
        let mut covariance = Array2::zeros((d, d));
        for ((mu, sigma), &w) in self.means.iter().zip(&self.covariances).zip(&self.weights) {
            let c = mu - &mean;
            for i in 0..d {
                for j in 0..d {
                    covariance[[i, j]] += w * (sigma[[i, j]] + c[i] * c[j]);
                }
            }
        }
        (mean, covariance)
    }
}

/// What the covariances of the components have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A matrix each.
    Full,
    /// One matrix for all.
    Tied,
    /// A diagonal each.
    Diagonal,
    /// One variance each.
    Spherical,
}

/// The M-step of EM from responsibilities (PRML 9.24-9.27): π_k = N_k/N, μ_k = Σ γ x / N_k, Σ_k = Σ γ (x−μ_k)(x−μ_k)ᵀ / N_k about the
/// new means; tied: the average of the Σ_k with weights π_k; diagonal: its diagonal; spherical: the mean of its diagonal.
pub fn m_step(x: &Array2<f64>, responsibilities: &Array2<f64>, weights: Option<&Array1<f64>>, shape: Shape) -> Mixture {
    let (n, d) = x.dim();
    let k = responsibilities.ncols();
    let weight = |i: usize| weights.map_or(1.0, |w| w[i]);
    let total: f64 = (0..n).map(weight).sum();
    let mut out = Mixture { weights: Array1::zeros(k), means: Vec::new(), covariances: Vec::new() };
    for c in 0..k {
        let gamma = Array1::from_shape_fn(n, |i| responsibilities[[i, c]] * weight(i));
        let (mean, scatter) = gaussian::moments(x, Some(&gamma));
        out.weights[c] = gamma.sum() / total;
        out.means.push(mean);
        out.covariances.push(match shape {
            Shape::Full | Shape::Tied => scatter,
            Shape::Diagonal => Array2::from_diag(&scatter.diag()),
            Shape::Spherical => Array2::from_diag_elem(d, scatter.diag().sum() / d as f64),
        });
    }
    if shape == Shape::Tied {
        let zero = Array2::zeros((d, d));
        let shared = out.covariances.iter().zip(&out.weights).fold(zero, |s: Array2<f64>, (c, &w)| s + c * w);
        out.covariances = vec![shared; k];
    }
    out
}
