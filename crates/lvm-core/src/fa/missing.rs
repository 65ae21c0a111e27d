//! EM for rows with missing entries: the missing block is integrated out, not filled in.
//!
//! Given z the columns are independent, so a missing x_nj drops out of the complete-data likelihood and z is all that is latent: the
//! M-step is, for each variable, a regression of its observed entries on (z, 1): the same sums as for PPCA, with a noise variance of its own.

use super::sample_covariance::SampleCovariance;
use super::solution::Solution;
use crate::error::{ErrorKind, Result};
use crate::fit::{Algorithm, Step};
use crate::linalg;
use crate::linear_gaussian::{Expectations, LinearGaussian};
use crate::rows::RowSource;
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2, Zip};

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

/// The parameters and the expectations under them, taken in the pass that also gave their likelihood.
pub(super) struct State {
    model: LinearGaussian,
    expectations: Expectations,
}

impl MissingEm {
    /// The M-step.
    fn maximise(&self, State { model, expectations }: &State) -> Result<LinearGaussian> {
        let regression = expectations.regression(model)?;
        let psi = Zip::from(&regression.error)
            .and(&expectations.observed)
            .and(&self.floor)
            .map_collect(|error, observed, floor| (error / observed).max(*floor));
        let canonical = Solution::canonical(Some(regression.mean), regression.loadings, psi)?;
        LinearGaussian::new(canonical.mean.unwrap_or_else(|| model.mean().clone()), canonical.loadings, canonical.psi)
    }
}

impl Algorithm<dyn RowSource + '_> for MissingEm {
    type State = State;
    type Output = LinearGaussian;

    fn init(&self, data: &(dyn RowSource + '_), _seed: u64) -> Result<State> {
        let expectations = Expectations::of(&self.start, data)?;
        Ok(State { model: self.start.clone(), expectations })
    }

    fn step(&self, state: &mut State, data: &(dyn RowSource + '_)) -> Result<Step> {
        state.model = self.maximise(state)?;
        state.expectations = Expectations::of(&state.model, data)?;
        let objective = state.expectations.log_likelihood / state.expectations.weight;
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
