//! Hyperparameters of a Gaussian process with the squared-exponential kernel.

use super::quadrature::ByQuadrature;
use super::scale::{is_of_scale, on_log};
use super::text::{Clause, Prior, Statement};
use super::{Posterior, finite};
use lvm_core::linalg::{cholesky, cholesky_inverse, cholesky_solve, log_det};
use lvm_core::special::HALF_LOG_2PI;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, Axis};

/// y ~ N(0, K + v I), K_ij = a² exp(−(x_i − x_j)²/(2 r²)); z = (log r, log a, log v).
#[derive(Debug, Clone)]
pub struct GaussianProcess {
    /// y (N).
    pub y: Array1<f64>,
    /// The (x_i − x_j)² that differ: few on a grid, and an exponential costs more than all else that an entry of K takes.
    distances: Vec<f64>,
    /// Which of them (N, N).
    place: Array2<usize>,
    /// Priors of r, a and v.
    pub priors: [Prior; 3],
}

/// The covariance, letter by letter: it is the noise variance that is called sigma.
const DENSITY: &str = "MVN(0,K+sigmaI)-note:sigma,notsigma^2,isaddedtothediagonal-withK_ij=alpha^2exp(-(x_i-x_j)^2/(2rho^2))";

impl GaussianProcess {
    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<GaussianProcess> {
        if s.names != ["rho", "alpha", "sigma"] || s.supports.iter().any(|t| t != "positive") {
            return None;
        }
        // commas inside the note split the clause
        let text: String = s.clauses.iter().take_while(|c| !is_prior(c)).map(spoken).collect::<Vec<_>>().join(",");
        let priors: Vec<Clause> = s.clauses.iter().skip_while(|c| !is_prior(c)).cloned().collect();
        let priors = Statement::priors(&priors, &s.names)?;
        let (x, y) = (s.columns.column("x")?, s.columns.column("y")?.clone());
        if text != format!("y~{DENSITY}") || !priors.iter().all(is_of_scale) || x.len() != y.len() {
            return None;
        }
        Some(GaussianProcess::new(&x.to_vec(), y, [priors[0], priors[1], priors[2]]))
    }

    /// Of y at x, with priors of r, a and v.
    fn new(x: &[f64], y: Array1<f64>, priors: [Prior; 3]) -> Self {
        let squared = Array2::from_shape_fn((x.len(), x.len()), |(i, j)| (x[i] - x[j]).powi(2));
        let mut distances: Vec<f64> = squared.iter().copied().collect();
        distances.sort_by(f64::total_cmp);
        distances.dedup();
        let place = squared.mapv(|d| distances.partition_point(|other| *other < d));
        GaussianProcess { y, distances, place, priors }
    }
}

fn is_prior(clause: &Clause) -> bool {
    matches!(clause, Clause::Sampled { names, .. } if names == &["rho"])
}

fn spoken(clause: &Clause) -> String {
    match clause {
        Clause::Sampled { names, right } => format!("{}~{}", names.join(","), super::text::squeeze(right)),
        Clause::Other(text) => text.clone(),
    }
}

impl LogDensity for GaussianProcess {
    fn dim(&self) -> usize {
        3
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 3])
    }
}

impl LogDensityGrad for GaussianProcess {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let n = self.y.len();
        let (inverse_r2, a2, v) = ((-2.0 * z[0]).exp(), (2.0 * z[1]).exp(), z[2].exp());
        let kernel: Vec<f64> = self.distances.iter().map(|d| a2 * (-0.5 * d * inverse_r2).exp()).collect();
        let mut covariance = self.place.mapv(|k| kernel[k]);
        covariance.diag_mut().mapv_inplace(|k| k + v);
        let l =
            cholesky(covariance.view()).map_err(|e| TargetError::Recoverable(format!("covariance of the process, minor {}", e.index)))?;
        let mut w = self.y.clone().insert_axis(Axis(1));
        cholesky_solve(l.view(), w.view_mut());
        let w = w.remove_axis(Axis(1));
        // ∂ log N/∂θ = ½ tr((w wᵀ − C⁻¹) ∂C/∂θ), w = C⁻¹ y   (Rasmussen & Williams 2006, eq. 5.9)
        let inverse = cholesky_inverse(l.view());
        gradient.fill(0.0);
        for i in 0..n {
            for j in 0..n {
                let m = 0.5 * (w[i] * w[j] - inverse[[i, j]]);
                let k = self.place[[i, j]];
                gradient[0] += m * kernel[k] * self.distances[k] * inverse_r2;
                gradient[1] += m * 2.0 * kernel[k];
            }
            gradient[2] += 0.5 * (w[i] * w[i] - inverse[[i, i]]) * v;
        }
        let mut value = -0.5 * self.y.dot(&w) - 0.5 * log_det(l.view()) - n as f64 * HALF_LOG_2PI;
        for ((g, prior), eta) in gradient.iter_mut().zip(self.priors).zip(z) {
            let (log_density, derivative) = on_log(prior, *eta);
            value += log_density;
            *g += derivative;
        }
        finite(value)
    }
}

impl Posterior for GaussianProcess {
    fn form(&self) -> &'static str {
        "Gaussian process"
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(ByQuadrature::whole(self)?))
    }
    fn is_integrated(&self) -> bool {
        true
    }
    fn cost(&self) -> usize {
        self.y.len().pow(3)
    }
}
