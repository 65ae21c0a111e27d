//! The leading eigenvalues and eigenvectors of a table's covariance.

use super::{fix_signs, mixed, randomized};
use crate::error::{Error, ErrorKind, Result};
use crate::fit::{Passes, Watch, unwatched};
use crate::linalg;
use crate::moments::{Moments, mean_and_variances, moments, moments_of_any, refuse_missing, whole_numbers};
use crate::rows::{RowSource, n_present};
use crate::sweep::{Merge, Plan, check_shape, sweep};
use ndarray::{Array1, Array2, Axis, Slice};
use serde::{Deserialize, Serialize};

/// How the principal axes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// `Gram` when there are fewer rows than columns, otherwise `Covariance`; `Randomized` when the smaller side exceeds 8192, where
    /// the exact routes would hold a matrix of more than 512 MiB and take minutes. For a fit of few components to a large table
    /// ([`PpcaMl`](super::PpcaMl), [`Pca`](super::Pca); N ≥ 4 D, D ≥ 256, D ≥ 12 (q + 6)), through single precision where a certificate
    /// in f64 shows that the log-likelihood is the maximum to 1e-12 of itself; rows are then read twice, and axes are right to about
    /// 1e-6 (1e-4 is certified). Of whole numbers such a fit takes the exact covariance and its leading eigenpairs (angles below 1e-7).
    /// [`Spectrum::of`] always finds the whole spectrum.
    #[default]
    Auto,
    /// Eigen-decomposition of the covariance (D, D): N D² + O(D³). Exact; the whole spectrum.
    Covariance,
    /// Eigen-decomposition of the inner products of the centred rows (N, N): N² D + O(N³), with a copy of the rows in memory.
    /// Exact; the whole spectrum that N rows can have.
    Gram,
    /// A Krylov space of the covariance grown from random vectors, q + `oversampling` at a time, `power_iterations` times; rows are
    /// streamed `power_iterations` + 2 times at 4 N D (q + `oversampling`) each. σ² comes from the total variance less what was
    /// found. Eigenvalues are accurate to rounding where the spectrum falls off, from below otherwise (Halko, Martinsson,
    /// Shkolnisky & Tygert 2011).
    Randomized {
        /// Vectors beyond q; 10 is customary.
        oversampling: usize,
        /// Times the covariance is applied to grow the space; 4 to 8 is customary.
        power_iterations: usize,
    },
}

/// The largest side of a matrix that `Auto` decomposes exactly.
const EXACT_SIDE: usize = 8192;

/// The covariance S = Σ_n w_n (x_n − x̄)(x_n − x̄)ᵀ / N of a table through its leading eigenpairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// N, the total weight.
    pub weight: f64,
    /// Rows of weight above zero.
    pub rows: usize,
    /// x̄ (D).
    pub mean: Array1<f64>,
    /// Eigenvalues of S, descending, none negative: all D or min(N, D) of them (those left out are zero), or the q found by the
    /// randomized route.
    pub eigenvalues: Array1<f64>,
    /// Eigenvectors as columns (D, q), the entry of largest modulus positive.
    pub axes: Array2<f64>,
    /// tr S.
    pub total_variance: f64,
    /// Whether `eigenvalues` holds all that are not zero.
    pub complete: bool,
}

impl Spectrum {
    /// The spectrum of complete rows with `components` axes. `seed` matters to the randomized route only.
    ///
    /// # Errors
    /// If the data is unusable or has missing entries, if there are fewer than two rows or all are equal, or if `components` is
    /// more than D.
    pub fn of(data: &dyn RowSource, components: usize, solver: Solver, seed: u64) -> Result<Self> {
        Self::watched(data, components, solver, seed, &mut unwatched)
    }

    /// As [`of`](Self::of), telling `watch` after every pass over the rows.
    ///
    /// # Errors
    /// As [`of`](Self::of); [`ErrorKind::Cancelled`] if `watch` stops.
    pub fn watched(data: &dyn RowSource, components: usize, solver: Solver, seed: u64, watch: Watch<'_>) -> Result<Self> {
        Self::by(data, components, solver, seed, &mut Passes::new(watch, (0, 1), 0))
    }

    /// By one of the routes.
    pub(super) fn by(data: &dyn RowSource, components: usize, solver: Solver, seed: u64, passes: &mut Passes<'_>) -> Result<Self> {
        let (n, d) = check(data, components)?;
        let exact = n.min(d) <= EXACT_SIDE;
        let spectrum = match solver {
            Solver::Auto if exact && n < d => gram(data, components, passes),
            Solver::Auto if exact => covariance(data, components, passes),
            Solver::Auto => randomized::spectrum(data, components, (10, 6), seed, passes),
            Solver::Covariance => covariance(data, components, passes),
            Solver::Gram => gram(data, components, passes),
            Solver::Randomized { oversampling, power_iterations } => {
                randomized::spectrum(data, components, (oversampling, power_iterations), seed, passes)
            }
        }?;
        spectrum.varied()
    }

    /// As [`of`](Self::of), where no more than the first `components` eigenvalues are wanted: `Auto` may stop there.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(super) fn leading(data: &dyn RowSource, components: usize, solver: Solver, seed: u64, watch: Watch<'_>) -> Result<Self> {
        let passes = &mut Passes::new(watch, (0, 1), 0);
        if solver == Solver::Auto {
            let (n, d) = check(data, components)?;
            if d <= EXACT_SIDE && mixed::worthwhile(n, d, components) {
                if let Some(m) = whole_numbers(data)? {
                    passes.done()?;
                    return match mixed::of_moments(&m, components)? {
                        Some(spectrum) => spectrum.varied(),
                        None => decompose(m, components)?.varied(),
                    };
                }
                if let Some(spectrum) = mixed::spectrum(data, components, passes)? {
                    return spectrum.varied();
                }
                let m = moments_of_any(data)?;
                passes.done()?;
                return decompose(m, components)?.varied();
            }
        }
        Spectrum::by(data, components, solver, seed, passes)
    }

    /// Refuses rows that are all equal.
    fn varied(self) -> Result<Self> {
        // negated so that a NaN is caught too
        if !(self.total_variance > 0.0) { Err(ErrorKind::NoVariation.into()) } else { Ok(self) }
    }

    /// The variance below which a direction can't be told from rounding: 16 D ε λ₁.
    pub fn floor(&self) -> f64 {
        let largest = self.eigenvalues.first().copied().unwrap_or(self.total_variance);
        16.0 * self.mean.len() as f64 * f64::EPSILON * largest
    }

    /// Σ_{i>q} λᵢ, the variance outside the first q axes.
    pub fn discarded(&self, q: usize) -> f64 {
        if self.complete {
            self.eigenvalues.iter().skip(q).rev().sum()
        } else {
            (self.total_variance - self.eigenvalues.iter().take(q).sum::<f64>()).max(0.0)
        }
    }

    /// The number of eigenvalues that are not zero to rounding, among those found.
    pub fn rank(&self) -> usize {
        self.eigenvalues.iter().take_while(|v| **v > self.floor()).count()
    }
}

/// Rows that are there and columns of a table that has a spectrum with `components` axes.
fn check(data: &dyn RowSource, components: usize) -> Result<(usize, usize)> {
    check_shape(data, None)?;
    let (n, d) = (n_present(data), data.n_cols());
    if components > d {
        return Err(Error::config("components", format!("{components} asked for, but the table has {d} columns")));
    }
    if n < 2 {
        return Err(ErrorKind::TooFewRows { rows: n, needed: 2, why: "a variance" }.into());
    }
    refuse_missing(data, "the closed form of principal components")?;
    Ok((n, d))
}

/// Sorted eigenpairs as a spectrum of `components` axes.
fn assemble(weight: f64, rows: usize, mean: Array1<f64>, values: Array1<f64>, mut axes: Array2<f64>, total_variance: f64) -> Spectrum {
    fix_signs(&mut axes);
    Spectrum { weight, rows, mean, eigenvalues: values.mapv_into(|v| v.max(0.0)), axes, total_variance, complete: true }
}

fn covariance(data: &dyn RowSource, components: usize, passes: &mut Passes<'_>) -> Result<Spectrum> {
    let m = moments(data)?;
    passes.done()?;
    decompose(m, components)
}

/// The whole spectrum of a covariance, with `components` axes.
fn decompose(m: Moments, components: usize) -> Result<Spectrum> {
    let (values, vectors) = linalg::eigh(m.covariance.view())?;
    let axes = vectors.slice_axis(Axis(1), Slice::from(..components)).to_owned();
    Ok(assemble(m.weight, m.rows, m.mean, values, axes, m.covariance.diag().sum()))
}

/// Centred and weighted rows, one after another.
struct Centred(Vec<f64>);

impl Merge for Centred {
    fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

fn gram(data: &dyn RowSource, components: usize, passes: &mut Passes<'_>) -> Result<Spectrum> {
    let d = data.n_cols();
    let (weight, mean, variances) = mean_and_variances(data)?;
    passes.done()?;
    // Y has rows √(w/N) (x − x̄): S = Yᵀ Y, and Y Yᵀ has the same eigenvalues
    let rows = sweep(
        data,
        Plan::new(d, 0),
        || Centred(Vec::new()),
        |centred, block| {
            for i in 0..block.n_rows() {
                let scale = (block.weights().map_or(1.0, |w| w[i]) / weight).sqrt();
                centred.0.extend((0..d).map(|j| scale * (block.column(j)[i] - mean[j])));
            }
            Ok(())
        },
    )?;
    passes.done()?;
    // invariant: every row pushed d numbers
    let y = Array2::from_shape_vec((rows.0.len() / d, d), rows.0).expect("centred rows");
    let mut inner = Array2::zeros((y.nrows(), y.nrows()));
    linalg::gram_lower(1.0, y.t(), inner.view_mut());
    let (values, vectors) = linalg::eigh(inner.view())?;
    let found = components.min(values.len());
    let mut axes = Array2::zeros((d, components));
    if found > 0 {
        // uᵢ ∝ Yᵀ vᵢ; orthonormalised in order, because axes of small eigenvalues inherit rounding of the large ones
        let mut raw = linalg::matmul(y.t(), vectors.slice_axis(Axis(1), Slice::from(..found)));
        for mut column in raw.columns_mut() {
            let norm = column.dot(&column).sqrt();
            if norm > 0.0 {
                column /= norm;
            }
        }
        if found <= d {
            raw = linalg::qr(raw.view())?.0;
        }
        axes.slice_axis_mut(Axis(1), Slice::from(..found)).assign(&raw);
    }
    let kept = values.len().min(d);
    let values = values.slice_axis(Axis(0), Slice::from(..kept)).to_owned();
    Ok(assemble(weight, n_present(data), mean, values, axes, variances.sum()))
}
