//! Online variational Bayes for LDA.

use super::batch::Lda;
use super::model::LdaModel;
use super::topics::ExpectedTopics;
use crate::cavi::document_source::DocumentSource;
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
/// A [`DocumentSource`]: [`Documents`] in memory, or any table of counts as a
/// [`CountTable`](crate::cavi::document_source::CountTable), of which a batch is read at a time; the answer is the same, bit for bit. Memory
/// O(V K) and a batch beyond it, whatever M. Only the words of the batch are looked at until λ moves.
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
    pub fn fit<S: DocumentSource + ?Sized>(&self, documents: &S, seed: u64) -> Result<Fitted<LdaModel>> {
        self.fit_watched(documents, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every epoch.
    ///
    /// # Errors
    /// See [the type](OnlineLda#errors).
    pub fn fit_watched<S: DocumentSource + ?Sized>(&self, documents: &S, seed: u64, watch: Watch<'_>) -> Result<Fitted<LdaModel>> {
        run(self, documents, self.lda.stopping, seed, watch)
    }

    /// `count` steps, across the ends of epochs.
    ///
    /// # Errors
    /// If the vocabulary is another one, settings are out of range, or documents can't be read.
    pub fn advance<S: DocumentSource + ?Sized>(&self, state: &mut OnlineLdaState, documents: &S, count: u64) -> Result<()> {
        let all = documents.n_documents();
        let order = Minibatches::new(all, self.batch, state.seed)?;
        self.steps.check()?;
        same_vocabulary(documents.vocabulary(), state.model.vocabulary())?;
        for _ in 0..count {
            let batch = documents.documents(&order.of_step(state.steps))?;
            state.steps += 1;
            step(&mut state.model, &batch, all, self.steps.at(state.steps));
        }
        Ok(())
    }
}

/// A step of length ρ on a batch out of `all` documents: η̂ − η in natural parameters, which are λ itself but for a constant.
fn step(model: &mut LdaModel, batch: &Documents, all: usize, rho: f64) {
    let rows: Vec<usize> = (0..batch.len()).collect();
    let mut present: Vec<u32> = rows.iter().flat_map(|d| batch.get(*d).0).copied().collect();
    present.sort_unstable();
    present.dedup();
    let topics = ExpectedTopics::new(model, Some(&present));
    let expectations = model.expect(batch, &rows, &topics, None);
    let scale = if planted("lda_missing_scale") { 1.0 } else { all as f64 / batch.len() as f64 };
    model.step(rho, scale, &present, &expectations.counts);
}

/// Σ_d of the bounds of all documents, a batch at a time.
fn bound<S: DocumentSource + ?Sized>(model: &LdaModel, documents: &S) -> Result<f64> {
    let topics = ExpectedTopics::new(model, None);
    let mut bound = 0.0;
    documents.for_each_batch(&mut |batch| {
        let bounds = model.infer_by(batch, &topics).bounds;
        bounds.iter().enumerate().for_each(|(d, b)| bound += batch.weight(d) * b);
        Ok(())
    })?;
    Ok(bound)
}

impl<S: DocumentSource + ?Sized> Algorithm<S> for OnlineLda {
    type State = OnlineLdaState;
    type Output = LdaModel;

    fn init(&self, documents: &S, seed: u64) -> Result<OnlineLdaState> {
        self.steps.check()?;
        Minibatches::new(documents.n_documents(), self.batch, seed)?;
        Ok(OnlineLdaState { model: self.lda.first(documents.vocabulary(), seed, 0)?, steps: 0, seed })
    }

    /// One epoch, and the exact ELBO at its end.
    fn step(&self, state: &mut OnlineLdaState, documents: &S) -> Result<Step> {
        let per_epoch = documents.n_documents().div_ceil(self.batch.max(1)) as u64;
        self.advance(state, documents, per_epoch - state.steps % per_epoch)?;
        let objective = (bound(&state.model, documents)? - state.model.kl()) / documents.total_weight();
        Ok(Step { objective, ..Default::default() })
    }

    fn finish(&self, state: OnlineLdaState) -> Result<LdaModel> {
        Ok(state.model)
    }
}
