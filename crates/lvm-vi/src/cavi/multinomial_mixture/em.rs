//! EM for mixtures of multinomials.

use super::ascent::{MultinomialState, Restartable, check_stopping, restarts};
use super::mixture::MultinomialMixture;
use super::responsibilities::gather;
use super::start::MultinomialStart;
use crate::cavi::documents::Documents;
use lvm_core::fit::{Fitted, Stopping, Watch, unwatched};
use lvm_core::{Error, Result};

/// Maximum likelihood, or with prior counts the posterior mode, for a [`MultinomialMixture`] by EM.
///
/// # Objective
/// The mean over documents of log p(x_d), nats, plus for `prior_count` η > 0 the term η Σ_kv log β_kv over the number of documents (a
/// Dirichlet(1 + η) prior, its constant left out as it is one of the prior alone). It never falls, but for rounding.
///
/// # Update
/// ```text
/// E: γ_dk ∝ π_k Π_v β_kv^x_dv        M: π_k = Σ_d γ_dk / M,   β_kv = (η + Σ_d γ_dk x_dv) / Σ_v (…)
/// ```
///
/// # What it needs
/// Documents with a word each; O(K) for each different word of a document and iteration.
///
/// # Defaults and why
/// `prior_count: 0.01`: without, a word that a component has not met has probability zero, which no later document survives. 0 is plain
/// maximum likelihood.
///
/// # When it fails
/// Documents are long, so responsibilities are nearly 0 or 1 after one iteration and EM ends near its start: use `restarts`.
///
/// # Errors
/// Settings out of range; K = 0; fewer documents than components.
///
/// # Example
/// ```
/// use lvm_vi::cavi::{documents::Documents, multinomial_mixture::MultinomialMixtureEm};
/// let rows = (0..20).map(|d| if d % 2 == 0 { vec![(0, 5.0), (1, 4.0)] } else { vec![(2, 5.0), (3, 6.0)] });
/// let documents = Documents::from_rows(4, rows)?;
/// let fitted = MultinomialMixtureEm { components: 2, ..Default::default() }.fit(&documents, 1)?;
/// let labels = fitted.model.clusters(&documents)?;
/// assert!(labels[0] == labels[2] && labels[0] != labels[1]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// As for [`MultinomialMixture`].
#[derive(Debug, Clone)]
pub struct MultinomialMixtureEm {
    /// K.
    pub components: usize,
    /// η ≥ 0.
    pub prior_count: f64,
    /// Where to start.
    pub start: MultinomialStart,
    /// How many starts; the best is kept.
    pub restarts: usize,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for MultinomialMixtureEm {
    fn default() -> Self {
        let stopping = Stopping { max_iterations: 200, tolerance: 1e-6 };
        MultinomialMixtureEm { components: 1, prior_count: 0.01, start: MultinomialStart::Seeds, restarts: 5, stopping }
    }
}

impl MultinomialMixtureEm {
    /// Fits the mixture to documents.
    ///
    /// # Errors
    /// See [the type](MultinomialMixtureEm#errors).
    pub fn fit(&self, documents: &Documents, seed: u64) -> Result<Fitted<MultinomialMixture>> {
        self.fit_watched(documents, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration.
    ///
    /// # Errors
    /// See [the type](MultinomialMixtureEm#errors).
    pub fn fit_watched(&self, documents: &Documents, seed: u64, watch: Watch<'_>) -> Result<Fitted<MultinomialMixture>> {
        restarts(self, &self.start, self.restarts, self.stopping, documents, seed, watch)
    }
}

impl Restartable for MultinomialMixtureEm {
    type Model = MultinomialMixture;

    fn begin(&self, documents: &Documents, seed: u64, restart: u64) -> Result<MultinomialState<MultinomialMixture>> {
        check_stopping(self.stopping)?;
        if !(self.prior_count >= 0.0 && self.prior_count.is_finite()) {
            return Err(Error::config("prior_count", format!("{}; it must be finite and not negative", self.prior_count)));
        }
        MultinomialState::begin(&self.start, documents, self.components, seed, restart)
    }

    fn advance(&self, state: &mut MultinomialState<MultinomialMixture>, documents: &Documents) -> Result<f64> {
        let counts = &state.counts;
        let weights = &counts.components / counts.components.sum();
        let mut words = counts.words.t().mapv(|n| n + self.prior_count);
        for mut row in words.outer_iter_mut() {
            let total = row.sum();
            // a component without documents and without prior counts: every word alike
            if total > 0.0 { row /= total } else { row.fill(1.0 / counts.words.nrows() as f64) }
        }
        let mixture = MultinomialMixture::new(weights, words)?;
        state.counts = gather(documents, &mut mixture.scores(documents)?)?;
        let prior = if self.prior_count > 0.0 { self.prior_count * mixture.log_words.sum() } else { 0.0 };
        state.model = Some(mixture);
        Ok((state.counts.log_normaliser + prior) / documents.total_weight())
    }
}
