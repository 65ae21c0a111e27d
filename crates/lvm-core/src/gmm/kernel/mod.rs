//! The inner loops over complete rows: densities, and the E-step folded into sufficient statistics.
//!
//! Rows are copied into tiles of 64, whose columns fill whole vectors; everything then runs across rows. A block's responsibilities
//! are the only N-sized thing that is ever stored, for the rows of one block.

mod centred;
mod engine;
mod gram;
mod packed;
mod responsibilities;
mod shared;
mod spread;
mod tiles;
mod triangle;
#[cfg(test)]
mod twin;

pub(crate) use packed::Packed;

use crate::error::Result;
use crate::gmm::covariance::CovarianceType;
use crate::gmm::posterior::overflow;
use crate::gmm::prepared::Prepared;
use crate::gmm::statistics::{Second, Statistics};
use crate::rows::{Missing, RowSource};
use crate::sweep::{Block, Merge, Plan, RowBlock, sweep_by_row};
use engine::{Sums, Workspace, add_between};
use ndarray::ArrayViewMut2;
use tiles::Cells;

/// Statistics with the scratch space of one leaf.
pub(crate) struct Accumulator {
    pub(crate) statistics: Statistics,
    /// Tied covariance: Σ_n w_n γ_nk γ_nl (K, K), lower triangle.
    overlaps: Vec<f64>,
    workspace: Workspace,
}

impl Accumulator {
    /// Empty sums.
    pub(crate) fn new(covariance: CovarianceType, k: usize, d: usize) -> Self {
        let overlaps = if covariance == CovarianceType::Tied { vec![0.0; k * k] } else { Vec::new() };
        Accumulator { statistics: Statistics::zeros(covariance, k, d), overlaps, workspace: Workspace::default() }
    }

    /// The statistics, once all blocks are in; `prepared` is what the blocks were added with.
    pub(crate) fn finish(mut self, prepared: &Prepared) -> Statistics {
        if let Second::Tied(second) = &mut self.statistics.second {
            let d = second.ncols();
            // invariant: made in row-major order by `Statistics::zeros`
            add_between(second.as_slice_mut().expect("row-major"), &self.overlaps, &prepared.packed.centres, d);
        }
        self.statistics
    }
}

impl Merge for Accumulator {
    fn merge(&mut self, other: Self) {
        // only a finished leaf is merged: its scratch space has served
        self.workspace = Workspace::default();
        self.statistics.merge(other.statistics);
        self.overlaps.iter_mut().zip(other.overlaps).for_each(|(a, b)| *a += b);
    }
}

/// How a pass is cut up: blocks of a MiB (256 to 2048 rows), long enough to pay for starting each component's sums, short enough for
/// the second-level cache.
pub(crate) fn plan(covariance: CovarianceType, k: usize, d: usize) -> Plan {
    let block_rows = ((1 << 20) / (8 * d.max(1))).next_power_of_two().clamp(256, 2048);
    Plan { block_rows, ..Plan::new(d, 8 * (covariance.n_sums(k, d) + k * d + k)) }
}

/// log π_k + log N(x_n; μ_k, Σ_k) of a block of complete rows (B, K).
pub(crate) fn log_densities(prepared: &Prepared, block: &Block<'_>, mut out: ArrayViewMut2<'_, f64>) {
    let mut workspace = Workspace::default();
    workspace.distances(&prepared.packed, Cells::ByColumn(block.columns()), block.n_rows(), None);
    for (n, mut row) in out.rows_mut().into_iter().enumerate() {
        for (component, v) in row.iter_mut().enumerate() {
            *v = workspace.log_density(&prepared.packed, component, n);
        }
    }
}

/// E-step of a block of complete rows, added to the sums; centres are the means.
pub(crate) fn accumulate(prepared: &Prepared, block: &Block<'_>, accumulator: &mut Accumulator) -> Result<()> {
    add(prepared, Cells::ByColumn(block.columns()), block.n_rows(), block.weights(), accumulator)
        .map_err(|i| overflow(block.row_number(i), (0..block.n_cols()).map(|j| block.column(j)[i])))
}

/// Columns from which rows go into tiles as fast as columns do: rows of four cache lines.
const LONG_ROW: usize = 32;

/// Whether [`sums_by_row`] can take `data`, and does without a transposition that [`accumulate`] needs.
pub(crate) fn wants_rows(data: &dyn RowSource, covariance: CovarianceType) -> bool {
    covariance == CovarianceType::Full && data.n_cols() >= LONG_ROW && data.missing() == Missing::Refuse
}

/// As [`accumulate`], to the last bit, from rows.
fn accumulate_rows(prepared: &Prepared, block: &RowBlock<'_>, accumulator: &mut Accumulator) -> Result<()> {
    let d = prepared.dim();
    add(prepared, Cells::ByRow(block.x), block.rows, block.weights, accumulator)
        .map_err(|i| overflow(block.row_number(i), block.x[i * d..(i + 1) * d].iter().copied()))
}

/// E-step of all rows of `data`, which refuses missing entries, by rows.
pub(crate) fn sums_by_row(prepared: &Prepared, data: &dyn RowSource, covariance: CovarianceType) -> Result<Statistics> {
    let (k, d) = prepared.means.dim();
    let new = || Accumulator::new(covariance, k, d);
    let add = |sums: &mut Accumulator, block: &RowBlock<'_>| accumulate_rows(prepared, block, sums);
    Ok(sweep_by_row(data, plan(covariance, k, d), new, add)?.finish(prepared))
}

/// E-step of `rows` rows; `Err(i)` if row i is too far from everything.
fn add(
    prepared: &Prepared,
    cells: Cells<'_>,
    rows: usize,
    weights: Option<&[f64]>,
    accumulator: &mut Accumulator,
) -> std::result::Result<(), usize> {
    let statistics = &mut accumulator.statistics;
    let second = match &mut statistics.second {
        Second::Full(s) => s.as_slice_mut(),
        Second::Tied(s) | Second::Diagonal(s) => s.as_slice_mut(),
        Second::Spherical(s) => s.as_slice_mut(),
    };
    // invariant: all made in row-major order by `Statistics::zeros`
    let sums = Sums {
        log_likelihood: &mut statistics.log_likelihood,
        weight: &mut statistics.weight,
        counts: statistics.counts.as_slice_mut().expect("contiguous"),
        first: statistics.first.as_slice_mut().expect("row-major"),
        second: second.expect("row-major"),
        overlaps: &mut accumulator.overlaps,
    };
    accumulator.workspace.accumulate(&prepared.packed, cells, rows, weights, sums)
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
