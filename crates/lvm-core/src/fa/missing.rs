//! EM for rows with missing entries: the missing block is integrated out, not filled in.
//!
//! Given z the columns are independent, so a missing x_nj drops out of the complete-data likelihood and z is all that is latent: the
//! M-step is, for each variable, a regression of its observed entries on (z, 1): the same sums as for PPCA, with a noise variance of its own.

use super::sample_covariance::SampleCovariance;
use super::solution::Solution;
use crate::error::{ErrorKind, Result};
use crate::fit::{Algorithm, Passes, Step};
use crate::linalg;
use crate::linear_gaussian::{Expectations, LinearGaussian};
use crate::rows::RowSource;
use crate::squarem::Extrapolation;
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2, Axis, Zip};

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

/// EM accelerated by squared extrapolation ([`Extrapolation`]), in the coordinates μ_j/s_j, W_jk/s_j and log ψ_j. An iteration is two
/// steps of EM and a long one, which is taken back, and shortened, unless the likelihood is at least that after the two. So the
/// likelihood never falls, and an iteration depends on nothing but the parameters it starts from.
pub(super) struct Squarem {
    pub(super) em: MissingEm,
    /// s_j, the standard deviations of the observed entries (D).
    pub(super) scale: Array1<f64>,
}

impl Squarem {
    fn coordinates(&self, model: &LinearGaussian) -> Vec<f64> {
        let loadings = model.loadings() / &self.scale.view().insert_axis(Axis(1));
        let mean = model.mean() / &self.scale;
        mean.into_iter().chain(loadings).chain(model.noise().iter().map(|psi| psi.ln())).collect()
    }

    /// The model at these coordinates, in its canonical frame; none if there is none.
    fn model(&self, coordinates: &[f64], q: usize) -> Option<LinearGaussian> {
        let d = self.scale.len();
        let mean = Array1::from_shape_fn(d, |j| coordinates[j] * self.scale[j]);
        let loadings = Array2::from_shape_fn((d, q), |(j, k)| coordinates[d + j * q + k] * self.scale[j]);
        let psi = Array1::from_shape_fn(d, |j| coordinates[d + d * q + j].exp().max(self.em.floor[j]));
        let numbers = mean.iter().chain(&loadings).chain(&psi);
        if !numbers.into_iter().all(|v| v.is_finite()) {
            return None;
        }
        canonical(LinearGaussian::new(mean, loadings, psi).ok()?).ok()
    }
}

/// The same density with W in the frame in which Wᵀ Ψ⁻¹ W is diagonal.
fn canonical(model: LinearGaussian) -> Result<LinearGaussian> {
    let Solution { mean, loadings, psi } =
        Solution::canonical(Some(model.mean().clone()), model.loadings().clone(), model.noise().clone())?;
    LinearGaussian::new(mean.unwrap_or_else(|| model.mean().clone()), loadings, psi)
}

impl Algorithm<dyn RowSource + '_> for Squarem {
    type State = State;
    type Output = LinearGaussian;

    fn init(&self, data: &(dyn RowSource + '_), seed: u64) -> Result<State> {
        self.em.init(data, seed)
    }

    fn init_watched(&self, data: &(dyn RowSource + '_), seed: u64, passes: &mut Passes<'_>) -> Result<State> {
        self.em.init_watched(data, seed, passes)
    }

    fn step(&self, state: &mut State, data: &(dyn RowSource + '_)) -> Result<Step> {
        let q = state.model.latents();
        // W is not turned between the steps, so that it moves as smoothly as EM does
        let first = self.em.maximise(state)?;
        let start = self.coordinates(&state.model);
        *state = State { expectations: Expectations::of(&first, data)?, model: first };
        let second = self.em.maximise(state)?;
        let path = Extrapolation::new(start, &self.coordinates(&state.model), &self.coordinates(&second));
        let second = canonical(second)?;
        *state = State { expectations: Expectations::of(&second, data)?, model: second };
        for model in path.lengths().filter_map(|s| self.model(&path.at(s), q)) {
            let expectations = match Expectations::of(&model, data) {
                Err(error) if matches!(error.kind(), ErrorKind::NotPositiveDefinite { .. }) => continue,
                expectations => expectations?,
            };
            if expectations.log_likelihood >= state.expectations.log_likelihood {
                *state = State { model, expectations };
                break;
            }
        }
        let objective = state.expectations.log_likelihood / state.expectations.weight;
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<LinearGaussian> {
        Ok(state.model)
    }
}

impl MissingEm {
    /// The M-step.
    fn maximise(&self, State { model, expectations }: &State) -> Result<LinearGaussian> {
        let regression = expectations.regression(model)?;
        let psi = Zip::from(&regression.error)
            .and(&expectations.observed)
            .and(&self.floor)
            .map_collect(|error, observed, floor| (error / observed).max(*floor));
        LinearGaussian::new(regression.mean, regression.loadings, psi)
    }
}

impl Algorithm<dyn RowSource + '_> for MissingEm {
    type State = State;
    type Output = LinearGaussian;

    fn init(&self, data: &(dyn RowSource + '_), _seed: u64) -> Result<State> {
        let expectations = Expectations::of(&self.start, data)?;
        Ok(State { model: self.start.clone(), expectations })
    }

    fn init_watched(&self, data: &(dyn RowSource + '_), seed: u64, passes: &mut Passes<'_>) -> Result<State> {
        let state = self.init(data, seed)?;
        passes.done()?;
        Ok(state)
    }

    fn step(&self, state: &mut State, data: &(dyn RowSource + '_)) -> Result<Step> {
        state.model = canonical(self.maximise(state)?)?;
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
