//! Targets whose answers are known.

use lvm_core::linalg;
use lvm_vi::check::derivative;
use lvm_vi::family::Family;
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, ArrayView1, array};

pub(crate) const LOG_2PI: f64 = 1.837_877_066_409_345_3;

/// log N(z; m, Λ⁻¹) + c, so that the log evidence is c.
#[derive(Debug, Clone)]
pub(crate) struct Gaussian {
    pub(crate) mean: Array1<f64>,
    pub(crate) precision: Array2<f64>,
    pub(crate) evidence: f64,
}

impl Gaussian {
    /// Three latents, correlated.
    pub(crate) fn example() -> Self {
        Gaussian { mean: array![0.5, -1.0, 2.0], precision: array![[2.0, 0.6, -0.3], [0.6, 1.0, 0.4], [-0.3, 0.4, 1.5]], evidence: -3.25 }
    }

    pub(crate) fn covariance(&self) -> Array2<f64> {
        linalg::cholesky_inverse(linalg::cholesky(self.precision.view()).unwrap().view())
    }

    pub(crate) fn log_det_precision(&self) -> f64 {
        linalg::log_det(linalg::cholesky(self.precision.view()).unwrap().view())
    }

    /// ELBO(q) = c − KL(q ‖ p), from the mean and the covariance of q alone.
    pub(crate) fn elbo<F: Family>(&self, q: &F) -> f64 {
        let (covariance, shift) = (q.covariance(), q.mean() - &self.mean);
        let log_det = linalg::log_det(linalg::cholesky(covariance.view()).unwrap().view());
        let d = self.mean.len() as f64;
        let trace = (&self.precision * &covariance).sum();
        self.evidence - 0.5 * (trace + shift.dot(&self.precision.dot(&shift)) - d - self.log_det_precision() - log_det)
    }

    /// ∇_λ ELBO(q) by differences of [`Gaussian::elbo`].
    pub(crate) fn elbo_gradient<F: Family>(&self, q: &F) -> Vec<f64> {
        differences(|p| self.elbo(&q.with_parameters(p).unwrap()), q.parameters())
    }
}

/// ∇f by extrapolated differences, good to 1e-9 for the smooth functions here (asserted).
pub(crate) fn differences(f: impl Fn(&[f64]) -> f64, x: &[f64]) -> Vec<f64> {
    let along = |i: usize| {
        let mut moved = x.to_vec();
        let d = derivative(
            |t| {
                moved[i] = x[i] + t;
                Ok::<f64, ()>(f(&moved))
            },
            0.125,
        )
        .unwrap();
        assert!(d.error <= 1e-9 * d.value.abs().max(1.0), "derivative {i}: {d:?}");
        d.value
    };
    (0..x.len()).map(along).collect()
}

impl LogDensity for Gaussian {
    fn dim(&self) -> usize {
        self.mean.len()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl LogDensityGrad for Gaussian {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let v = &ArrayView1::from(z) - &self.mean;
        let a = self.precision.dot(&v);
        gradient.iter_mut().zip(&a).for_each(|(g, a)| *g = -a);
        Ok(self.evidence - 0.5 * (v.dot(&a) + z.len() as f64 * LOG_2PI - self.log_det_precision()))
    }
}

/// Another target where `broken` says so of z.
#[derive(Debug)]
pub(crate) struct Broken<T, F>(pub(crate) T, pub(crate) F);

impl<T: LogDensity, F: Fn(&[f64]) -> Option<Result<f64, TargetError>> + Sync> LogDensity for Broken<T, F> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        (self.1)(z).unwrap_or_else(|| self.0.log_density(z))
    }
}

impl<T: LogDensityGrad, F: Fn(&[f64]) -> Option<Result<f64, TargetError>> + Sync> LogDensityGrad for Broken<T, F> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let value = self.0.log_density_grad(z, gradient);
        (self.1)(z).unwrap_or(value)
    }
}

/// A target whose gradient is scaled in one coordinate: wrong.
#[derive(Debug)]
pub(crate) struct WrongGradient<T> {
    pub(crate) target: T,
    pub(crate) coordinate: usize,
    pub(crate) factor: f64,
}

impl<T: LogDensity> LogDensity for WrongGradient<T> {
    fn dim(&self) -> usize {
        self.target.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.target.log_density(z)
    }
}

impl<T: LogDensityGrad> LogDensityGrad for WrongGradient<T> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let value = self.target.log_density_grad(z, gradient);
        gradient[self.coordinate] *= self.factor;
        value
    }
}
