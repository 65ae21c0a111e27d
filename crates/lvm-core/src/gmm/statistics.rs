//! The additive sums from which the M-step makes new parameters.

use crate::gmm::covariance::CovarianceType;
use crate::linalg;
use crate::sweep::Merge;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayViewMut2, Axis};

/// Sufficient statistics of one E-sweep, about given centres c_k (the current means): sums over rows n with weight w_n and
/// responsibility γ_nk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statistics {
    /// Σ_n w_n log p(x_n).
    pub(crate) log_likelihood: f64,
    /// Σ_n w_n.
    pub(crate) weight: f64,
    /// N_k = Σ_n w_n γ_nk (K).
    pub(crate) counts: Array1<f64>,
    /// Σ_n w_n γ_nk (x_n − c_k) (K, D).
    pub(crate) first: Array2<f64>,
    /// Σ_n w_n γ_nk (x_n − c_k)(x_n − c_k)ᵀ, as far as the covariance type needs it.
    pub(crate) second: Second,
}

/// Second moments about the centres.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Second {
    /// (K, D, D), lower triangles; what stands above the diagonal means nothing.
    Full(Array3<f64>),
    /// Σ_k of the same (D, D), lower triangle.
    Tied(Array2<f64>),
    /// The diagonals (K, D).
    Diagonal(Array2<f64>),
    /// The traces (K).
    Spherical(Array1<f64>),
}

impl Statistics {
    /// All sums zero.
    pub(crate) fn zeros(covariance: CovarianceType, k: usize, d: usize) -> Self {
        Statistics {
            log_likelihood: 0.0,
            weight: 0.0,
            counts: Array1::zeros(k),
            first: Array2::zeros((k, d)),
            second: match covariance {
                CovarianceType::Full => Second::Full(Array3::zeros((k, d, d))),
                CovarianceType::Tied => Second::Tied(Array2::zeros((d, d))),
                CovarianceType::Diagonal => Second::Diagonal(Array2::zeros((k, d))),
                CovarianceType::Spherical => Second::Spherical(Array1::zeros(k)),
            },
        }
    }
}

impl Second {
    /// The matrix that rows of component `k` add to, if the type has one.
    pub(crate) fn matrix_mut(&mut self, k: usize) -> Option<ArrayViewMut2<'_, f64>> {
        match self {
            Second::Full(s) => Some(s.index_axis_mut(Axis(0), k)),
            Second::Tied(s) => Some(s.view_mut()),
            Second::Diagonal(_) | Second::Spherical(_) => None,
        }
    }
}

impl Merge for Statistics {
    fn merge(&mut self, other: Self) {
        self.log_likelihood += other.log_likelihood;
        self.weight += other.weight;
        self.counts += &other.counts;
        self.first += &other.first;
        match (&mut self.second, &other.second) {
            (Second::Full(a), Second::Full(b)) => *a += b,
            (Second::Tied(a), Second::Tied(b)) => *a += b,
            (Second::Diagonal(a), Second::Diagonal(b)) => *a += b,
            (Second::Spherical(a), Second::Spherical(b)) => *a += b,
            // invariant: all accumulators of a sweep are made by the same closure
            _ => unreachable!("statistics of different covariance types"),
        }
    }
}

impl Statistics {
    /// Adds rows of component `k`: `centred` (B, D), column-major, holds x_n − c_k and is used as scratch; `weights` (B) holds
    /// w_n γ_nk.
    pub(crate) fn add(&mut self, k: usize, mut centred: ArrayViewMut2<'_, f64>, weights: &[f64]) {
        self.counts[k] += weights.iter().sum::<f64>();
        for (j, column) in centred.columns().into_iter().enumerate() {
            self.first[[k, j]] += column.iter().zip(weights).map(|(v, w)| w * v).sum::<f64>();
        }
        let square = |column: ArrayView1<'_, f64>| column.iter().zip(weights).map(|(v, w)| w * v * v).sum::<f64>();
        match &mut self.second {
            Second::Full(_) | Second::Tied(_) => {
                // Σ_n w x xᵀ = (√w x)ᵀ(√w x)
                for mut column in centred.columns_mut() {
                    column.iter_mut().zip(weights).for_each(|(v, w)| *v *= w.sqrt());
                }
                if let Some(matrix) = self.second.matrix_mut(k) {
                    linalg::gram_lower(1.0, centred.view(), matrix);
                }
            }
            Second::Diagonal(s) => centred.columns().into_iter().enumerate().for_each(|(j, c)| s[[k, j]] += square(c)),
            Second::Spherical(s) => s[k] += centred.columns().into_iter().map(square).sum::<f64>(),
        }
    }

    /// Adds a covariance C (m, m) of unknown entries `columns`, with weight w.
    pub(crate) fn add_covariance(&mut self, k: usize, columns: &[usize], covariance: ArrayView2<'_, f64>, weight: f64) {
        match &mut self.second {
            Second::Diagonal(s) => columns.iter().zip(covariance.diag()).for_each(|(&j, c)| s[[k, j]] += weight * c),
            Second::Spherical(s) => s[k] += weight * covariance.diag().sum(),
            Second::Full(_) | Second::Tied(_) => {
                let Some(mut matrix) = self.second.matrix_mut(k) else { return };
                for (a, &i) in columns.iter().enumerate() {
                    for (b, &j) in columns.iter().enumerate().take(a + 1) {
                        matrix[[i, j]] += weight * covariance[[a, b]];
                    }
                }
            }
        }
    }
}
