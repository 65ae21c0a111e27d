//! Stochastic variational inference for the Bayesian Gaussian mixture.

use super::coordinate_ascent::{BayesianMixture, MixtureStart};
use super::model::BayesianMixtureModel;
use crate::cavi::minibatch::{Minibatches, Selection, Steps};
use lvm_core::Result;
use lvm_core::fit::{Algorithm, Fitted, Step, Watch, run, unwatched};
use lvm_core::gmm::{ResponsibilitySums, SecondMoments};
use lvm_core::mutant::planted;
use lvm_core::rows::RowSource;

/// Stochastic variational inference: natural-gradient steps on minibatches, on the same q as [`BayesianMixture`].
///
/// # Objective
/// The ELBO per row, as for coordinate ascent; `trace` holds its exact value (one pass without updates) after each epoch, so it may
/// fall, and `stopping` counts epochs.
///
/// # Update
/// For a batch of B of the N rows, drawn without replacement within an epoch:
///
/// ```text
/// γ_nk of the batch under the present q
/// η̂ = the update of coordinate ascent from N/B times the batch's sums
/// η ← (1 − ρ_t) η + ρ_t η̂,   ρ_t = (t + τ)^−κ           Hoffman, Blei, Wang & Paisley 2013, figure 4
/// ```
///
/// η̂ − η is the natural gradient of the ELBO, without bias. The last batch of an epoch may be short; its scale is N over its own rows.
///
/// # What it needs
/// As coordinate ascent, from any source that can read ranges of rows; memory O(K D² + B D), whatever N.
///
/// # Defaults and why
/// * `batch: 1024`: enough for the sums to be worth their overhead; at most N.
/// * `steps`: τ = 1, κ = 0.7: within the range where the steps converge, with early batches soon forgotten.
/// * `mixture.stopping`: as many epochs at most as it has iterations; `tolerance` on the exact ELBO after each.
///
/// # When it fails
/// A component without rows in early batches may lose its chance: start from a good mixture (the default start is k-means++).
/// Components keep their order, so the bound under a Dirichlet process can lie below that of coordinate ascent.
///
/// # Errors
/// As [`BayesianMixture`], and a batch that is empty or larger than N, or steps out of range.
///
/// # Example
/// ```
/// use lvm_vi::cavi::mixture::{BayesianMixture, StochasticBayesianMixture};
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((600, 1), |(i, _)| (i % 2) as f64 * 9.0 + (i as f64).sin());
/// let mixture = BayesianMixture { components: 2, ..Default::default() };
/// let svi = StochasticBayesianMixture { batch: 100, ..StochasticBayesianMixture::new(mixture) };
/// let fitted = svi.fit(&x, 5)?;
/// assert!((fitted.model.weights()[0] - 0.5).abs() < 0.02);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Hoffman, Blei, Wang & Paisley, *Stochastic variational inference*, JMLR 14 (2013).
#[derive(Debug, Clone)]
pub struct StochasticBayesianMixture {
    /// Model, prior, start, and in `stopping` the epochs. One start is made, whatever `restarts`.
    pub mixture: BayesianMixture,
    /// B.
    pub batch: usize,
    /// ρ_t.
    pub steps: Steps,
}

/// Where a run stands: with the configuration, the data and the seed this is all that a run needs to go on, bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct StochasticState {
    /// The model after `steps` steps.
    pub model: BayesianMixtureModel,
    /// Steps done.
    pub steps: u64,
    /// The seed of the order of rows.
    pub seed: u64,
}

impl StochasticBayesianMixture {
    /// Batches of 1024, ρ_t = (t + 1)^−0.7.
    pub fn new(mixture: BayesianMixture) -> Self {
        StochasticBayesianMixture { mixture, batch: 1024, steps: Steps::RobbinsMonro { delay: 1.0, forgetting: 0.7 } }
    }

    /// Fits the model, epoch by epoch.
    ///
    /// # Errors
    /// See [the type](StochasticBayesianMixture#errors).
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<BayesianMixtureModel>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every epoch.
    ///
    /// # Errors
    /// See [the type](StochasticBayesianMixture#errors).
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<BayesianMixtureModel>> {
        run(self, data, self.mixture.stopping, seed, watch)
    }

    /// `count` steps, across the ends of epochs.
    ///
    /// # Errors
    /// If the data can't be read or does not fit the model, or settings are out of range.
    pub fn advance(&self, state: &mut StochasticState, data: &dyn RowSource, count: u64) -> Result<()> {
        let order = Minibatches::new(data.n_rows(), self.batch, state.seed)?;
        self.steps.check()?;
        for _ in 0..count {
            let rows = order.of_step(state.steps);
            let scale = if planted("bgmm_missing_scale") { 1.0 } else { data.n_rows() as f64 / rows.len() as f64 };
            let sums = state.model.scores()?.sums(&Selection::new(data, rows)?)?;
            let target = BayesianMixtureModel::update(self.mixture.weights, state.model.prior(), &scaled(sums, scale))?;
            state.steps += 1;
            state.model = state.model.blend(&target, self.steps.at(state.steps))?;
        }
        Ok(())
    }
}

/// Sums as if every row stood `scale` times.
fn scaled(sums: ResponsibilitySums, scale: f64) -> ResponsibilitySums {
    ResponsibilitySums {
        log_normaliser: scale * sums.log_normaliser,
        entropy: scale * sums.entropy,
        weight: scale * sums.weight,
        centres: sums.centres,
        counts: sums.counts * scale,
        first: sums.first * scale,
        second: match sums.second {
            SecondMoments::Full(s) => SecondMoments::Full(s * scale),
            SecondMoments::Diagonal(s) => SecondMoments::Diagonal(s * scale),
        },
    }
}

impl<'d> Algorithm<dyn RowSource + 'd> for StochasticBayesianMixture {
    type State = StochasticState;
    type Output = BayesianMixtureModel;

    /// The given posterior, or the update of coordinate ascent from the start's responsibilities.
    fn init(&self, data: &(dyn RowSource + 'd), seed: u64) -> Result<StochasticState> {
        self.steps.check()?;
        let prior = self.mixture.check(data)?;
        Minibatches::new(data.n_rows(), self.batch, seed)?;
        let model = match &self.mixture.start {
            MixtureStart::Posterior(model) => model.clone(),
            _ => self.mixture.begin(data, &prior, seed, 0)?.updated(self.mixture.weights)?,
        };
        Ok(StochasticState { model, steps: 0, seed })
    }

    /// One epoch, and the exact ELBO at its end.
    fn step(&self, state: &mut StochasticState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        let per_epoch = data.n_rows().div_ceil(self.batch.max(1)) as u64;
        // a state between two epochs first ends the one it is in
        self.advance(state, data, per_epoch - state.steps % per_epoch)?;
        let sums = state.model.scores()?.sums(data)?;
        Ok(Step { objective: (sums.log_normaliser - state.model.kl()?) / sums.weight, ..Default::default() })
    }

    fn finish(&self, state: StochasticState) -> Result<BayesianMixtureModel> {
        Ok(state.model)
    }
}
