//! Probabilistic PCA and factor analysis as models with local latents, and their best Gaussians in closed form.

use super::patterns::Patterns;
use super::{Derivatives, LearnedModel, LocalGaussian, LocalModel, Shape};
use lvm_core::linear_gaussian::{GaussianPosterior, LinearGaussian};
use lvm_core::model::{Infer, LatentModel, MapLatent};
use lvm_core::mutant::planted;
use lvm_core::ppca::Ppca;
use lvm_core::rows::RowSource;
use lvm_core::{ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView2};
use std::f64::consts::TAU;

/// The mean-field optimum of probabilistic PCA and factor analysis, exactly: of all q(z_n) = Π_i N(z_ni; m_ni, s_ni²) the one nearest to the
/// posterior N(z̄_n, Λ_n⁻¹).
///
/// ```text
/// m_n = z̄_n,   s_ni² = 1/(Λ_n)_ii,   Λ_n = I + Σ_{j observed} w_j w_jᵀ/ψ_j      PRML 10.12–10.15
/// KL(q_n ‖ p_n) = ½ (Σ_i log Λ_ii − log det Λ)
/// ```
///
/// The mean is that of the posterior; the variances are too small, since 1/Λ_ii ≤ (Λ⁻¹)_ii. Cost O(N D q) and one factorisation for each set
/// of observed columns.
///
/// ```
/// use lvm_core::{linear_gaussian::LinearGaussian, model::Infer};
/// use ndarray::array;
/// // Λ = [[3, 1], [1, 2]]
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0, 0.0], [1.0, 1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0]];
/// let q = lvm_vi::local::mean_field(&model, &x)?;
/// assert!((q.covariance(0)[[0, 0]] - 1.0 / 3.0).abs() < 1e-15);
/// assert!((q.kl(&model.infer(&x)?)?[0] - 0.5 * (6.0_f64 / 5.0).ln()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the data is unusable or its columns do not fit the model.
pub fn mean_field(model: &LinearGaussian, x: &dyn RowSource) -> Result<LocalGaussian> {
    let mean = model.map_z(x)?;
    let patterns = Patterns::of(x)?;
    let prior = if planted("mean_field_without_prior") { 1.0 } else { 0.0 };
    let factor = |columns: &Vec<usize>| Array2::from_diag(&precision(model, columns).diag().mapv(|l| 1.0 / (l - prior).sqrt()));
    LocalGaussian::indexed(Shape::Diagonal, mean, patterns.observed.iter().map(factor).collect(), patterns.index)
}

/// The best Gaussian of any covariance: the posterior itself, so that the ELBO is the log evidence.
///
/// # Errors
/// If the data is unusable or its columns do not fit the model.
pub fn full_covariance(model: &LinearGaussian, x: &dyn RowSource) -> Result<GaussianPosterior> {
    model.infer(x)
}

/// Λ = I + Σ_{j ∈ columns} w_j w_jᵀ/ψ_j (q, q).
pub(super) fn precision(model: &LinearGaussian, columns: &[usize]) -> Array2<f64> {
    let mut precision = Array2::eye(model.latents());
    columns.iter().for_each(|&j| add_outer(&mut precision, model.loadings(), j, 1.0 / model.noise()[j]));
    precision
}

/// A ← A + scale · w_j w_jᵀ.
fn add_outer(a: &mut Array2<f64>, loadings: &Array2<f64>, j: usize, scale: f64) {
    let w = loadings.row(j);
    match (w.to_slice(), a.as_slice_mut()) {
        (Some(w), Some(a)) if !w.is_empty() => {
            for (row, w_i) in a.chunks_exact_mut(w.len()).zip(w) {
                row.iter_mut().zip(w).for_each(|(a, w_k)| *a += scale * w_i * w_k);
            }
        }
        _ => a.rows_mut().into_iter().zip(w).for_each(|(mut row, w_i)| row.scaled_add(scale * w_i, &w)),
    }
}

/// wᵀ S w.
pub(crate) fn quadratic(w: ndarray::ArrayView1<'_, f64>, s: ArrayView2<'_, f64>) -> f64 {
    match (w.to_slice(), s.to_slice()) {
        (Some(w), Some(s)) if !w.is_empty() => {
            s.chunks_exact(w.len()).zip(w).map(|(row, w_i)| w_i * row.iter().zip(w).map(|(a, b)| a * b).sum::<f64>()).sum()
        }
        _ => s.rows().into_iter().zip(w).map(|(row, w_i)| w_i * row.dot(&w)).sum(),
    }
}

impl LocalModel for LinearGaussian {
    fn latents(&self) -> usize {
        LinearGaussian::latents(self)
    }

    fn log_joint_grad(&self, x: &[f64], z: &[f64], gradient: &mut [f64]) -> f64 {
        // log N(z; 0, I) + Σ_j log N(x_j; μ_j + w_jᵀ z, ψ_j)
        let mut twice: f64 = z.iter().map(|z| TAU.ln() + z * z).sum();
        gradient.iter_mut().zip(z).for_each(|(g, z)| *g = -z);
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let (w, psi) = (self.loadings().row(j), self.noise()[j]);
            let e = x - self.mean()[j] - w.iter().zip(z).map(|(w, z)| w * z).sum::<f64>();
            twice += TAU.ln() + psi.ln() + e * e / psi;
            gradient.iter_mut().zip(w).for_each(|(g, w)| *g += w * e / psi);
        }
        -0.5 * twice
    }

    fn expected_log_joint(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>) -> f64 {
        // E_q[(x − μ − wᵀz)²] = (x − μ − wᵀm)² + wᵀ S w
        let mut twice: f64 = mean.iter().zip(covariance.diag()).map(|(m, s)| TAU.ln() + m * m + s).sum();
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let (w, psi) = (self.loadings().row(j), self.noise()[j]);
            let e = x - self.mean()[j] - w.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>();
            twice += TAU.ln() + psi.ln() + (e * e + quadratic(w, covariance)) / psi;
        }
        -0.5 * twice
    }

    fn expected_derivatives(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, out: &mut Derivatives) -> f64 {
        let mut twice: f64 = mean.iter().zip(covariance.diag()).map(|(m, s)| TAU.ln() + m * m + s).sum();
        out.gradient.iter_mut().zip(mean).for_each(|(g, m)| *g = -m);
        out.precision.fill(0.0);
        out.precision.diag_mut().fill(1.0);
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let (w, psi) = (self.loadings().row(j), self.noise()[j]);
            let e = x - self.mean()[j] - w.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>();
            twice += TAU.ln() + psi.ln() + (e * e + quadratic(w, covariance)) / psi;
            out.gradient.scaled_add(e / psi, &w);
            add_outer(&mut out.precision, self.loadings(), j, 1.0 / psi);
        }
        -0.5 * twice
    }
}

/// Factor analysis: θ = (μ (D), W (D q, row by row), log ψ (D)).
impl LearnedModel for LinearGaussian {
    fn parameters(&self) -> Vec<f64> {
        self.mean().iter().chain(self.loadings()).copied().chain(self.noise().iter().map(|v| v.ln())).collect()
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        let (d, q) = self.loadings().dim();
        let (mean, loadings, log_noise) = split(parameters, d, q, d)?;
        LinearGaussian::new(mean, loadings, log_noise.mapv(f64::exp))
    }

    fn add_parameter_gradient(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, scale: f64, gradient: &mut [f64]) {
        let (d, q) = self.loadings().dim();
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let (w, psi) = (self.loadings().row(j), self.noise()[j]);
            let e = x - self.mean()[j] - w.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>();
            let step = scale / psi;
            // ∂/∂μ_j = e/ψ,   ∂/∂w_j = (e m − S w)/ψ,   ∂/∂ log ψ_j = ½ [(e² + wᵀSw)/ψ − 1]
            gradient[j] += step * e;
            for (i, m) in mean.iter().enumerate() {
                gradient[d + j * q + i] += step * (e * m - covariance.row(i).dot(&w));
            }
            gradient[d + d * q + j] += 0.5 * scale * ((e * e + quadratic(w, covariance)) / psi - 1.0);
        }
    }
}

/// (mean (d), loadings (d, q), the last `rest`) of a flat vector.
pub(crate) fn split(parameters: &[f64], d: usize, q: usize, rest: usize) -> Result<(Array1<f64>, Array2<f64>, Array1<f64>)> {
    let expected = d + d * q + rest;
    if parameters.len() != expected {
        return Err(ErrorKind::Shape { what: "number of parameters", expected, found: parameters.len() }.into());
    }
    let loadings = Array2::from_shape_fn((d, q), |(j, i)| parameters[d + j * q + i]);
    Ok((parameters[..d].iter().copied().collect(), loadings, parameters[d + d * q..].iter().copied().collect()))
}

impl LocalModel for Ppca {
    fn latents(&self) -> usize {
        self.components()
    }

    fn log_joint_grad(&self, x: &[f64], z: &[f64], gradient: &mut [f64]) -> f64 {
        self.linear_gaussian().log_joint_grad(x, z, gradient)
    }

    fn expected_log_joint(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>) -> f64 {
        self.linear_gaussian().expected_log_joint(x, mean, covariance)
    }

    fn expected_derivatives(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, out: &mut Derivatives) -> f64 {
        self.linear_gaussian().expected_derivatives(x, mean, covariance, out)
    }
}

/// θ = (μ (D), W (D q, row by row), log σ²).
impl LearnedModel for Ppca {
    fn parameters(&self) -> Vec<f64> {
        self.mean().iter().chain(self.loadings()).copied().chain([self.noise_variance().ln()]).collect()
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        let (mean, loadings, log_noise) = split(parameters, self.dim(), self.components(), 1)?;
        Ppca::new(mean, loadings, log_noise[0].exp())
    }

    fn add_parameter_gradient(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, scale: f64, gradient: &mut [f64]) {
        let (d, q) = self.loadings().dim();
        // ∂/∂ log σ² is the sum of the columns' ∂/∂ log ψ_j
        let mut wide = vec![0.0; 2 * d + d * q];
        self.linear_gaussian().add_parameter_gradient(x, mean, covariance, scale, &mut wide);
        gradient.iter_mut().zip(&wide[..d + d * q]).for_each(|(g, w)| *g += w);
        gradient[d + d * q] += wide[d + d * q..].iter().sum::<f64>();
    }
}
