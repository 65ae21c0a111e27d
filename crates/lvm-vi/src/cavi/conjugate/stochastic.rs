//! Stochastic natural-gradient ascent for any conjugate model.

use super::ascent::ConjugateAscent;
use super::model::{ConjugateModel, Totals};
use crate::cavi::minibatch::{Minibatches, Selection, Steps};
use lvm_core::Result;
use lvm_core::fit::{Algorithm, Fitted, Step, Watch, run, unwatched};
use lvm_core::mutant::planted;
use lvm_core::rows::RowSource;
use std::fmt;

/// Stochastic variational inference for a [`ConjugateModel`]: natural-gradient steps on minibatches, on the same q as [`ConjugateAscent`].
///
/// # Objective
/// The ELBO per row, as for coordinate ascent; `trace` holds its exact value (one pass without updates) after each epoch, so it may fall,
/// and `stopping` counts epochs. [`advance`](Self::advance) takes steps without it.
///
/// # Update
/// For a batch of B of the N rows, drawn without replacement within an epoch:
///
/// ```text
/// E[s_n] of the batch under the present η
/// η̂ = η₀ + N/B Σ_{n in batch} w_n E[s_n]
/// η ← (1 − ρ_t) η + ρ_t η̂,   ρ_t = (t + τ)^−κ           Hoffman, Blei, Wang & Paisley 2013, figure 4
/// ```
///
/// η̂ − η is the natural gradient of the ELBO, without bias. The last batch of an epoch may be short; its scale is N over its own rows.
/// N and B count rows; their weights are in the sums. With B = N and ρ = 1 it is coordinate ascent, bit for bit.
///
/// # What it needs
/// As coordinate ascent, from any source that can read ranges of rows; memory O(P) and a batch, whatever N.
///
/// # Defaults and why
/// * `batch: 1024`: enough for E\[t\] and the update, O(P) each, to be worth their cost; at most N.
/// * `steps`: τ = 1, κ = 0.7: within the range where the steps converge, with early batches soon forgotten.
/// * `ascent.stopping`: as many epochs at most as it has iterations; `tolerance` on the exact ELBO after each.
///
/// # When it fails
/// As coordinate ascent; and a component without rows in early batches may lose its chance: a good start, or a larger τ, matters more.
///
/// # Errors
/// As [`ConjugateAscent`], and a batch that is empty or larger than N, or steps out of range.
///
/// # Example
/// ```
/// use lvm_core::{Result, dist::Beta, fit::Stopping, sweep::Block};
/// use lvm_vi::cavi::conjugate::{ConjugateModel, ExponentialFamily, Factor, LocalSums, Natural, StochasticConjugateAscent};
/// use ndarray::Array2;
/// /// θ ~ Beta(1, 1), x_n ~ Bernoulli(θ); t(θ) = (log θ, log(1 − θ)).
/// struct Coin;
/// impl ConjugateModel for Coin {
///     fn family(&self) -> &dyn ExponentialFamily {
///         &Factor::Beta
///     }
///     fn prior(&self) -> Vec<f64> {
///         vec![1.0, 1.0]
///     }
///     fn n_cols(&self) -> usize {
///         1
///     }
///     fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
///         rows.column(0).iter().enumerate().try_for_each(|(n, x)| {
///             let side = usize::from(*x == 0.0);
///             sums.add(n, expected[side], [(side, 1.0)])
///         })
///     }
/// }
/// let x = Array2::from_shape_fn((400, 1), |(n, _)| f64::from(u8::from(n % 4 == 0)));
/// let mut svi = StochasticConjugateAscent { batch: 100, ..StochasticConjugateAscent::new(&Coin) };
/// svi.ascent.stopping = Stopping { max_iterations: 30, tolerance: 0.0 };
/// let q = Beta::from_natural(&svi.fit(&x, 1)?.model)?;
/// // a + b needs no luck: every batch says 2 + 400
/// assert!((q.a() + q.b() - 402.0).abs() < 0.01 && (q.a() / (q.a() + q.b()) - 0.25).abs() < 0.05);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Hoffman, Blei, Wang & Paisley, *Stochastic variational inference*, JMLR 14 (2013).
pub struct StochasticConjugateAscent<'m, M: ?Sized> {
    /// Model, start, and in `stopping` the epochs.
    pub ascent: ConjugateAscent<'m, M>,
    /// B.
    pub batch: usize,
    /// ρ_t.
    pub steps: Steps,
}

impl<M: ?Sized> Clone for StochasticConjugateAscent<'_, M> {
    fn clone(&self) -> Self {
        StochasticConjugateAscent { ascent: self.ascent.clone(), ..*self }
    }
}

impl<M: ?Sized> fmt::Debug for StochasticConjugateAscent<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StochasticConjugateAscent")
            .field("ascent", &self.ascent)
            .field("batch", &self.batch)
            .field("steps", &self.steps)
            .finish()
    }
}

/// Where a run stands: with the configuration, the data and the seed this is all that a run needs to go on, bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct StochasticConjugateState {
    /// η after `steps` steps.
    pub natural: Vec<f64>,
    /// Steps done.
    pub steps: u64,
    /// The seed of the order of rows.
    pub seed: u64,
}

impl<'m, M: ConjugateModel + ?Sized> StochasticConjugateAscent<'m, M> {
    /// From the prior, batches of 1024, ρ_t = (t + 1)^−0.7.
    pub fn new(model: &'m M) -> Self {
        let steps = Steps::RobbinsMonro { delay: 1.0, forgetting: 0.7 };
        StochasticConjugateAscent { ascent: ConjugateAscent::new(model), batch: 1024, steps }
    }

    /// Fits the model, epoch by epoch.
    ///
    /// # Errors
    /// See [the type](StochasticConjugateAscent#errors).
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<Vec<f64>>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every epoch.
    ///
    /// # Errors
    /// See [the type](StochasticConjugateAscent#errors).
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<Vec<f64>>> {
        run(self, data, self.ascent.stopping, seed, watch)
    }

    /// `count` steps, across the ends of epochs.
    ///
    /// # Errors
    /// If the data can't be read or do not fit the model, the local step fails, or settings are out of range. The state is then that of the
    /// last step that was whole.
    pub fn advance(&self, state: &mut StochasticConjugateState, data: &dyn RowSource, count: u64) -> Result<()> {
        let model = self.ascent.model;
        let order = Minibatches::new(data.n_rows(), self.batch, state.seed)?;
        self.steps.check()?;
        for _ in 0..count {
            let rows = order.of_step(state.steps);
            let scale = if planted("conjugate_missing_scale") { 1.0 } else { data.n_rows() as f64 / rows.len() as f64 };
            let target = Totals::under(model, &Selection::new(data, rows)?, &state.natural)?.update(model, scale)?;
            // the domain is convex, so η stays inside
            let rho = self.steps.at(state.steps + 1);
            state.natural.iter_mut().zip(target).for_each(|(eta, target)| *eta = (1.0 - rho) * *eta + rho * target);
            state.steps += 1;
        }
        Ok(())
    }
}

impl<'d, M: ConjugateModel + ?Sized> Algorithm<dyn RowSource + 'd> for StochasticConjugateAscent<'_, M> {
    type State = StochasticConjugateState;
    type Output = Vec<f64>;

    fn init(&self, data: &(dyn RowSource + 'd), seed: u64) -> Result<StochasticConjugateState> {
        self.steps.check()?;
        Minibatches::new(data.n_rows(), self.batch, seed)?;
        Ok(StochasticConjugateState { natural: self.ascent.first()?, steps: 0, seed })
    }

    /// One epoch, and the exact ELBO at its end.
    fn step(&self, state: &mut StochasticConjugateState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        let per_epoch = data.n_rows().div_ceil(self.batch.max(1)) as u64;
        // a state between two epochs first ends the one it is in
        self.advance(state, data, per_epoch - state.steps % per_epoch)?;
        let totals = Totals::of_all(self.ascent.model, data, &state.natural)?;
        Ok(Step { objective: totals.elbo(self.ascent.model, &state.natural)? / totals.weight, ..Default::default() })
    }

    fn finish(&self, state: StochasticConjugateState) -> Result<Vec<f64>> {
        Ok(state.natural)
    }
}
