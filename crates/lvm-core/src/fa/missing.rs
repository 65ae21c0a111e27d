//! EM for rows with missing entries: the missing block is integrated out, not filled in.
//!
//! Given z the columns are independent, so a missing x_nj drops out of the complete-data likelihood and z is all that is latent: the
//! M-step is, for each variable, a regression of its observed entries on (z, 1).

use super::sample_covariance::SampleCovariance;
use super::solution::Solution;
use crate::error::{ErrorKind, Result};
use crate::fit::{Algorithm, Step};
use crate::linalg;
use crate::linear_gaussian::{Groups, LinearGaussian, Woodbury};
use crate::model::LatentModel;
use crate::rows::RowSource;
use crate::sweep::{Block, Merge, Plan, sweep};
use ndarray::{Array1, Array2, Array3, Axis, Slice};

/// The algorithm. With ζ = (z, 1) and expectations under p(z_n | observed part of row n):
///
/// ```text
/// (w_j, μ_j) ← (Σ_{n∈O_j} E[ζ_n ζ_nᵀ])⁻¹ Σ_{n∈O_j} E[ζ_n] x_nj
/// ψ_j        ← 1/N_j Σ_{n∈O_j} E[(x_nj − w_jᵀ z_n − μ_j)²]
/// ```
pub(super) struct MissingEm {
    /// μ, W, ψ to start from, in the units of the data.
    pub(super) start: LinearGaussian,
    /// Floor of ψ_j, in the squared units of the data.
    pub(super) floor: Array1<f64>,
}

/// The parameters and their statistics, gathered in the pass that also gave their likelihood.
pub(super) struct State {
    model: LinearGaussian,
    statistics: Statistics,
}

/// Sums over the rows in which column j is observed, about the current mean: ζ = (z, 1), y_j = x_j − μ_j.
struct Statistics {
    /// Σ w E[ζζᵀ] (D, q+1, q+1), lower triangles.
    second: Array3<f64>,
    /// Σ w E[ζ] y_j (D, q+1).
    cross: Array2<f64>,
    /// Σ w y_j² (D).
    square: Array1<f64>,
    log_likelihood: f64,
    weight: f64,
    buffer: Vec<f64>,
}

impl Merge for Statistics {
    fn merge(&mut self, other: Self) {
        self.second += &other.second;
        self.cross += &other.cross;
        self.square += &other.square;
        self.log_likelihood += other.log_likelihood;
        self.weight += other.weight;
    }
}

impl Statistics {
    fn zeros(d: usize, q: usize) -> Self {
        Statistics {
            second: Array3::zeros((d, q + 1, q + 1)),
            cross: Array2::zeros((d, q + 1)),
            square: Array1::zeros(d),
            log_likelihood: 0.0,
            weight: 0.0,
            buffer: Vec::new(),
        }
    }

    fn gather(model: &LinearGaussian, data: &dyn RowSource) -> Result<Self> {
        let (d, q) = (model.dim(), model.latents());
        let complete = model.complete()?;
        sweep(
            data,
            Plan::new(d, 8 * d * (q + 2) * (q + 2)),
            || Statistics::zeros(d, q),
            |sums, block| {
                if !block.has_missing() {
                    let all: Vec<usize> = (0..block.n_rows()).collect();
                    return sums.add(model, &complete, block, &all);
                }
                for (columns, rows) in Groups::of(block).groups {
                    match columns.len() == d {
                        true => sums.add(model, &complete, block, &rows)?,
                        false => sums.add(model, &Woodbury::new(model, columns)?, block, &rows)?,
                    }
                }
                Ok(())
            },
        )
    }

    /// Rows of one pattern.
    fn add(&mut self, model: &LinearGaussian, pattern: &Woodbury, block: &Block<'_>, rows: &[usize]) -> Result<()> {
        let q = model.latents();
        let (z, log_evidence) = pattern.evidence(block, Some(rows), &mut self.buffer);
        let weights: Vec<f64> = rows.iter().map(|&r| block.weights().map_or(1.0, |w| w[r])).collect();
        let total: f64 = weights.iter().sum();
        // Σ w E[ζζᵀ] is the same for every column of the pattern
        let mut second = Array2::<f64>::zeros((q + 1, q + 1));
        for ((z, weight), evidence) in z.rows().into_iter().zip(&weights).zip(&log_evidence) {
            for a in 0..q {
                for b in 0..=a {
                    second[[a, b]] += weight * z[a] * z[b];
                }
                second[[q, a]] += weight * z[a];
            }
            self.log_likelihood += weight * evidence;
        }
        second[[q, q]] = total;
        let covariance = pattern.covariance();
        for a in 0..q {
            for b in 0..=a {
                second[[a, b]] += total * covariance[[a, b]];
            }
        }
        self.weight += total;
        for &j in &pattern.columns {
            let (column, mean) = (block.column(j), model.mean()[j]);
            let mut target = self.second.index_axis_mut(Axis(0), j);
            target += &second;
            let mut cross = self.cross.row_mut(j);
            for ((&r, z), weight) in rows.iter().zip(z.rows()).zip(&weights) {
                let y = weight * (column[r] - mean);
                for k in 0..q {
                    cross[k] += y * z[k];
                }
                cross[q] += y;
                self.square[j] += y * (column[r] - mean);
            }
        }
        Ok(())
    }

    /// The M-step.
    fn maximise(&self, model: &LinearGaussian, floor: &Array1<f64>) -> Result<LinearGaussian> {
        let (d, q) = (model.dim(), model.latents());
        let (mut mean, mut w, mut psi) = (model.mean().clone(), Array2::zeros((d, q)), Array1::zeros(d));
        for j in 0..d {
            let lower = linalg::cholesky(self.second.index_axis(Axis(0), j))
                .map_err(|e| e.of(format!("second moment of the factors over the rows that observe column {j}")))?;
            let mut b = self.cross.row(j).to_owned();
            linalg::cholesky_solve(lower.view(), b.view_mut().insert_axis(Axis(1)));
            // ψ_j = (Σ w y² − bᵀ Σ w E[ζ] y) / N_j
            let n = self.second[[j, q, q]];
            psi[j] = ((self.square[j] - b.dot(&self.cross.row(j))) / n).max(floor[j]);
            mean[j] += b[q];
            w.row_mut(j).assign(&b.slice_axis(Axis(0), Slice::from(..q)));
        }
        let canonical = Solution::canonical(Some(mean), w, psi)?;
        LinearGaussian::new(canonical.mean.unwrap_or_else(|| model.mean().clone()), canonical.loadings, canonical.psi)
    }
}

impl Algorithm<dyn RowSource + '_> for MissingEm {
    type State = State;
    type Output = LinearGaussian;

    fn init(&self, data: &(dyn RowSource + '_), _seed: u64) -> Result<State> {
        let statistics = Statistics::gather(&self.start, data)?;
        Ok(State { model: self.start.clone(), statistics })
    }

    fn step(&self, state: &mut State, data: &(dyn RowSource + '_)) -> Result<Step> {
        state.model = state.statistics.maximise(&state.model, &self.floor)?;
        state.statistics = Statistics::gather(&state.model, data)?;
        let objective = state.statistics.log_likelihood / state.statistics.weight;
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<LinearGaussian> {
        Ok(state.model)
    }
}

/// Sums over the observed entries of each column.
struct Available {
    weight: Array1<f64>,
    sum: Array1<f64>,
    scatter: Array2<f64>,
    rows: usize,
}

impl Merge for Available {
    fn merge(&mut self, other: Self) {
        self.weight += &other.weight;
        self.sum += &other.sum;
        self.scatter += &other.scatter;
        self.rows += other.rows;
    }
}

/// What can be said before the first iteration: means and variances of the observed entries, and the covariance of the table with
/// every missing entry at its column's mean, its diagonal replaced by those variances. A start, not an estimate.
pub(super) fn available_cases(data: &dyn RowSource) -> Result<SampleCovariance> {
    let d = data.n_cols();
    let pass = |centre: &Array1<f64>, scatter: bool| {
        let empty = || Available {
            weight: Array1::zeros(d),
            sum: Array1::zeros(d),
            scatter: Array2::zeros(if scatter { (d, d) } else { (0, 0) }),
            rows: 0,
        };
        sweep(data, Plan::new(d, 8 * d * d), empty, |sums, block| {
            sums.rows += block.n_rows();
            let weight = |i: usize| block.weights().map_or(1.0, |w| w[i]);
            let mut filled = Array2::zeros((block.n_rows(), d));
            for j in 0..d {
                for (i, &x) in block.column(j).iter().enumerate() {
                    if !x.is_nan() {
                        sums.weight[j] += weight(i);
                        sums.sum[j] += weight(i) * (x - centre[j]);
                        filled[[i, j]] = weight(i).sqrt() * (x - centre[j]);
                    }
                }
            }
            if scatter {
                linalg::gram_lower(1.0, filled.view(), sums.scatter.view_mut());
            }
            Ok(())
        })
    };
    let first = pass(&Array1::zeros(d), false)?;
    if let Some(column) = first.weight.iter().position(|w| *w <= 0.0) {
        return Err(ErrorKind::MissingColumn { column, name: data.column_name(column) }.into());
    }
    let rough = first.sum / first.weight;
    let second = pass(&rough, false)?;
    let mean = rough + second.sum / second.weight;
    let Available { weight, mut scatter, rows, .. } = pass(&mean, true)?;
    linalg::mirror_lower(&mut scatter);
    let n = crate::rows::total_weight(data);
    let mut covariance = scatter / n;
    for j in 0..d {
        // the observed entries' own variance; never smaller than what the others share with it, so the matrix stays definite
        covariance[[j, j]] *= n / weight[j];
    }
    let moments = crate::moments::Moments { weight: n, rows, mean, covariance };
    SampleCovariance::of_rows(moments, data)
}

/// Whether an entry is missing; refuses a row without an observed entry.
pub(super) fn any(data: &dyn RowSource) -> Result<bool> {
    let found = sweep(
        data,
        Plan::new(data.n_cols(), 0),
        || Found(false),
        |found, block| {
            found.0 |= block.has_missing();
            block.refuse_empty_row()
        },
    )?;
    Ok(found.0)
}

struct Found(bool);

impl Merge for Found {
    fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
