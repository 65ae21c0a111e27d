//! The M-step: new parameters from sufficient statistics.

use crate::error::Result;
use crate::gmm::covariance::Covariances;
use crate::gmm::floor::Floor;
use crate::gmm::statistics::{Second, Statistics};
use crate::linalg;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis};

/// New parameters, before they are checked and prepared.
#[derive(Debug, Clone)]
pub(crate) struct Maximum {
    /// π (K).
    pub(crate) weights: Array1<f64>,
    /// μ (K, D).
    pub(crate) means: Array2<f64>,
    /// Σ.
    pub(crate) covariances: Covariances,
    /// The floor, in squared units, of each component that needed it (K).
    pub(crate) floored: Vec<Option<f64>>,
    /// Whether a mean moved so far, measured in its new standard deviations, that the covariance lost digits.
    pub(crate) moved_far: bool,
}

/// A mean may move by 100 standard deviations before the statistics are taken again about its new place: then
/// Σ = S − δδᵀ keeps 12 of 16 digits.
const FAR: f64 = 1e4;

/// With statistics about centres c_k, δ_k = (1/N_k) Σ γ (x − c_k):
///
/// ```text
/// π_k = N_k / N                                                        PRML 9.26
/// μ_k = c_k + δ_k                                                      PRML 9.24
/// Σ_k = (1/N_k) Σ_n γ_nk (x_n − c_k)(x_n − c_k)ᵀ − δ_k δ_kᵀ (+ ridge)  PRML 9.25
/// tied: Σ = Σ_k N_k Σ_k / N      diag: diagonal of Σ_k      spherical: tr Σ_k / D
/// ```
///
/// Components in `dead` have lost their rows: they stay where they are, with the covariance of the table, for the caller to place.
pub(crate) fn maximise(
    statistics: &Statistics,
    centres: ArrayView2<'_, f64>,
    dead: &[usize],
    ridge: f64,
    floor: &Floor,
) -> Result<Maximum> {
    let counts = &statistics.counts;
    let k = counts.len();
    let mut shift = &statistics.first / &counts.view().insert_axis(Axis(1));
    dead.iter().for_each(|&k| shift.row_mut(k).fill(0.0));
    let mut floored = vec![None; k];
    let mut moved_far = false;
    let covariances = match &statistics.second {
        Second::Full(second) => {
            let mut out = Array3::zeros(second.raw_dim());
            for k in 0..k {
                if dead.contains(&k) {
                    out.index_axis_mut(Axis(0), k).diag_mut().assign(floor.reference());
                    continue;
                }
                let mut sigma = &second.index_axis(Axis(0), k) / counts[k];
                subtract_square(&mut sigma, 1.0, shift.row(k));
                let raised = finish(&mut sigma, ridge, floor)?;
                floored[k] = raised.then(|| floor.shared());
                moved_far |= mahalanobis(sigma.view(), shift.row(k)) > FAR;
                out.index_axis_mut(Axis(0), k).assign(&sigma);
            }
            Covariances::Full(out)
        }
        Second::Tied(second) => {
            let weight = counts.sum();
            let mut sigma = second / weight;
            for (delta, count) in shift.outer_iter().zip(counts) {
                subtract_square(&mut sigma, count / weight, delta);
            }
            let raised = finish(&mut sigma, ridge, floor)?;
            floored[0] = raised.then(|| floor.shared());
            moved_far = shift.outer_iter().zip(counts).any(|(delta, count)| count / weight * mahalanobis(sigma.view(), delta) > FAR);
            Covariances::Tied(sigma)
        }
        Second::Diagonal(second) => {
            let mut out = Array2::zeros(second.raw_dim());
            for ((k, j), o) in out.indexed_iter_mut() {
                if dead.contains(&k) {
                    *o = floor.reference()[j];
                    continue;
                }
                let square = shift[[k, j]] * shift[[k, j]];
                let (variance, raised) = raise(second[[k, j]] / counts[k] - square + ridge, floor.column(j));
                if raised {
                    floored[k].get_or_insert(floor.column(j));
                }
                moved_far |= square > FAR * variance;
                *o = variance;
            }
            Covariances::Diagonal(out)
        }
        Second::Spherical(second) => {
            let d = shift.ncols() as f64;
            let mut out = Array1::zeros(k);
            for k in 0..k {
                if dead.contains(&k) {
                    out[k] = floor.reference().mean().unwrap_or(1.0);
                    continue;
                }
                let square = shift.row(k).dot(&shift.row(k)) / d;
                let (variance, raised) = raise(second[k] / (counts[k] * d) - square + ridge, floor.shared());
                floored[k] = raised.then(|| floor.shared());
                moved_far |= square > FAR * variance;
                out[k] = variance;
            }
            Covariances::Spherical(out)
        }
    };
    Ok(Maximum { weights: counts / counts.sum(), means: &centres + &shift, covariances, floored, moved_far })
}

/// Σ ← Σ − w δδᵀ, lower triangle.
fn subtract_square(sigma: &mut Array2<f64>, w: f64, delta: ArrayView1<'_, f64>) {
    for i in 0..delta.len() {
        for j in 0..=i {
            sigma[[i, j]] -= w * (delta[i] * delta[j]);
        }
    }
}

/// Symmetry, ridge, floor.
fn finish(sigma: &mut Array2<f64>, ridge: f64, floor: &Floor) -> Result<bool> {
    linalg::mirror_lower(sigma);
    sigma.diag_mut().mapv_inplace(|v| v + ridge);
    floor.raise(sigma)
}

/// The variance or its floor, and whether it was raised.
fn raise(variance: f64, floor: f64) -> (f64, bool) {
    if variance >= floor { (variance, false) } else { (floor, true) }
}

/// δᵀ Σ⁻¹ δ; zero for a Σ that can't be factorised, which the model then refuses.
fn mahalanobis(sigma: ArrayView2<'_, f64>, delta: ArrayView1<'_, f64>) -> f64 {
    let Ok(l) = linalg::cholesky(sigma) else { return 0.0 };
    let mut z = delta.to_owned().insert_axis(Axis(1));
    linalg::solve_lower(l.view(), z.view_mut());
    z.iter().map(|v| v * v).sum()
}
