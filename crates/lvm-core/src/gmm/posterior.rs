//! The posterior of the component: responsibilities.

use crate::error::{Error, ErrorKind, Result};
use crate::model::LatentDist;
use crate::special::log_sum_exp;
use crate::sweep::Block;
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, Axis};
use rand::{Rng, RngExt};

/// p(z_n = k | x_n) of N rows: a categorical distribution each. Exact.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentPosterior {
    log_probabilities: Array2<f64>,
}

impl ComponentPosterior {
    /// The posterior with log γ (N, K), already normalised.
    pub(crate) fn new(log_probabilities: Array2<f64>) -> Self {
        ComponentPosterior { log_probabilities }
    }

    /// The posterior with γ_nk ∝ exp of the scores (N, K) of each row.
    ///
    /// # Errors
    /// If a row has no finite score, or one that is NaN or +∞.
    pub fn from_log_scores(mut scores: Array2<f64>) -> Result<Self> {
        for (n, mut row) in scores.rows_mut().into_iter().enumerate() {
            let log_sum = log_sum_exp(row.view());
            if !log_sum.is_finite() {
                return Err(Error::config("scores", format!("those of row {n} (from 0) do not have a finite sum")));
            }
            row.mapv_inplace(|a| a - log_sum);
        }
        Ok(ComponentPosterior { log_probabilities: scores })
    }

    /// log γ_nk (N, K).
    pub fn log_probabilities(&self) -> &Array2<f64> {
        &self.log_probabilities
    }

    /// γ_nk = π_k N(x_n; μ_k, Σ_k) / Σ_j π_j N(x_n; μ_j, Σ_j) (N, K).   PRML 9.23
    pub fn probabilities(&self) -> Array2<f64> {
        self.log_probabilities.mapv(f64::exp)
    }

    /// H[p(z_n | x_n)] = −Σ_k γ_nk log γ_nk of each row, nats; (N).
    pub fn entropy(&self) -> Array1<f64> {
        self.log_probabilities.map_axis(Axis(1), entropy)
    }
}

/// −Σ_k e^a a of log probabilities a.
pub(crate) fn entropy(log_gamma: ArrayView1<'_, f64>) -> f64 {
    // γ log γ → 0 as γ → 0, and e^−∞ · −∞ would be NaN
    -log_gamma.iter().filter(|a| **a > f64::NEG_INFINITY).map(|a| a.exp() * a).sum::<f64>()
}

impl LatentDist for ComponentPosterior {
    type Z = Array1<usize>;

    fn sample(&self, rng: &mut dyn Rng) -> Array1<usize> {
        self.log_probabilities.map_axis(Axis(1), |row| draw(row.iter().map(|a| a.exp()), rng.random()))
    }

    fn log_prob(&self, z: &Array1<usize>) -> Result<Array1<f64>> {
        let (n, k) = self.log_probabilities.dim();
        check_labels(z, n, k)?;
        Ok(z.iter().enumerate().map(|(n, &k)| self.log_probabilities[[n, k]]).collect())
    }

    fn mode(&self) -> Array1<usize> {
        self.log_probabilities.map_axis(Axis(1), argmax)
    }
}

/// One label below `k` for each of `n` rows.
pub(crate) fn check_labels(z: &Array1<usize>, n: usize, k: usize) -> Result<()> {
    if z.len() != n {
        return Err(ErrorKind::Shape { what: "number of latents", expected: n, found: z.len() }.into());
    }
    match z.iter().enumerate().find(|(_, z)| **z >= k) {
        Some((row, z)) => Err(Error::config("z", format!("component {z} in row {row}; there are {k} components, from 0"))),
        None => Ok(()),
    }
}

/// The index at which the running sum of probabilities passes u; the last one above zero if rounding keeps the sum below.
pub(crate) fn draw(probabilities: impl Iterator<Item = f64>, u: f64) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (k, p) in probabilities.enumerate() {
        if p > 0.0 {
            last = k;
            sum += p;
            if u < sum {
                break;
            }
        }
    }
    last
}

/// The first index of the largest value.
pub(crate) fn argmax(row: ArrayView1<'_, f64>) -> usize {
    row.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (k, &v)| if v > best.1 { (k, v) } else { best }).0
}

/// Turns log π_k N_k of one row into log γ_k, and returns log p(x); an error if every density underflows.
pub(crate) fn normalise_log(mut row: ArrayViewMut1<'_, f64>, block: &Block<'_>, i: usize) -> Result<f64> {
    let log_p = log_sum_exp(row.view());
    if !log_p.is_finite() {
        return Err(overflow(block.row_number(i), (0..block.n_cols()).map(|j| block.column(j)[i])));
    }
    row.mapv_inplace(|a| a - log_p);
    Ok(log_p)
}

/// Turns log π_k N_k (B, K) into γ, and returns log p(x_n) (B).
pub(crate) fn normalise(log: &mut Array2<f64>, block: &Block<'_>) -> Result<Vec<f64>> {
    let mut log_p = Vec::with_capacity(log.nrows());
    for (i, row) in log.rows_mut().into_iter().enumerate() {
        log_p.push(normalise_log(row, block, i)?);
    }
    log.mapv_inplace(f64::exp);
    Ok(log_p)
}

/// The row is so far from every component that the squared distance overflows.
pub(crate) fn overflow(row: usize, cells: impl Iterator<Item = f64>) -> Error {
    let present = cells.enumerate().filter(|(_, v)| !v.is_nan());
    let (column, value) = present.max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs())).unwrap_or((0, f64::NAN));
    ErrorKind::TooLarge { row, column, value }.into()
}
