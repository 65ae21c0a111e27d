//! What EM and variational Bayes have in common: state, restarts.

use super::responsibilities::{Counts, add};
use super::start::MultinomialStart;
use crate::cavi::documents::Documents;
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, best_of, run_restart};
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2};

/// Checks what EM and variational Bayes have in common.
pub(super) fn check_stopping(stopping: Stopping) -> Result<()> {
    if stopping.max_iterations == 0 {
        return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
    }
    if !(stopping.tolerance >= 0.0 && stopping.tolerance.is_finite()) {
        return Err(Error::config("tolerance", format!("{}; it must be finite and not negative", stopping.tolerance)));
    }
    Ok(())
}

/// What changes between iterations of a fit.
#[derive(Debug, Clone)]
pub(super) struct MultinomialState<M> {
    pub(super) counts: Counts,
    pub(super) model: Option<M>,
}

impl<M> MultinomialState<M> {
    pub(super) fn begin(start: &MultinomialStart, documents: &Documents, k: usize, seed: u64, restart: u64) -> Result<Self> {
        start.check(documents, k)?;
        let gamma = start.responsibilities(documents, k, seed, restart);
        let mut counts = Counts { components: Array1::zeros(k), words: Array2::zeros((documents.vocabulary(), k)), log_normaliser: 0.0 };
        gamma.outer_iter().enumerate().for_each(|(d, row)| add(&mut counts, documents, d, row));
        Ok(MultinomialState { counts, model: None })
    }

    fn finish(self) -> Result<M> {
        self.model.ok_or_else(|| Error::config("max_iterations", "no iteration was done, so there is no model"))
    }
}

/// What EM and variational Bayes do at each restart and iteration.
pub(super) trait Restartable {
    type Model;
    fn begin(&self, documents: &Documents, seed: u64, restart: u64) -> Result<MultinomialState<Self::Model>>;
    fn advance(&self, state: &mut MultinomialState<Self::Model>, documents: &Documents) -> Result<f64>;
}

/// Restart `index` of an algorithm.
struct Restart<'a, A> {
    algorithm: &'a A,
    index: u64,
}

impl<A: Restartable> Algorithm<Documents> for Restart<'_, A> {
    type State = MultinomialState<A::Model>;
    type Output = A::Model;

    fn init(&self, documents: &Documents, seed: u64) -> Result<Self::State> {
        self.algorithm.begin(documents, seed, self.index)
    }

    fn step(&self, state: &mut Self::State, documents: &Documents) -> Result<Step> {
        Ok(Step { objective: self.algorithm.advance(state, documents)?, ..Default::default() })
    }

    fn finish(&self, state: Self::State) -> Result<A::Model> {
        state.finish()
    }
}

pub(super) fn restarts<A: Restartable>(
    algorithm: &A,
    start: &MultinomialStart,
    count: usize,
    stopping: Stopping,
    documents: &Documents,
    seed: u64,
    watch: Watch<'_>,
) -> Result<Fitted<A::Model>> {
    let count = if matches!(start, MultinomialStart::Seeds) { count } else { count.min(1) };
    best_of(count, |restart| {
        run_restart(&Restart { algorithm, index: restart as u64 }, documents, stopping, seed, (restart, count), &mut *watch)
    })
}
