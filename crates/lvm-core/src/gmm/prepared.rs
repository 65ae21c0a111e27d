//! What a density needs of the parameters, computed once: means, normalisers, inverse Cholesky factors.

use crate::error::Result;
use crate::gmm::covariance::Covariances;
use crate::gmm::kernel::Packed;
use crate::linalg;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;
use std::f64::consts::PI;

/// Parameters in the form in which densities are evaluated:
///
/// ```text
/// log π_k + log N(x; μ_k, Σ_k) = log_scale_k − ½ ‖A_k (x − μ_k)‖²,   A_k = L_k⁻¹,   Σ_k = L_k L_kᵀ
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// μ_k (K, D).
    pub(crate) means: Array2<f64>,
    /// log π_k (K).
    pub(crate) log_weights: Array1<f64>,
    /// A_k.
    pub(crate) whitening: Whitening,
    /// A_k and the rest, for the inner loops.
    pub(crate) packed: Box<Packed>,
}

/// The maps A_k under which Σ_k becomes the identity.
#[derive(Debug, Clone)]
pub(crate) enum Whitening {
    /// L_k⁻¹ (K, D, D), lower triangular.
    Full(Array3<f64>),
    /// L⁻¹ (D, D), lower triangular.
    Tied(Array2<f64>),
    /// 1 / σ_kj (K, D).
    Diagonal(Array2<f64>),
    /// 1 / σ_k (K).
    Spherical(Array1<f64>),
}

impl Prepared {
    /// Prepares checked parameters.
    pub(crate) fn new(weights: &Array1<f64>, means: &Array2<f64>, covariances: &Covariances) -> Result<Self> {
        let (k, d) = means.dim();
        let (whitening, log_det) = whiten(covariances, k, d)?;
        let log_weights = weights.mapv(f64::ln);
        let log_scale = &log_weights - 0.5 * (log_det + d as f64 * (2.0 * PI).ln());
        let packed = Box::new(Packed::new(means, &log_weights, &log_scale, &whitening));
        Ok(Prepared { means: means.clone(), log_weights, whitening, packed })
    }

    /// D.
    pub(crate) fn dim(&self) -> usize {
        self.means.ncols()
    }

    /// The logarithm of each component's density at its mean, weight included (K).
    pub(crate) fn log_scale(&self) -> &[f64] {
        &self.packed.log_scale
    }
}

/// L⁻¹ and log det (L Lᵀ), or which matrix is not positive definite.
fn factor(matrix: ArrayView2<'_, f64>, what: impl FnOnce() -> String) -> Result<(Array2<f64>, f64)> {
    let l = linalg::cholesky(matrix).map_err(|e| e.of(what()))?;
    Ok((linalg::inverse_lower(l.view()), linalg::log_det(l.view())))
}

/// A_k and log det Σ_k (K).
fn whiten(covariances: &Covariances, k: usize, d: usize) -> Result<(Whitening, Array1<f64>)> {
    Ok(match covariances {
        Covariances::Full(c) => {
            let (mut inverse, mut log_det) = (Array3::zeros((k, d, d)), Array1::zeros(k));
            let name = |index: usize| format!("the covariance of component {index} (from 0)");
            let factors: Vec<_> = (0..k).into_par_iter().map(|index| factor(c.index_axis(Axis(0), index), || name(index))).collect();
            for (index, result) in factors.into_iter().enumerate() {
                let (a, det) = result?;
                inverse.index_axis_mut(Axis(0), index).assign(&a);
                log_det[index] = det;
            }
            (Whitening::Full(inverse), log_det)
        }
        Covariances::Tied(c) => {
            let (a, det) = factor(c.view(), || "the tied covariance".into())?;
            (Whitening::Tied(a), Array1::from_elem(k, det))
        }
        Covariances::Diagonal(c) => (Whitening::Diagonal(c.mapv(|v| 1.0 / v.sqrt())), c.mapv(f64::ln).sum_axis(Axis(1))),
        Covariances::Spherical(c) => (Whitening::Spherical(c.mapv(|v| 1.0 / v.sqrt())), c.mapv(|v| d as f64 * v.ln())),
    })
}
