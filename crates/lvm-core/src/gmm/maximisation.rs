//! The M-step: new parameters from sufficient statistics.

use crate::error::Result;
use crate::gmm::covariance::Covariances;
use crate::gmm::floor::Floor;
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::prepared::{Prepared, Whitening};
use crate::gmm::statistics::{Second, Statistics};
use crate::linalg;
use crate::mutant::planted;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// The parameters of a mixture, before they are checked and prepared.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    /// π (K).
    pub(crate) weights: Array1<f64>,
    /// μ (K, D).
    pub(crate) means: Array2<f64>,
    /// Σ.
    pub(crate) covariances: Covariances,
}

impl Parameters {
    /// Those of a mixture.
    pub(crate) fn of(mixture: &GaussianMixture) -> Self {
        Parameters { weights: mixture.weights().clone(), means: mixture.means().clone(), covariances: mixture.covariances().clone() }
    }

    /// The mixture with these parameters.
    pub(crate) fn mixture(self) -> Result<GaussianMixture> {
        GaussianMixture::new(self.weights, self.means, self.covariances)
    }
}

/// What maximises the expected log-likelihood, before the floor is seen to where Σ are matrices.
#[derive(Debug, Clone)]
pub(crate) struct Maximum {
    pub(crate) parameters: Parameters,
    /// How far each mean moved from the centre of the statistics (K, D).
    shift: Array2<f64>,
    /// The floor, in squared units, of each component that needed it (K).
    floored: Vec<Option<f64>>,
}

/// The mixture of an M-step and what was noticed on the way.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) mixture: GaussianMixture,
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
/// Components in `dead` have lost their rows: they stay where they are, with the scales of the table, for the caller to place.
pub(crate) fn maximise(statistics: &Statistics, centres: ArrayView2<'_, f64>, dead: &[usize], ridge: f64, floor: &Floor) -> Maximum {
    let counts = &statistics.counts;
    let ridge = if planted("gmm_hidden_ridge") { ridge.max(1e-6) } else { ridge };
    let (k, d) = centres.dim();
    let mut shift = &statistics.first / &counts.view().insert_axis(Axis(1));
    dead.iter().for_each(|&k| shift.row_mut(k).fill(0.0));
    let weights = counts / counts.sum();
    let mut floored = vec![None; k];
    let covariances = match &statistics.second {
        Second::Full(second) => {
            let mut out = Array3::zeros((k, d, d));
            out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(k, mut sigma)| {
                if dead.contains(&k) {
                    sigma.diag_mut().assign(floor.reference());
                } else {
                    let square = |i: usize, j: usize| if planted("gmm_old_means") { 0.0 } else { shift[[k, i]] * shift[[k, j]] };
                    sigma.assign(&symmetric(d, |i, j| second[[k, i, j]] / counts[k] - square(i, j)));
                    sigma.diag_mut().mapv_inplace(|v| v + ridge);
                }
            });
            Covariances::Full(out)
        }
        Second::Tied(second) => {
            // Σ_k π_k δ_k δ_kᵀ
            let shares = if planted("gmm_tied_unweighted") { Array1::from_elem(k, 1.0 / k as f64) } else { weights.clone() };
            let square = linalg::matmul((&shift * &shares.insert_axis(Axis(1))).t(), shift.view());
            let mut sigma = symmetric(d, |i, j| second[[i, j]] / counts.sum() - square[[i, j]]);
            sigma.diag_mut().mapv_inplace(|v| v + ridge);
            Covariances::Tied(sigma)
        }
        Second::Diagonal(second) => {
            let variance = |k: usize, j: usize| second[[k, j]] / counts[k] - shift[[k, j]] * shift[[k, j]] + ridge;
            let mut out = Array2::from_shape_fn((k, d), |(k, j)| if dead.contains(&k) { floor.reference()[j] } else { variance(k, j) });
            for ((k, j), v) in out.indexed_iter_mut() {
                if raise(v, floor.column(j)) {
                    floored[k].get_or_insert(floor.column(j));
                }
            }
            Covariances::Diagonal(out)
        }
        Second::Spherical(second) => {
            let square = |k: usize| shift.row(k).dot(&shift.row(k));
            let columns = if planted("gmm_spherical_sum") { 1.0 } else { d as f64 };
            let variance = |k: usize| (second[k] / counts[k] - square(k)) / columns + ridge;
            let scale = floor.reference().mean().unwrap_or(1.0);
            let mut out = Array1::from_shape_fn(k, |k| if dead.contains(&k) { scale } else { variance(k) });
            for (k, v) in out.iter_mut().enumerate() {
                floored[k] = raise(v, floor.shared()).then(|| floor.shared());
            }
            Covariances::Spherical(out)
        }
    };
    Maximum { parameters: Parameters { weights, means: &centres + &shift, covariances }, shift, floored }
}

/// A symmetric matrix (D, D) from its lower triangle.
fn symmetric(d: usize, lower: impl Fn(usize, usize) -> f64) -> Array2<f64> {
    Array2::from_shape_fn((d, d), |(i, j)| if i >= j { lower(i, j) } else { lower(j, i) })
}

/// Raises a variance to its floor; whether that was needed.
fn raise(variance: &mut f64, floor: f64) -> bool {
    let low = *variance < floor || variance.is_nan();
    if low {
        *variance = floor;
    }
    low
}

impl Maximum {
    /// The mixture, with every covariance at the floor or above.
    pub(crate) fn settle(self, floor: &Floor) -> Result<Settled> {
        let Maximum { parameters: Parameters { weights, means, mut covariances }, shift, mut floored } = self;
        // The regular case: the inverse factors, needed anyway, certify that no eigenvalue is below the floor.
        let mixture = match Prepared::new(&weights, &means, &covariances) {
            Ok(prepared) if floor.certifies(&prepared.whitening) => GaussianMixture::from_prepared(weights, covariances, prepared),
            _ => {
                raise_matrices(&mut covariances, floor, &mut floored)?;
                GaussianMixture::new(weights, means, covariances)?
            }
        };
        let moved_far = moved_far(&mixture, &shift);
        Ok(Settled { mixture, floored, moved_far })
    }
}

/// Raises the matrices that need it.
fn raise_matrices(covariances: &mut Covariances, floor: &Floor, floored: &mut [Option<f64>]) -> Result<()> {
    match covariances {
        Covariances::Full(c) => {
            for (k, mut matrix) in c.outer_iter_mut().enumerate() {
                let mut sigma = matrix.to_owned();
                if floor.raise(&mut sigma)? {
                    floored[k] = Some(floor.shared());
                    matrix.assign(&sigma);
                }
            }
        }
        Covariances::Tied(c) => floored[0] = floor.raise(c)?.then(|| floor.shared()),
        Covariances::Diagonal(_) | Covariances::Spherical(_) => {}
    }
    Ok(())
}

/// Whether δ_kᵀ Σ_k⁻¹ δ_k > 10⁴ for a component, by coordinates where Σ_k is diagonal, and weighted by π_k where Σ is tied.
fn moved_far(mixture: &GaussianMixture, shift: &Array2<f64>) -> bool {
    let norm = |a: ArrayView2<'_, f64>, delta: ArrayView1<'_, f64>| a.dot(&delta).mapv(|v| v * v).sum();
    let whitening = &mixture.prepared().whitening;
    shift.outer_iter().enumerate().any(|(k, delta)| match whitening {
        Whitening::Full(a) => norm(a.index_axis(Axis(0), k), delta) > FAR,
        Whitening::Tied(a) => mixture.weights()[k] * norm(a.view(), delta) > FAR,
        Whitening::Diagonal(a) => a.row(k).iter().zip(delta).any(|(a, v)| (a * v) * (a * v) > FAR),
        Whitening::Spherical(a) => delta.iter().map(|v| (a[k] * v) * (a[k] * v)).sum::<f64>() > FAR * delta.len() as f64,
    })
}
