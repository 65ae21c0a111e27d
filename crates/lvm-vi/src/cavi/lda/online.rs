//! Online variational Bayes for LDA.

use super::batch::Lda;
use super::model::LdaModel;
use super::topics::ExpectedTopics;
use crate::cavi::documents::{Documents, same_vocabulary};
use crate::cavi::minibatch::{Minibatches, Steps};
use lvm_core::Result;
use lvm_core::fit::{Algorithm, Fitted, Step, Watch, run, unwatched};
use lvm_core::mutant::planted;

/// Online variational Bayes for an [`LdaModel`]: natural-gradient steps on minibatches of documents.
///
/// # Objective
/// The ELBO per document, as for [`Lda`]; `trace` holds its exact value after each epoch (a pass without updates), so it may fall.
/// [`advance`](Self::advance) takes steps without it.
///
/// # Update
/// For a batch of B of M documents, drawn without replacement within an epoch:
///
/// ```text
/// γ, φ of the batch under the present λ                           Hoffman, Blei & Bach 2010, algorithm 2
/// λ ← (1 − ρ_t) λ + ρ_t (η + M/B Σ_{d in batch} n_dw φ_dwk),   ρ_t = (t + τ)^−κ
/// ```
///
/// M and B count documents; weights of documents enter the sums. The last batch may be short; its scale is M over its own documents.
///
/// # What it needs
/// Memory O(V K) beyond the documents. Only the words of the batch are looked at until λ moves.
///
/// # Defaults and why
/// `batch: 128`, τ = 10, κ = 0.7: as scikit-learn has them; larger batches make steps of less noise.
///
/// # When it fails
/// As [`Lda`]; and a first batch that is untypical leaves its mark when τ is small.
///
/// # Errors
/// As [`Lda`], and a batch that is empty or larger than M, or steps out of range.
///
/// # Example
/// ```
/// use lvm_vi::cavi::{documents::Documents, lda::{Lda, OnlineLda}};
/// let rows = (0..60).map(|d| if d % 2 == 0 { vec![(0, 5.0), (1, 5.0)] } else { vec![(2, 5.0), (3, 5.0)] });
/// let documents = Documents::from_rows(4, rows)?;
/// let online = OnlineLda { batch: 16, ..OnlineLda::new(Lda { topics: 2, ..Default::default() }) };
/// let fitted = online.fit(&documents, 1)?;
/// // two words for each topic: log 1/2 a word at best
/// assert!(fitted.model.per_word_bound(&documents)? > -1.2);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Hoffman, Blei & Bach, *Online learning for latent Dirichlet allocation*, NIPS 23 (2010).
#[derive(Debug, Clone)]
pub struct OnlineLda {
    /// Model, priors, start, and in `stopping` the epochs. One start is made, whatever `restarts`.
    pub lda: Lda,
    /// B.
    pub batch: usize,
    /// ρ_t.
    pub steps: Steps,
}

/// Where a run stands: with the configuration and the documents all that it needs to go on, bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineLdaState {
    /// The model after `steps` steps.
    pub model: LdaModel,
    /// Steps done.
    pub steps: u64,
    /// The seed of the order of documents.
    pub seed: u64,
}

impl OnlineLda {
    /// Batches of 128, ρ_t = (t + 10)^−0.7.
    pub fn new(lda: Lda) -> Self {
        OnlineLda { lda, batch: 128, steps: Steps::RobbinsMonro { delay: 10.0, forgetting: 0.7 } }
    }

    /// Fits the model, epoch by epoch.
    ///
    /// # Errors
    /// See [the type](OnlineLda#errors).
    pub fn fit(&self, documents: &Documents, seed: u64) -> Result<Fitted<LdaModel>> {
        self.fit_watched(documents, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every epoch.
    ///
    /// # Errors
    /// See [the type](OnlineLda#errors).
    pub fn fit_watched(&self, documents: &Documents, seed: u64, watch: Watch<'_>) -> Result<Fitted<LdaModel>> {
        run(self, documents, self.lda.stopping, seed, watch)
    }

    /// `count` steps, across the ends of epochs.
    ///
    /// # Errors
    /// If the vocabulary is another one, or settings are out of range.
    pub fn advance(&self, state: &mut OnlineLdaState, documents: &Documents, count: u64) -> Result<()> {
        let order = Minibatches::new(documents.len(), self.batch, state.seed)?;
        self.steps.check()?;
        same_vocabulary(documents, state.model.vocabulary())?;
        for _ in 0..count {
            let rows = order.of_step(state.steps);
            state.steps += 1;
            let rho = self.steps.at(state.steps);
            step(&mut state.model, documents, &rows, rho);
        }
        Ok(())
    }
}

/// A step of length ρ on these documents: η̂ − η in natural parameters, which are λ itself but for a constant.
fn step(model: &mut LdaModel, documents: &Documents, rows: &[usize], rho: f64) {
    let mut present: Vec<u32> = rows.iter().flat_map(|d| documents.get(*d).0).copied().collect();
    present.sort_unstable();
    present.dedup();
    let topics = ExpectedTopics::new(model, Some(&present));
    let expectations = model.expect(documents, rows, &topics, None);
    let scale = if planted("lda_missing_scale") { 1.0 } else { documents.len() as f64 / rows.len() as f64 };
    model.step(rho, scale, &present, &expectations.counts);
}

impl Algorithm<Documents> for OnlineLda {
    type State = OnlineLdaState;
    type Output = LdaModel;

    fn init(&self, documents: &Documents, seed: u64) -> Result<OnlineLdaState> {
        self.steps.check()?;
        Minibatches::new(documents.len(), self.batch, seed)?;
        Ok(OnlineLdaState { model: self.lda.first(documents, seed, 0)?, steps: 0, seed })
    }

    /// One epoch, and the exact ELBO at its end.
    fn step(&self, state: &mut OnlineLdaState, documents: &Documents) -> Result<Step> {
        let per_epoch = documents.len().div_ceil(self.batch.max(1)) as u64;
        self.advance(state, documents, per_epoch - state.steps % per_epoch)?;
        let bounds = state.model.infer(documents)?.bounds;
        let bound: f64 = bounds.iter().enumerate().map(|(d, b)| documents.weight(d) * b).sum();
        Ok(Step { objective: (bound - state.model.kl()) / documents.total_weight(), ..Default::default() })
    }

    fn finish(&self, state: OnlineLdaState) -> Result<LdaModel> {
        Ok(state.model)
    }
}
