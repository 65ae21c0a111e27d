//! The inner loops over complete rows: densities, and the E-step folded into sufficient statistics.

mod diagonal;
mod full;
mod spherical;
mod tied;

use crate::error::Result;
use crate::gmm::covariance::CovarianceType;
use crate::gmm::posterior::normalise;
use crate::gmm::prepared::{Prepared, Whitening};
use crate::gmm::statistics::Statistics;
use crate::sweep::{Block, Merge, Plan};
use ndarray::{Array2, ArrayView1, ArrayViewMut1, ArrayViewMut2, ShapeBuilder};

/// Statistics with the scratch space of one leaf.
pub(crate) struct Accumulator {
    pub(crate) statistics: Statistics,
}

impl Accumulator {
    /// Empty sums.
    pub(crate) fn new(covariance: CovarianceType, k: usize, d: usize) -> Self {
        Accumulator { statistics: Statistics::zeros(covariance, k, d) }
    }
}

impl Merge for Accumulator {
    fn merge(&mut self, other: Self) {
        self.statistics.merge(other.statistics);
    }
}

/// How a pass is cut up.
pub(crate) fn plan(covariance: CovarianceType, k: usize, d: usize) -> Plan {
    Plan::new(d, 8 * (covariance.n_sums(k, d) + k * d + k))
}

/// log π_k + log N(x_n; μ_k, Σ_k) of a block of complete rows (B, K).
pub(crate) fn log_densities(prepared: &Prepared, block: &Block<'_>, mut out: ArrayViewMut2<'_, f64>) {
    let mut centred = Array2::zeros((block.n_rows(), block.n_cols()).f());
    for k in 0..prepared.components() {
        centre(block, prepared.means.row(k), centred.view_mut());
        let mut column: ArrayViewMut1<'_, f64> = out.column_mut(k);
        match &prepared.whitening {
            Whitening::Full(a) => full::squared_distances(a, k, &centred, column.view_mut()),
            Whitening::Tied(a) => tied::squared_distances(a, &centred, column.view_mut()),
            Whitening::Diagonal(a) => diagonal::squared_distances(a.row(k), &centred, column.view_mut()),
            Whitening::Spherical(a) => spherical::squared_distances(a[k], &centred, column.view_mut()),
        }
        column.mapv_inplace(|q| prepared.log_scale[k] - 0.5 * q);
    }
}

/// E-step of a block of complete rows, added to the sums; centres are the means.
pub(crate) fn accumulate(prepared: &Prepared, block: &Block<'_>, accumulator: &mut Accumulator) -> Result<()> {
    let rows = block.n_rows();
    let mut gamma = Array2::zeros((rows, prepared.components()).f());
    log_densities(prepared, block, gamma.view_mut());
    let log_p = normalise(&mut gamma, block)?;
    let statistics = &mut accumulator.statistics;
    add_evidence(statistics, block, &log_p);
    let mut centred = Array2::zeros((rows, block.n_cols()).f());
    for k in 0..prepared.components() {
        centre(block, prepared.means.row(k), centred.view_mut());
        statistics.add(k, centred.view_mut(), &weighted(gamma.column(k), block));
    }
    Ok(())
}

/// Adds Σ w log p and Σ w.
pub(crate) fn add_evidence(statistics: &mut Statistics, block: &Block<'_>, log_p: &[f64]) {
    match block.weights() {
        None => {
            statistics.log_likelihood += log_p.iter().sum::<f64>();
            statistics.weight += block.n_rows() as f64;
        }
        Some(w) => {
            statistics.log_likelihood += log_p.iter().zip(w).map(|(p, w)| w * p).sum::<f64>();
            statistics.weight += w.iter().sum::<f64>();
        }
    }
}

/// w_n γ_nk of one component.
pub(crate) fn weighted(gamma: ArrayView1<'_, f64>, block: &Block<'_>) -> Vec<f64> {
    match block.weights() {
        None => gamma.to_vec(),
        Some(w) => gamma.iter().zip(w).map(|(g, w)| w * g).collect(),
    }
}

/// x_n − c.
pub(crate) fn centre(block: &Block<'_>, c: ArrayView1<'_, f64>, mut out: ArrayViewMut2<'_, f64>) {
    for (j, mut column) in out.columns_mut().into_iter().enumerate() {
        column.iter_mut().zip(block.column(j)).for_each(|(o, v)| *o = v - c[j]);
    }
}
