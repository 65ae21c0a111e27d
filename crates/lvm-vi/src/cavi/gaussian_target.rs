//! Coordinate ascent on a Gaussian: the one target where everything about mean field is known.

use lvm_core::mutant::planted;
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2};
use std::f64::consts::PI;

/// A Gaussian target N(μ, Λ⁻¹), normalised, so that its log evidence is 0.
///
/// # Objective
/// The ELBO of q(z) = Π_i N(z_i; m_i, s_i²), −KL(q ‖ N(μ, Λ⁻¹)), nats.
///
/// # Update
/// ```text
/// s_i² = 1/Λ_ii,   m_i = μ_i − Σ_{j≠i} Λ_ij (m_j − μ_j)/Λ_ii                                           PRML 10.12–10.15
/// ```
/// for i = 1, …, d: the Gauss–Seidel iteration for Λ m = Λ μ. The optimum is m = μ, with KL = ½ (Σ log Λ_ii − log det Λ).
///
/// # What it needs
/// Λ symmetric positive definite. O(d²) a sweep.
///
/// # When it fails
/// It always converges, at the [`rate`](Self::rate) of Gauss–Seidel: slowly where coordinates are highly correlated. The variances
/// 1/Λ_ii are smaller than the marginal ones, the more so the stronger the correlation.
///
/// # Errors
/// Shapes that do not fit; a Λ that is not positive definite.
///
/// # Example
/// ```
/// use lvm_vi::cavi::gaussian_target::GaussianTarget;
/// use ndarray::array;
/// let target = GaussianTarget::new(array![1.0, -1.0], array![[2.0, 1.0], [1.0, 2.0]])?;
/// let q = target.ascend(array![0.0, 0.0], 60)?.pop().unwrap();
/// assert!((q.mean[0] - 1.0).abs() < 1e-12);
/// assert!((target.rate() - 0.25).abs() < 1e-8);
/// assert!((q.elbo + 0.5 * (4.0_f64 / 3.0).ln()).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Bishop, *Pattern Recognition and Machine Learning* (2006), 10.1.2.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianTarget {
    mean: Array1<f64>,
    precision: Array2<f64>,
    log_det: f64,
}

/// q(z) = Π_i N(z_i; m_i, s_i²) with its ELBO.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorisedGaussian {
    /// m (d).
    pub mean: Array1<f64>,
    /// s² (d).
    pub variances: Array1<f64>,
    /// −KL(q ‖ target), nats.
    pub elbo: f64,
}

impl GaussianTarget {
    /// N(μ, Λ⁻¹) from μ (d) and Λ (d, d).
    ///
    /// # Errors
    /// If the shapes differ, or Λ is not symmetric positive definite.
    pub fn new(mean: Array1<f64>, precision: Array2<f64>) -> Result<Self> {
        let d = mean.len();
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if precision.dim() != (d, d) {
            return Err(ErrorKind::Shape { what: "rows of the precision", expected: d, found: precision.nrows() }.into());
        }
        if mean.iter().chain(&precision).any(|v| !v.is_finite()) {
            return Err(Error::config("target", "a mean or a precision is not finite"));
        }
        let scale = |i: usize, j: usize| (precision[[i, i]] * precision[[j, j]]).abs().sqrt();
        if (0..d).any(|i| (0..i).any(|j| (precision[[i, j]] - precision[[j, i]]).abs() > 1e-8 * scale(i, j))) {
            return Err(Error::config("precision", "it is not symmetric"));
        }
        let l = linalg::cholesky(precision.view()).map_err(|e| e.of("the precision"))?;
        Ok(GaussianTarget { mean, log_det: linalg::log_det(l.view()), precision })
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The best factorised q: N(μ_i, 1/Λ_ii) each.
    pub fn optimum(&self) -> FactorisedGaussian {
        self.factorised(self.mean.clone())
    }

    /// q with means m and the variances 1/Λ_ii.
    fn factorised(&self, mean: Array1<f64>) -> FactorisedGaussian {
        let variances = self.precision.diag().mapv(|v| 1.0 / v);
        let elbo = self.elbo(&mean, &variances);
        FactorisedGaussian { mean, variances, elbo }
    }

    /// ½ [log det Λ − Σ Λ_ii s_i² − (m − μ)ᵀ Λ (m − μ) + Σ (1 + log s_i²)]: the terms in log 2π cancel.
    pub fn elbo(&self, mean: &Array1<f64>, variances: &Array1<f64>) -> f64 {
        let away = mean - &self.mean;
        let spread: f64 = self.precision.diag().iter().zip(variances).map(|(l, s)| 1.0 + s.ln() - l * s).sum();
        0.5 * (self.log_det + spread - away.dot(&self.precision.dot(&away)))
    }

    /// log N(z; μ, Λ⁻¹).
    pub fn log_density(&self, z: &Array1<f64>) -> f64 {
        let away = z - &self.mean;
        0.5 * (self.log_det - self.dim() as f64 * (2.0 * PI).ln() - away.dot(&self.precision.dot(&away)))
    }

    /// Coordinate ascent from means `start` (d): q after each of `sweeps` sweeps over the coordinates in their order.
    ///
    /// # Errors
    /// If the start has another length or is not finite.
    pub fn ascend(&self, start: Array1<f64>, sweeps: usize) -> Result<Vec<FactorisedGaussian>> {
        if start.len() != self.dim() {
            return Err(ErrorKind::Shape { what: "length of the start", expected: self.dim(), found: start.len() }.into());
        }
        if let Some((i, v)) = start.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("start", format!("{v} in coordinate {i} (from 0)")));
        }
        let mut away = start - &self.mean;
        let one = |_| {
            let before = planted("sweep_of_old_means").then(|| away.clone());
            for i in 0..self.dim() {
                // m_i − μ_i = −Σ_{j≠i} Λ_ij (m_j − μ_j)/Λ_ii
                let now = before.as_ref().unwrap_or(&away);
                let product = self.precision.row(i).dot(now) - self.precision[[i, i]] * now[i];
                away[i] = -product / self.precision[[i, i]];
            }
            self.factorised(&self.mean + &away)
        };
        Ok((0..sweeps).map(one).collect())
    }

    /// The factor by which late sweeps shorten the distance to the optimum: the spectral radius of G = −(D + L)⁻¹ U with Λ = L + D + U.
    ///
    /// As lim ‖Gⁿ‖^{1/n}, n = 2³⁰ by squaring, which also serves where the largest eigenvalues are a complex pair; relative error about
    /// 1e-8.
    pub fn rate(&self) -> f64 {
        let d = self.dim();
        let lower = Array2::from_shape_fn((d, d), |(i, j)| if i >= j { self.precision[[i, j]] } else { 0.0 });
        let mut g = Array2::from_shape_fn((d, d), |(i, j)| if i < j { -self.precision[[i, j]] } else { 0.0 });
        linalg::solve_lower(lower.view(), g.view_mut());
        // log ‖Gⁿ‖ / n, G scaled to norm 1 before each squaring
        let (mut log_norm, mut share) = (0.0, 1.0);
        for _ in 0..30 {
            let norm = g.iter().map(|v| v * v).sum::<f64>().sqrt();
            if norm == 0.0 {
                return 0.0;
            }
            log_norm += share * norm.ln();
            share *= 0.5;
            g /= norm;
            g = linalg::matmul(g.view(), g.view());
        }
        log_norm.exp()
    }
}
