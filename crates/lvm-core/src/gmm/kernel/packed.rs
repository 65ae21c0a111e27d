//! Parameters in the order in which the loops read them.

use super::spread::Centres;
use super::triangle::Triangle;
use crate::gmm::prepared::Whitening;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Parameters in the order in which the loops read them.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(super) components: usize,
    pub(super) dim: usize,
    /// μ_k (K, D), the centres of the moments.
    pub(super) centres: Vec<f64>,
    /// log π_k − ½ (D log 2π + log det Σ_k) (K).
    pub(crate) log_scale: Vec<f64>,
    /// −½, for spherical covariances −½ / σ_k² (K).
    pub(super) factor: Vec<f64>,
    /// Responsibilities below this are taken for 0 (K).
    pub(super) threshold: Vec<f64>,
    pub(super) shape: Shape,
}

/// The maps A_k under which the covariances become the identity.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A_k lower triangular.
    Full(Vec<Triangle>),
    /// One A for all, far from which the images of the centres lie: `origin` a (D), A (μ_k − a).
    Tied { triangle: Triangle, origin: Vec<f64>, images: Centres },
    /// One A for all, centres too far apart for a common origin.
    TiedFar(Triangle),
    /// 1/σ_kj.
    Diagonal(Centres),
    /// Distances are not divided by σ_k²; `factor` does that.
    Spherical(Centres),
}

/// Responsibilities below 2⁻⁶³ π_k are taken for 0: all of them together change N_k, which was about N π_k before this step, by less
/// than 10⁻¹⁹ of itself.
const NEGLIGIBLE: f64 = 1.0 / (1u64 << 63) as f64;

/// How far from the common origin, in standard deviations summed without regard to sign, centres of a tied covariance may lie before
/// the distances from the images of the centres lose digits: ε times this, 2e-13.
const NEAR: f64 = 1e3;

impl Packed {
    /// Packs prepared parameters.
    pub(crate) fn new(means: &Array2<f64>, log_weights: &Array1<f64>, log_scale: &Array1<f64>, whitening: &Whitening) -> Self {
        let (components, dim) = means.dim();
        let centres: Vec<f64> = means.iter().copied().collect();
        let lower = |a: ArrayView2<'_, f64>| Triangle::new(dim, |i, j| a[[i, j]]);
        let shape = match whitening {
            Whitening::Full(a) => Shape::Full((0..components).into_par_iter().map(|k| lower(a.index_axis(Axis(0), k))).collect()),
            Whitening::Tied(a) => tied(a, means, lower(a.view())),
            Whitening::Diagonal(s) => {
                let scales: Vec<f64> = s.iter().copied().collect();
                Shape::Diagonal(Centres::new(dim, &centres, Some(&scales)))
            }
            Whitening::Spherical(_) => Shape::Spherical(Centres::new(dim, &centres, None)),
        };
        let factor = match whitening {
            Whitening::Spherical(s) => s.iter().map(|s| -0.5 * s * s).collect(),
            _ => vec![-0.5; components],
        };
        // the exponential of the loops ends at 1e-307, which stands for 0
        let threshold = log_weights.iter().map(|w| (w.exp() * NEGLIGIBLE).max(1e-300)).collect();
        Packed { components, dim, centres, log_scale: log_scale.to_vec(), factor, threshold, shape }
    }
}

/// ‖A (x − μ_k)‖ = ‖A (x − a) − A (μ_k − a)‖: one product for all components, if no digits are lost by it.
fn tied(a: &Array2<f64>, means: &Array2<f64>, triangle: Triangle) -> Shape {
    let (k, d) = means.dim();
    let origin = means.sum_axis(Axis(0)) / k as f64;
    let from_origin = means - &origin;
    let reach = from_origin.mapv(f64::abs).dot(&a.t().mapv(f64::abs));
    // written so that NaN counts as far
    if !reach.iter().all(|v| *v <= NEAR) {
        return Shape::TiedFar(triangle);
    }
    let images: Vec<f64> = from_origin.dot(&a.t()).iter().copied().collect();
    Shape::Tied { triangle, origin: origin.to_vec(), images: Centres::new(d, &images, None) }
}
