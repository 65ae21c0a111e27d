//! Coordinate ascent for LDA over all documents.

use super::document::LocalStopping;
use super::model::{LdaModel, concentration};
use super::topics::ExpectedTopics;
use crate::cavi::documents::{Documents, same_vocabulary};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, best_of, run_restart, unwatched};
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, Result};
use ndarray::Array2;

/// Where the ascent starts.
#[derive(Debug, Clone, Default)]
pub enum LdaStart {
    /// λ from draws of Gamma(100, 1/100): topics that differ by a tenth in every word.
    #[default]
    Random,
    /// λ (V, K).
    Lambda(Array2<f64>),
}

/// Variational Bayes for an [`LdaModel`] by coordinate ascent.
///
/// # Objective
/// The ELBO per document in nats, with every constant, of q(β) and of γ of each document:
///
/// ```text
/// Σ_d [Σ_w n_dw log Σ_k exp(E[log θ_dk] + E[log β_kw]) − KL(q(θ_d) ‖ p(θ_d))] − Σ_k KL(q(β_k) ‖ p(β_k))
/// ```
///
/// φ is at its optimum and so does not appear. It never falls, but for rounding; the last entry of `trace` belongs to the λ returned.
///
/// # Update
/// Each document's γ goes on from where the last iteration left it until [`LocalStopping`] ends it; then
/// λ_kw = η + Σ_d n_dw φ_dwk.   Blei, Ng & Jordan 2003, eqs 16–18; Hoffman, Blei & Bach 2010, algorithm 1
///
/// # What it needs
/// Documents in memory, and γ of all of them: O(M K + V K). O(K) for each different word of a document and each sweep over it.
///
/// # Defaults and why
/// `alpha` and `eta` 1/K (`None`): few topics in a document, few words in a topic. 100 iterations, or a gain below 1e-4 nats a document.
///
/// # When it fails
/// The bound has many optima, and topics depend on the start: compare `restarts` by their bound. With K far too large topics repeat.
///
/// # Errors
/// Settings out of range; K = 0; a start of another shape.
///
/// # Example
/// See [`LdaModel`].
///
/// # References
/// As for [`LdaModel`].
#[derive(Debug, Clone)]
pub struct Lda {
    /// K.
    pub topics: usize,
    /// α; 1/K if `None`.
    pub alpha: Option<f64>,
    /// η; 1/K if `None`.
    pub eta: Option<f64>,
    /// Where to start.
    pub start: LdaStart,
    /// How many starts; the best is kept.
    pub restarts: usize,
    /// When the ascent in one document stops.
    pub local: LocalStopping,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for Lda {
    fn default() -> Self {
        Lda {
            topics: 10,
            alpha: None,
            eta: None,
            start: LdaStart::Random,
            restarts: 1,
            local: LocalStopping::default(),
            stopping: Stopping { max_iterations: 100, tolerance: 1e-4 },
        }
    }
}

/// What changes between iterations of [`Lda`].
#[derive(Debug, Clone)]
pub struct LdaState {
    model: LdaModel,
    gamma: Array2<f64>,
    /// Expected counts (V, K) under γ and the model.
    counts: Array2<f64>,
}

impl LdaState {
    /// The model as it stands.
    pub fn model(&self) -> &LdaModel {
        &self.model
    }
    /// γ (M, K) of the documents, with which the objective was taken.
    pub fn gamma(&self) -> &Array2<f64> {
        &self.gamma
    }
}

impl Lda {
    /// Fits the model to documents.
    ///
    /// # Errors
    /// See [the type](Lda#errors).
    pub fn fit(&self, documents: &Documents, seed: u64) -> Result<Fitted<LdaModel>> {
        self.fit_watched(documents, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration.
    ///
    /// # Errors
    /// See [the type](Lda#errors).
    pub fn fit_watched(&self, documents: &Documents, seed: u64, watch: Watch<'_>) -> Result<Fitted<LdaModel>> {
        let restarts = if matches!(self.start, LdaStart::Random) { self.restarts } else { self.restarts.min(1) };
        best_of(restarts, |restart| {
            let run = Restart { lda: self, index: restart as u64 };
            run_restart(&run, documents, self.stopping, seed, (restart, restarts), &mut *watch)
        })
    }

    /// The model over this vocabulary that restart number `restart` begins with.
    pub(super) fn first(&self, vocabulary: usize, seed: u64, restart: u64) -> Result<LdaModel> {
        if self.topics == 0 {
            return Err(Error::config("topics", "0 asked for, at least 1 is needed"));
        }
        if self.stopping.max_iterations == 0 {
            return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
        }
        let share = 1.0 / self.topics as f64;
        let alpha = concentration("alpha", self.alpha.unwrap_or(share))?;
        let eta = concentration("eta", self.eta.unwrap_or(share))?;
        match &self.start {
            LdaStart::Random => {
                let mut rng = stream(seed, Purpose::Start, restart);
                LdaModel::random(vocabulary, self.topics, alpha, eta, self.local, &mut rng)
            }
            LdaStart::Lambda(lambda) => {
                if lambda.ncols() != self.topics {
                    return Err(Error::config("start", format!("λ of {} topics; {} are asked for", lambda.ncols(), self.topics)));
                }
                same_vocabulary(vocabulary, lambda.nrows())?;
                LdaModel::new(lambda.clone(), alpha, eta, self.local)
            }
        }
    }

    fn begin(&self, documents: &Documents, seed: u64, restart: u64) -> Result<LdaState> {
        let model = self.first(documents.vocabulary(), seed, restart)?;
        let mut gamma = Array2::zeros((documents.len(), self.topics));
        let (counts, _) = expect(&model, documents, &mut gamma);
        Ok(LdaState { model, gamma, counts })
    }
}

/// Expected counts of all documents, and their bounds added up; γ goes on from where it stands.
fn expect(model: &LdaModel, documents: &Documents, gamma: &mut Array2<f64>) -> (Array2<f64>, f64) {
    let topics = ExpectedTopics::new(model, None);
    let all: Vec<usize> = (0..documents.len()).collect();
    let expectations = model.expect(documents, &all, &topics, Some(gamma));
    (expectations.counts, expectations.bound)
}

impl Algorithm<Documents> for Lda {
    type State = LdaState;
    type Output = LdaModel;

    fn init(&self, documents: &Documents, seed: u64) -> Result<LdaState> {
        self.begin(documents, seed, 0)
    }

    fn step(&self, state: &mut LdaState, documents: &Documents) -> Result<Step> {
        // λ_kw = η + Σ_d n_dw φ_dwk
        let lambda = &state.counts + state.model.eta();
        state.model = LdaModel::new(lambda, state.model.alpha(), state.model.eta(), self.local)?;
        let (counts, bound) = expect(&state.model, documents, &mut state.gamma);
        state.counts = counts;
        Ok(Step { objective: (bound - state.model.kl()) / documents.total_weight(), ..Default::default() })
    }

    fn finish(&self, state: LdaState) -> Result<LdaModel> {
        Ok(state.model)
    }
}

/// One restart.
struct Restart<'a> {
    lda: &'a Lda,
    index: u64,
}

impl Algorithm<Documents> for Restart<'_> {
    type State = LdaState;
    type Output = LdaModel;

    fn init(&self, documents: &Documents, seed: u64) -> Result<LdaState> {
        self.lda.begin(documents, seed, self.index)
    }

    fn step(&self, state: &mut LdaState, documents: &Documents) -> Result<Step> {
        self.lda.step(state, documents)
    }

    fn finish(&self, state: LdaState) -> Result<LdaModel> {
        self.lda.finish(state)
    }
}
