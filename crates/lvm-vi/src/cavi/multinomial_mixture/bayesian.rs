//! Variational Bayes for mixtures of multinomials.

use super::ascent::{MultinomialState, Restartable, check_stopping, restarts};
use super::posterior::MultinomialMixturePosterior;
use super::responsibilities::gather;
use super::start::MultinomialStart;
use crate::cavi::documents::Documents;
use lvm_core::dist::Dirichlet;
use lvm_core::fit::{Fitted, Stopping, Watch, unwatched};
use lvm_core::{Error, Result};

/// Variational Bayes for a mixture of multinomials: q(π) = Dirichlet, q(β_k) = Dirichlet, q(z).
///
/// # Objective
/// The ELBO per document in nats with every constant, multinomial coefficients included; for K = 1 it is the exact log evidence. It never
/// falls, but for rounding.
///
/// # Update
/// ```text
/// q(π) = Dirichlet(α₀ + Σ_d γ_dk),   q(β_k) = Dirichlet(η₀ + Σ_d γ_dk x_dv)
/// γ_dk ∝ exp(E[log π_k] + Σ_v x_dv E[log β_kv])
/// ```
///
/// # What it needs, when it fails, errors
/// As [`MultinomialMixtureEm`](super::MultinomialMixtureEm). Concentrations are positive. With α₀ below 1 superfluous components empty.
///
/// # Defaults and why
/// `weight_concentration: 1`, `word_concentration: 0.1`: a document's words are few of many.
///
/// # Example
/// ```
/// use lvm_vi::cavi::{documents::Documents, multinomial_mixture::BayesianMultinomialMixture};
/// let rows = (0..20).map(|d| if d % 2 == 0 { vec![(0, 5.0), (1, 4.0)] } else { vec![(2, 5.0), (3, 6.0)] });
/// let documents = Documents::from_rows(4, rows)?;
/// let fit = |k: usize| BayesianMultinomialMixture { components: k, ..Default::default() }.fit(&documents, 1);
/// assert!(fit(2)?.objective() > fit(1)?.objective());
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Rigouste, Cappé & Yvon, *Inference and evaluation of the multinomial mixture model for text clustering*, IP&M 43 (2007).
#[derive(Debug, Clone)]
pub struct BayesianMultinomialMixture {
    /// K.
    pub components: usize,
    /// α₀.
    pub weight_concentration: f64,
    /// η₀.
    pub word_concentration: f64,
    /// Where to start.
    pub start: MultinomialStart,
    /// How many starts; the best is kept.
    pub restarts: usize,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for BayesianMultinomialMixture {
    fn default() -> Self {
        BayesianMultinomialMixture {
            components: 1,
            weight_concentration: 1.0,
            word_concentration: 0.1,
            start: MultinomialStart::Seeds,
            restarts: 5,
            stopping: Stopping { max_iterations: 200, tolerance: 1e-6 },
        }
    }
}

impl BayesianMultinomialMixture {
    /// Fits the mixture to documents.
    ///
    /// # Errors
    /// See [`MultinomialMixtureEm`](super::MultinomialMixtureEm#errors).
    pub fn fit(&self, documents: &Documents, seed: u64) -> Result<Fitted<MultinomialMixturePosterior>> {
        self.fit_watched(documents, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration.
    ///
    /// # Errors
    /// See [`MultinomialMixtureEm`](super::MultinomialMixtureEm#errors).
    pub fn fit_watched(&self, documents: &Documents, seed: u64, watch: Watch<'_>) -> Result<Fitted<MultinomialMixturePosterior>> {
        restarts(self, &self.start, self.restarts, self.stopping, documents, seed, watch)
    }
}

impl Restartable for BayesianMultinomialMixture {
    type Model = MultinomialMixturePosterior;

    fn begin(&self, documents: &Documents, seed: u64, restart: u64) -> Result<MultinomialState<MultinomialMixturePosterior>> {
        check_stopping(self.stopping)?;
        for (field, v) in [("weight_concentration", self.weight_concentration), ("word_concentration", self.word_concentration)] {
            if !(v > 0.0 && v.is_finite()) {
                return Err(Error::config(field, format!("{v} must be positive and finite")));
            }
        }
        MultinomialState::begin(&self.start, documents, self.components, seed, restart)
    }

    fn advance(&self, state: &mut MultinomialState<MultinomialMixturePosterior>, documents: &Documents) -> Result<f64> {
        let counts = &state.counts;
        let words = counts.words.columns().into_iter().map(|n| Dirichlet::new((&n + self.word_concentration).view()));
        let model = MultinomialMixturePosterior {
            weights: Dirichlet::new((&counts.components + self.weight_concentration).view())?,
            words: words.collect::<Result<_>>()?,
            priors: (self.weight_concentration, self.word_concentration),
        };
        state.counts = gather(documents, &mut model.scores(documents)?)?;
        let objective = (state.counts.log_normaliser - model.kl()?) / documents.total_weight();
        state.model = Some(model);
        Ok(objective)
    }
}
