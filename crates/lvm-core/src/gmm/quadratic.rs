//! Responsibilities of scores that are quadratic in x, and their sums: what the E-step of a Gaussian mixture and of its Bayesian
//! sibling have in common.

use crate::error::{Error, ErrorKind, Result};
use crate::gmm::covariance::{CovarianceType, Covariances};
use crate::gmm::expectation::{Expectation, Rule, check_responsibilities};
use crate::gmm::kernel::{self, Accumulator, Packed};
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::posterior::normalise_log;
use crate::gmm::prepared::{Prepared, Whitening};
use crate::gmm::statistics::{Second, Statistics};
use crate::linalg;
use crate::moments::refuse_missing;
use crate::rows::RowSource;
use crate::sweep::{Block, check_shape, map_rows, sweep};
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayViewMut2, Axis};

/// Scores of K components for a row x:
///
/// ```text
/// log ρ_k(x) = log w_k + a_k − ½ ‖A_k (x − c_k)‖²,        γ_k = ρ_k / Σ_j ρ_j
/// ```
///
/// The densities of a Gaussian mixture are of this form, and so are the expected log densities under a Gaussian-Wishart or
/// Gaussian-gamma distribution of its parameters (PRML 10.46).
#[derive(Debug, Clone)]
pub struct QuadraticScores {
    prepared: Prepared,
}

/// The maps A_k of [`QuadraticScores`].
#[derive(Debug, Clone, PartialEq)]
pub enum Whitener {
    /// Lower triangular (K, D, D).
    Full(Array3<f64>),
    /// Diagonals (K, D).
    Diagonal(Array2<f64>),
}

/// Sums over rows n with weight w_n and responsibility γ_nk, about centres c_k.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponsibilitySums {
    /// Σ_n w_n log Σ_k ρ_k(x_n); 0 for responsibilities that were given.
    pub log_normaliser: f64,
    /// −Σ_n w_n Σ_k γ_nk log γ_nk.
    pub entropy: f64,
    /// Σ_n w_n.
    pub weight: f64,
    /// c_k (K, D).
    pub centres: Array2<f64>,
    /// N_k = Σ_n w_n γ_nk (K).
    pub counts: Array1<f64>,
    /// Σ_n w_n γ_nk (x_n − c_k) (K, D).
    pub first: Array2<f64>,
    /// Σ_n w_n γ_nk (x_n − c_k)(x_n − c_k)ᵀ.
    pub second: SecondMoments,
}

/// Second moments of each component about its centre.
#[derive(Debug, Clone, PartialEq)]
pub enum SecondMoments {
    /// Matrices (K, D, D), symmetric.
    Full(Array3<f64>),
    /// Their diagonals (K, D).
    Diagonal(Array2<f64>),
}

impl QuadraticScores {
    /// Scores with log w (K), a (K), c (K, D) and A.
    ///
    /// # Errors
    /// If shapes do not fit each other or a number is not finite.
    pub fn new(log_weights: &Array1<f64>, offsets: &Array1<f64>, centres: Array2<f64>, whitener: Whitener) -> Result<Self> {
        let (k, d) = centres.dim();
        let same = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(Error::from(ErrorKind::Shape { what, expected, found })) }
        };
        same("number of log weights", k, log_weights.len())?;
        same("number of offsets", k, offsets.len())?;
        let (numbers, finite) = match &whitener {
            Whitener::Full(a) => (a.len() / d.max(1), a.iter().all(|v| v.is_finite())),
            Whitener::Diagonal(a) => (a.len(), a.iter().all(|v| v.is_finite())),
        };
        same("rows of the maps A", k * d, numbers)?;
        if !finite || log_weights.iter().chain(offsets).chain(&centres).any(|v| !v.is_finite()) {
            return Err(Error::config("scores", "a weight, an offset, a centre or a map is not finite"));
        }
        let whitening = match whitener {
            Whitener::Full(a) => Whitening::Full(a),
            Whitener::Diagonal(a) => Whitening::Diagonal(a),
        };
        let packed = Box::new(Packed::new(&centres, log_weights, &(log_weights + offsets), &whitening));
        Ok(QuadraticScores { prepared: Prepared { means: centres, log_weights: log_weights.clone(), whitening, packed } })
    }

    /// The log densities log π_k N(x; μ_k, Σ_k) of a mixture with full or diagonal covariances.
    ///
    /// # Errors
    /// For other covariances.
    pub fn of(mixture: &GaussianMixture) -> Result<Self> {
        match mixture.covariances() {
            Covariances::Full(_) | Covariances::Diagonal(_) => Ok(QuadraticScores { prepared: mixture.prepared().clone() }),
            other => Err(Error::config("start", format!("{} covariances; full or diag are needed", other.covariance_type()))),
        }
    }

    fn covariance(&self) -> CovarianceType {
        if matches!(self.prepared.whitening, Whitening::Diagonal(_)) { CovarianceType::Diagonal } else { CovarianceType::Full }
    }

    /// The sums of all rows about the centres, in one pass: O(N K D²) for triangular maps, O(N K D) for diagonal ones, and no memory
    /// that grows with N.
    ///
    /// # Errors
    /// If the data is unusable, has another number of columns or missing entries, or if every score of a row underflows.
    pub fn sums(&self, data: &dyn RowSource) -> Result<ResponsibilitySums> {
        let (k, d) = self.prepared.means.dim();
        check_shape(data, Some(d))?;
        let kind = self.covariance();
        let statistics = if kernel::wants_rows(data, kind) {
            kernel::sums_by_row(&self.prepared, data, kind)?
        } else {
            let new = || Accumulator::new(kind, k, d);
            let sums = sweep(data, kernel::plan(kind, k, d), new, |accumulator, block| {
                complete(block)?;
                kernel::accumulate(&self.prepared, block, accumulator)
            })?;
            sums.finish(&self.prepared)
        };
        let mut sums = ResponsibilitySums::from(statistics, self.prepared.means.clone());
        // Σ γ log γ = Σ γ log ρ − log Σ ρ
        sums.entropy = sums.log_normaliser - self.expected_score(&sums);
        Ok(sums)
    }

    /// Σ_n w_n Σ_k γ_nk log ρ_k(x_n) of sums about these centres.
    fn expected_score(&self, sums: &ResponsibilitySums) -> f64 {
        let constants = sums.counts.iter().zip(self.prepared.log_scale()).map(|(n, a)| n * a).sum::<f64>();
        let squares: f64 = match (&self.prepared.whitening, &sums.second) {
            (Whitening::Full(a), SecondMoments::Full(s)) => {
                // tr(A S Aᵀ)
                let trace = |(a, s): (ArrayView2<'_, f64>, ArrayView2<'_, f64>)| (&linalg::matmul(a, s) * &a).sum();
                a.outer_iter().zip(s.outer_iter()).map(trace).sum()
            }
            (Whitening::Diagonal(a), SecondMoments::Diagonal(s)) => a.iter().zip(s).map(|(a, s)| a * a * s).sum(),
            // invariant: sums of diagonal scores are diagonal
            _ => unreachable!("second moments of another shape"),
        };
        constants - 0.5 * squares
    }

    /// log ρ_k(x_n) (N, K).
    ///
    /// # Errors
    /// As [`sums`](Self::sums).
    pub fn log_scores(&self, data: &dyn RowSource) -> Result<Array2<f64>> {
        self.map(data, |_, _| Ok(()))
    }

    /// log γ_nk (N, K).
    ///
    /// # Errors
    /// As [`sums`](Self::sums).
    pub fn log_responsibilities(&self, data: &dyn RowSource) -> Result<Array2<f64>> {
        self.map(data, |block, out| {
            out.rows_mut().into_iter().enumerate().try_for_each(|(i, row)| normalise_log(row, block, i).map(|_| ()))
        })
    }

    fn map(
        &self,
        data: &dyn RowSource,
        then: impl Fn(&Block<'_>, &mut ArrayViewMut2<'_, f64>) -> Result<()> + Sync,
    ) -> Result<Array2<f64>> {
        let (k, d) = self.prepared.means.dim();
        check_shape(data, Some(d))?;
        map_rows(
            data,
            k,
            || (),
            |(), block, mut out| {
                complete(block)?;
                kernel::log_densities(&self.prepared, block, out.view_mut());
                then(block, &mut out)
            },
        )
    }
}

/// Refuses rows with missing entries.
fn complete(block: &Block<'_>) -> Result<()> {
    match (0..block.n_rows()).find(|i| block.has_missing() && (0..block.n_cols()).any(|j| block.column(j)[*i].is_nan())) {
        Some(i) => {
            let row = block.row_number(i);
            Err(Error::config("data", format!("row {row} (from 0) has missing entries; this model needs complete rows: impute them first")))
        }
        None => Ok(()),
    }
}

impl ResponsibilitySums {
    /// The sums of responsibilities (N, K) given by the caller, about centres (K, D).
    ///
    /// # Errors
    /// If shapes do not fit, if the responsibilities of a row are negative or do not sum to 1, or if the data is unusable.
    pub fn given(data: &dyn RowSource, responsibilities: &Array2<f64>, centres: Array2<f64>, diagonal: bool) -> Result<Self> {
        let (k, d) = centres.dim();
        check_shape(data, Some(d))?;
        refuse_missing(data, "this model")?;
        check_responsibilities(responsibilities, data.n_rows(), k, data)?;
        let unit = Covariances::Diagonal(Array2::ones((k, d)));
        let mixture = GaussianMixture::new(Array1::from_elem(k, 1.0 / k as f64), centres.clone(), unit)?;
        let kind = if diagonal { CovarianceType::Diagonal } else { CovarianceType::Full };
        let statistics = Expectation { mixture, rule: Rule::Given }.gather(data, kind, None, Some(responsibilities))?;
        let mut sums = Self::from(statistics, centres);
        let weights = data.weights();
        let row_entropy = |row: ndarray::ArrayView1<'_, f64>| -row.iter().filter(|r| **r > 0.0).map(|r| r * r.ln()).sum::<f64>();
        let weight = |n: usize| weights.as_ref().map_or(1.0, |w| w[n]);
        let rows = responsibilities.outer_iter().enumerate().filter(|(n, _)| weight(*n) > 0.0);
        (sums.log_normaliser, sums.entropy) = (0.0, rows.map(|(n, row)| weight(n) * row_entropy(row)).sum());
        Ok(sums)
    }

    fn from(statistics: Statistics, centres: Array2<f64>) -> Self {
        let second = match statistics.second {
            Second::Full(mut s) => {
                for mut matrix in s.axis_iter_mut(Axis(0)) {
                    for i in 0..matrix.nrows() {
                        (i + 1..matrix.ncols()).for_each(|j| matrix[[i, j]] = matrix[[j, i]]);
                    }
                }
                SecondMoments::Full(s)
            }
            Second::Diagonal(s) => SecondMoments::Diagonal(s),
            // invariant: this file makes sums of full and diagonal second moments only
            Second::Tied(_) | Second::Spherical(_) => unreachable!("second moments of another shape"),
        };
        ResponsibilitySums {
            log_normaliser: statistics.log_likelihood,
            entropy: 0.0,
            weight: statistics.weight,
            centres,
            counts: statistics.counts,
            first: statistics.first,
            second,
        }
    }
}
