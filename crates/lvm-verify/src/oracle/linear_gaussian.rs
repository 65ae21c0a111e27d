//! x = μ + W z + ε with z ~ N(0, I), ε ~ N(0, Ψ), dense: the joint of (x, z) is one Gaussian, and everything follows by conditioning it.

use super::{Lapack, gaussian};
use crate::suite::Problem;
use ndarray::{Array1, Array2, Axis, concatenate};

/// Parameters of PPCA (Ψ = σ² I) or factor analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// μ (D).
    pub mean: Array1<f64>,
    /// W (D, q).
    pub loadings: Array2<f64>,
    /// diag Ψ (D).
    pub noise: Array1<f64>,
}

impl Factors {
    /// C = W Wᵀ + Ψ.
    pub fn covariance(&self) -> Array2<f64> {
        self.loadings.dot(&self.loadings.t()) + Array2::from_diag(&self.noise)
    }

    /// E[z | x] and Cov[z | x] of each row, by conditioning the joint covariance [[C, W], [Wᵀ, I]] on what is observed.
    ///
    /// # Errors
    /// If C is singular.
    pub fn posterior(&self, lapack: Lapack, x: &Array2<f64>) -> Result<(Array2<f64>, Vec<Array2<f64>>), Problem> {
        let (d, q) = self.loadings.dim();
        let shape = |e: ndarray::ShapeError| Problem(e.to_string());
        let top = concatenate(Axis(1), &[self.covariance().view(), self.loadings.view()]).map_err(shape)?;
        let bottom = concatenate(Axis(1), &[self.loadings.t(), Array2::eye(q).view()]).map_err(shape)?;
        let joint = concatenate(Axis(0), &[top.view(), bottom.view()]).map_err(shape)?;
        let mean = concatenate(Axis(0), &[self.mean.view(), Array1::zeros(q).view()]).map_err(shape)?;
        let mut means = Array2::zeros((x.nrows(), q));
        let mut covariances = Vec::new();
        for (n, row) in x.rows().into_iter().enumerate() {
            let padded = Array1::from_shape_fn(d + q, |j| if j < d { row[j] } else { f64::NAN });
            let (m, c) = gaussian::conditional(lapack, padded.view(), &mean, &joint)?;
            // Missing entries of x come first; z is what is left.
            let missing = m.len() - q;
            let keep: Vec<usize> = (missing..missing + q).collect();
            means.row_mut(n).assign(&m.select(Axis(0), &keep));
            covariances.push(gaussian::block(&c, &keep, &keep));
        }
        Ok((means, covariances))
    }
}

/// The maximum-likelihood PPCA of a table (Tipping & Bishop 1999, eqs. 7-9).
#[derive(Debug, Clone)]
pub struct Ppca {
    /// Mean, loadings and noise.
    pub factors: Factors,
    /// All D eigenvalues of the scatter matrix, descending.
    pub eigenvalues: Array1<f64>,
    /// Total log-likelihood, −N/2 [D log 2π + Σ_{i≤q} log λ_i + (D−q) log σ² + D].
    pub log_likelihood: f64,
}

/// The maximum-likelihood PPCA with q latents, by dsyev on the scatter matrix.
///
/// # Errors
/// If LAPACK does not converge.
pub fn ppca(lapack: Lapack, x: &Array2<f64>, q: usize) -> Result<Ppca, Problem> {
    let (n, d) = x.dim();
    let (mean, scatter) = gaussian::moments(x, None);
    let (eigenvalues, vectors) = lapack.eigh(&scatter)?;
    // σ² = (λ_{q+1} + … + λ_D) / (D − q)
    let noise = eigenvalues.iter().skip(q).sum::<f64>() / (d - q) as f64;
    let loadings = Array2::from_shape_fn((d, q), |(i, k)| vectors[[i, k]] * (eigenvalues[k] - noise).max(0.0).sqrt());
    let log_det = eigenvalues.iter().take(q).map(|v| v.ln()).sum::<f64>() + (d - q) as f64 * noise.ln();
    let log_likelihood = -0.5 * n as f64 * (d as f64 * gaussian::LOG_2PI + log_det + d as f64);
    Ok(Ppca { factors: Factors { mean, loadings, noise: Array1::from_elem(d, noise) }, eigenvalues, log_likelihood })
}

/// The gradient of the mean log-likelihood of a factor model with mean x̄ in log ψ_j and in the loadings measured in units of √s_jj, and
/// the mean log-likelihood itself. With A = C⁻¹ (S − C) C⁻¹: ∂/∂ψ_j = A_jj / 2, ∂/∂W = A W (Jöreskog 1967).
///
/// # Errors
/// If C is singular.
pub fn factor_gradient(lapack: Lapack, scatter: &Array2<f64>, factors: &Factors) -> Result<(Array1<f64>, Array2<f64>, f64), Problem> {
    let c = factors.covariance();
    let inverse = lapack.inverse(&c)?;
    let a = inverse.dot(&(scatter - &c)).dot(&inverse);
    let log_det = 2.0 * lapack.cholesky(&c)?.diag().iter().map(|v| v.ln()).sum::<f64>();
    let trace = (&inverse * &scatter.t()).sum();
    let d = scatter.nrows() as f64;
    let in_log_noise = Array1::from_shape_fn(factors.noise.len(), |j| 0.5 * a[[j, j]] * factors.noise[j]);
    let mut in_loadings = a.dot(&factors.loadings);
    for (j, mut row) in in_loadings.rows_mut().into_iter().enumerate() {
        row *= scatter[[j, j]].sqrt();
    }
    Ok((in_log_noise, in_loadings, -0.5 * (d * gaussian::LOG_2PI + log_det + trace)))
}
