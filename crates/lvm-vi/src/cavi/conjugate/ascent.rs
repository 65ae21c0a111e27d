//! Coordinate ascent for any conjugate model.

use super::model::{ConjugateModel, Totals};
use lvm_core::fit::{Algorithm, Fitted, Passes, Step, Stopping, Watch, run, unwatched};
use lvm_core::rows::RowSource;
use lvm_core::{Error, Result};
use std::fmt;

/// Where the ascent starts.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum GlobalStart {
    /// The prior. Right where the posterior has one mode; components that are alike under the prior stay alike for ever.
    #[default]
    Prior,
    /// These natural parameters (P).
    Natural(Vec<f64>),
    /// Those of a fit that goes on from here: the same iterations as without the interruption, bit for bit.
    Resume(Fitted<Vec<f64>>),
}

/// Mean-field variational Bayes for a [`ConjugateModel`] by coordinate ascent. Its output is η, the natural parameters of q(θ).
///
/// # Objective
/// The ELBO, per row (divided by the total weight) in nats, of q(θ; η) and the local factors that are best for it. It never falls, but
/// for rounding. `trace[t]` belongs to η after update t, the last entry to the η returned. [`elbo`](super::elbo) gives it for all rows together.
///
/// # Update
/// ```text
/// η ← η₀ + Σ_n w_n E[s_n], then the local step of every row under the new η          Hoffman, Blei, Wang & Paisley 2013, figure 3
/// ```
///
/// # What it needs
/// One pass over the rows an iteration, and one for the start; memory O(P) and a block of rows, whatever N. The number of threads does not
/// change a bit.
///
/// # Defaults and why
/// * `start`: the prior. Without local latents the first iteration is the exact posterior, whatever the start, and the second sees it.
/// * `stopping`: below 1e-7 nats a row, at most 1000 iterations, as for the supplied models.
///
/// # When it fails
/// * From a prior under which components are alike it stays at a saddle: give a start (one update from η₀ and a few rows for each component
///   will do), and try several.
/// * Statistics that do not belong to the bound make a trace that falls; [`check_statistics`](super::check_statistics) says which.
///
/// # Errors
/// A prior or start of the wrong length or outside the domain, settings out of range, an empty table or one with another number of columns,
/// no row of weight above zero; whatever the model's local step returns; statistics after which η is outside the domain.
///
/// # Example
/// See [`ConjugateModel`].
///
/// # References
/// As for [`ConjugateModel`].
pub struct ConjugateAscent<'m, M: ?Sized> {
    /// The model.
    pub model: &'m M,
    /// Where to start.
    pub start: GlobalStart,
    /// When to stop.
    pub stopping: Stopping,
}

impl<M: ?Sized> Clone for ConjugateAscent<'_, M> {
    fn clone(&self) -> Self {
        ConjugateAscent { model: self.model, start: self.start.clone(), stopping: self.stopping }
    }
}

impl<M: ?Sized> fmt::Debug for ConjugateAscent<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConjugateAscent").field("start", &self.start).field("stopping", &self.stopping).finish_non_exhaustive()
    }
}

/// What changes between iterations of [`ConjugateAscent`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConjugateState {
    natural: Vec<f64>,
    /// Of the local step under `natural`.
    totals: Totals,
}

impl ConjugateState {
    /// η as it stands.
    pub fn natural(&self) -> &[f64] {
        &self.natural
    }

    /// Σ_n w_n E\[s_n\] under it: what the next update adds to η₀.
    pub fn statistics(&self) -> &[f64] {
        &self.totals.statistics
    }
}

impl<'m, M: ConjugateModel + ?Sized> ConjugateAscent<'m, M> {
    /// From the prior, until a gain below 1e-7 nats a row.
    pub fn new(model: &'m M) -> Self {
        ConjugateAscent { model, start: GlobalStart::Prior, stopping: Stopping { max_iterations: 1000, tolerance: 1e-7 } }
    }

    /// Fits the model to the rows of `data`.
    ///
    /// # Errors
    /// See [the type](ConjugateAscent#errors).
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<Vec<f64>>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after the pass of the start and after every iteration.
    ///
    /// # Errors
    /// See [the type](ConjugateAscent#errors).
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<Vec<f64>>> {
        run(self, data, self.stopping, seed, watch)
    }

    /// Checks settings and prior, and gives the first η.
    pub(super) fn first(&self) -> Result<Vec<f64>> {
        if self.stopping.max_iterations == 0 {
            return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
        }
        if !(self.stopping.tolerance >= 0.0 && self.stopping.tolerance.is_finite()) {
            return Err(Error::config("tolerance", format!("{}; it must be finite and not negative", self.stopping.tolerance)));
        }
        let family = self.model.family();
        if family.dim() == 0 {
            return Err(Error::config("family", "it has no parameter; a model without global latents has nothing to fit"));
        }
        let prior = self.model.prior();
        family.check(&prior)?;
        match &self.start {
            GlobalStart::Prior => Ok(prior),
            GlobalStart::Natural(natural) | GlobalStart::Resume(Fitted { model: natural, .. }) => {
                family.check(natural)?;
                Ok(natural.clone())
            }
        }
    }
}

impl<'d, M: ConjugateModel + ?Sized> Algorithm<dyn RowSource + 'd> for ConjugateAscent<'_, M> {
    type State = ConjugateState;
    type Output = Vec<f64>;

    fn init(&self, data: &(dyn RowSource + 'd), _seed: u64) -> Result<ConjugateState> {
        let natural = self.first()?;
        let totals = Totals::of_all(self.model, data, &natural)?;
        Ok(ConjugateState { natural, totals })
    }

    fn init_watched(&self, data: &(dyn RowSource + 'd), seed: u64, passes: &mut Passes<'_>) -> Result<ConjugateState> {
        let state = self.init(data, seed)?;
        passes.done()?;
        Ok(state)
    }

    fn resumed_at(&self) -> Option<f64> {
        match &self.start {
            GlobalStart::Resume(fitted) => fitted.trace.last().copied(),
            _ => None,
        }
    }

    fn step(&self, state: &mut ConjugateState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        let natural = state.totals.update(self.model, 1.0)?;
        let totals = Totals::of_all(self.model, data, &natural)?;
        let objective = totals.elbo(self.model, &natural)? / totals.weight;
        *state = ConjugateState { natural, totals };
        Ok(Step { objective, ..Default::default() })
    }

    fn finish(&self, state: ConjugateState) -> Result<Vec<f64>> {
        Ok(state.natural)
    }
}
