//! The LDA model: q(β) and what it says of documents.

use super::document::{Ascent, Local, LocalStopping, Workspace};
use super::topics::ExpectedTopics;
use crate::cavi::documents::{Documents, same_vocabulary};
use lvm_core::dist::Dirichlet;
use lvm_core::mutant::planted;
use lvm_core::random::Stream;
use lvm_core::special::{digamma, lgamma};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Gamma};
use rayon::prelude::*;

/// Latent Dirichlet allocation with uncertain topics q(β) = Π_k Dirichlet(β_k; λ_k).
///
/// # Model
/// ```text
/// β_k ~ Dirichlet_V(η, …, η)                      topics
/// θ_d ~ Dirichlet_K(α, …, α)                      shares of the topics in document d
/// z_dn ~ Categorical(θ_d),   w_dn ~ Categorical(β_{z_dn})
/// ```
///
/// # Symbols
/// | symbol | meaning | here | shape | constraint |
/// |---|---|---|---|---|
/// | λ | q(β) | [`lambda`](Self::lambda) | (V, K) | > 0 |
/// | E\[β\] | expected topics | [`topics`](Self::topics) | (K, V) | rows sum to 1 |
/// | γ | q(θ) of documents | [`infer`](Self::infer), [`DocumentTopics`] | (M, K) | > 0 |
/// | α, η | prior concentrations | [`alpha`](Self::alpha), [`eta`](Self::eta) | | > 0 |
///
/// # Numerics
/// λ is stored word by word. A sweep over a document costs O(K) for each of its different words; exp E\[log β\] is scaled by its largest
/// entry for each word, so a rare word under a tiny η does not underflow. Words of a document count in their order (no multinomial
/// coefficient), as is usual for LDA.
///
/// # Errors
/// Documents over another vocabulary.
///
/// # Example
/// ```
/// use lvm_vi::cavi::{documents::Documents, lda::Lda};
/// let rows = (0..40).map(|d| if d % 2 == 0 { vec![(0, 5.0), (1, 5.0)] } else { vec![(2, 5.0), (3, 5.0)] });
/// let documents = Documents::from_rows(4, rows)?;
/// let fitted = Lda { topics: 2, ..Default::default() }.fit(&documents, 1)?;
/// let topics = fitted.model.infer(&documents)?;
/// assert_eq!(topics.clusters()[0], topics.clusters()[2]);
/// assert_ne!(topics.clusters()[0], topics.clusters()[1]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Blei, Ng & Jordan, *Latent Dirichlet allocation*, JMLR 3 (2003). Hoffman, Blei & Bach, *Online learning for latent Dirichlet
/// allocation*, NIPS 23 (2010).
#[derive(Debug, Clone, PartialEq)]
pub struct LdaModel {
    alpha: f64,
    eta: f64,
    lambda: Array2<f64>,
    totals: Array1<f64>,
    local: LocalStopping,
}

/// q(θ_d) of documents, with each one's part of the ELBO.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentTopics {
    /// γ (M, K).
    pub gamma: Array2<f64>,
    /// E\[log p(w_d, z_d, θ_d | β) − log q(z_d, θ_d)\] of each document in nats (M).
    pub bounds: Array1<f64>,
}

impl DocumentTopics {
    /// E\[θ\] (M, K).
    pub fn shares(&self) -> Array2<f64> {
        let totals = self.gamma.sum_axis(Axis(1)).insert_axis(Axis(1));
        &self.gamma / &totals
    }

    /// The topic with the largest share of each document (M).
    pub fn clusters(&self) -> Array1<usize> {
        let first_largest = |(best, top), (k, &g): (usize, &f64)| if g > top { (k, g) } else { (best, top) };
        self.gamma.map_axis(Axis(1), |row| row.iter().enumerate().fold((0, f64::NEG_INFINITY), first_largest).0)
    }
}

/// Refuses a concentration that is not positive.
pub(super) fn concentration(field: &'static str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::config(field, format!("{value} must be positive and finite")))
}

impl LdaModel {
    /// With λ (V, K), α and η.
    ///
    /// # Errors
    /// If there is no word or topic, or a number is not positive and finite.
    pub fn new(lambda: Array2<f64>, alpha: f64, eta: f64, local: LocalStopping) -> Result<Self> {
        let (alpha, eta) = (concentration("alpha", alpha)?, concentration("eta", eta)?);
        if lambda.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        if let Some(((w, k), v)) = lambda.indexed_iter().find(|(_, v)| !(**v > 0.0 && v.is_finite())) {
            return Err(Error::config("lambda", format!("{v} for word {w} in topic {k}; it must be positive and finite")));
        }
        if local.max_iterations == 0 || !(local.tolerance >= 0.0) {
            return Err(Error::config("local", "at least one iteration and a tolerance that is not negative are needed"));
        }
        let lambda = lambda.as_standard_layout().into_owned();
        // row after row, as `step` adds them
        let mut totals = Array1::zeros(lambda.ncols());
        lambda.outer_iter().for_each(|row| totals += &row);
        Ok(LdaModel { alpha, eta, totals, lambda, local })
    }

    /// λ from draws of Gamma(100, 1/100), as Hoffman, Blei & Bach start.
    pub(super) fn random(words: usize, topics: usize, alpha: f64, eta: f64, local: LocalStopping, rng: &mut Stream) -> Result<Self> {
        let gamma = Gamma::new(100.0, 0.01).map_err(|e| Error::config("start", e.to_string()))?;
        Self::new(Array2::from_shape_simple_fn((words, topics), || gamma.sample(rng)), alpha, eta, local)
    }

    /// λ (V, K).
    pub fn lambda(&self) -> &Array2<f64> {
        &self.lambda
    }
    /// Σ_v λ_kv (K).
    pub(super) fn totals(&self) -> &Array1<f64> {
        &self.totals
    }
    /// α.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }
    /// η.
    pub fn eta(&self) -> f64 {
        self.eta
    }
    /// When the ascent in one document stops.
    pub fn local(&self) -> LocalStopping {
        self.local
    }
    /// K.
    pub fn n_topics(&self) -> usize {
        self.lambda.ncols()
    }
    /// V.
    pub fn vocabulary(&self) -> usize {
        self.lambda.nrows()
    }
    /// E\[β\] (K, V).
    pub fn topics(&self) -> Array2<f64> {
        (&self.lambda / &self.totals).reversed_axes().as_standard_layout().into_owned()
    }

    /// KL(q(β) ‖ p(β)), nats.
    pub fn kl(&self) -> f64 {
        let (v, k) = self.lambda.dim();
        let row = |row: ndarray::ArrayView1<'_, f64>, at: &[f64]| -> f64 {
            row.iter().zip(at).map(|(l, t)| (l - self.eta) * (digamma(*l) - t) - lgamma(*l)).sum()
        };
        let at: Vec<f64> = self.totals.iter().map(|t| digamma(*t)).collect();
        // summed row by row in order, so that threads do not matter
        let rows: Vec<f64> = (0..v).into_par_iter().map(|w| row(self.lambda.row(w), &at)).collect();
        let prior = v as f64 * lgamma(self.eta) - lgamma(v as f64 * self.eta);
        rows.iter().sum::<f64>() + self.totals.iter().map(|t| lgamma(*t)).sum::<f64>() + k as f64 * prior
    }

    /// γ of documents and their bounds, each from a fresh start.
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn infer(&self, documents: &Documents) -> Result<DocumentTopics> {
        same_vocabulary(documents, self.vocabulary())?;
        let topics = ExpectedTopics::new(self, None);
        let mut out = DocumentTopics { gamma: Array2::zeros((documents.len(), self.n_topics())), bounds: Array1::zeros(documents.len()) };
        let ascent = self.ascent(&topics);
        let all: Vec<(ndarray::ArrayViewMut1<'_, f64>, &mut f64)> = out.gamma.outer_iter_mut().zip(&mut out.bounds).collect();
        all.into_par_iter().enumerate().for_each_init(Workspace::default, |space, (d, (mut gamma, bound))| {
            let (words, counts) = documents.get(d);
            let local = ascent.run(words, counts, None, space);
            gamma.iter_mut().zip(local.gamma).for_each(|(g, v)| *g = v);
            *bound = local.bound;
        });
        Ok(out)
    }

    pub(super) fn ascent<'a>(&self, topics: &'a ExpectedTopics) -> Ascent<'a> {
        Ascent { topics, k: self.n_topics(), alpha: self.alpha, stopping: self.local }
    }

    /// The ELBO of documents under q(β) and given γ (M, K), φ at its optimum, nats in all.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn elbo(&self, documents: &Documents, gamma: ArrayView2<'_, f64>) -> Result<f64> {
        same_vocabulary(documents, self.vocabulary())?;
        if gamma.dim() != (documents.len(), self.n_topics()) {
            return Err(ErrorKind::Shape { what: "rows of γ", expected: documents.len(), found: gamma.nrows() }.into());
        }
        let topics = ExpectedTopics::new(self, None);
        let frozen = Ascent { stopping: LocalStopping { max_iterations: 0, tolerance: 0.0 }, ..self.ascent(&topics) };
        let bounds: Vec<f64> = (0..documents.len())
            .into_par_iter()
            .map_init(Workspace::default, |space, d| {
                let (words, counts) = documents.get(d);
                documents.weight(d) * frozen.run(words, counts, Some(&gamma.row(d).to_vec()), space).bound
            })
            .collect();
        Ok(bounds.iter().sum::<f64>() - self.kl())
    }

    /// The bound per word of documents that the topics were not made from: Σ_d bound_d / Σ_d n_d, nats; exp of its negative is the
    /// perplexity.
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn per_word_bound(&self, documents: &Documents) -> Result<f64> {
        let bounds = self.infer(documents)?.bounds;
        let total: f64 = bounds.iter().enumerate().map(|(d, b)| documents.weight(d) * b).sum();
        Ok(total / documents.total_words())
    }

    /// Documents of given lengths, from E\[β\].
    ///
    /// # Errors
    /// If a length is zero.
    pub fn sample(&self, lengths: &[usize], rng: &mut dyn Rng) -> Result<Documents> {
        let topics = self.topics();
        let prior = Dirichlet::new(Array1::from_elem(self.n_topics(), self.alpha).view())?;
        let rows: Vec<Vec<(usize, f64)>> = lengths
            .iter()
            .map(|&n| {
                let theta = prior.sample(rng);
                let mut draw = |p: ndarray::ArrayView1<'_, f64>| {
                    let mut u: f64 = rng.random();
                    let passed = |p: &f64| {
                        u -= p;
                        u < 0.0
                    };
                    p.iter().position(passed).unwrap_or(p.len() - 1)
                };
                (0..n)
                    .map(|_| {
                        let z = draw(theta.view());
                        (draw(topics.row(z)), 1.0)
                    })
                    .collect()
            })
            .collect();
        Documents::from_rows(self.vocabulary(), rows)
    }
}

/// Documents whose local results are held at once.
const HELD: usize = 1024;

/// What one pass over documents leaves.
pub(super) struct Expectations {
    /// Σ_d n_dw φ_dwk of the words that [`ExpectedTopics`] has, in its order (W, K).
    pub(super) counts: Array2<f64>,
    /// The documents' parts of the ELBO, added up.
    pub(super) bound: f64,
}

impl LdaModel {
    /// One pass over documents `which`. γ is where each ascent starts and where its end is written, if it is kept.
    ///
    /// Documents are taken in parallel, and their sums added in their order.
    pub(super) fn expect(
        &self,
        documents: &Documents,
        which: &[usize],
        topics: &ExpectedTopics,
        mut kept: Option<&mut Array2<f64>>,
    ) -> Expectations {
        let k = self.n_topics();
        let ascent = self.ascent(topics);
        let (mut sums, mut bound) = (vec![0.0; topics.len() * topics.stride], 0.0);
        for group in which.chunks(HELD) {
            let starts = kept.as_deref();
            let one = |space: &mut Workspace, d: &usize| -> Local {
                let (words, counts) = documents.get(*d);
                let start = starts.map(|g| g.row(*d)).filter(|g| g[0] > 0.0).map(|g| g.to_vec());
                ascent.run(words, counts, start.as_deref(), space)
            };
            let locals: Vec<Local> = group.par_iter().map_init(Workspace::default, one).collect();
            for (&d, local) in group.iter().zip(locals) {
                let weight = documents.weight(d);
                bound += weight * local.bound;
                for (&word, share) in documents.get(d).0.iter().zip(&local.shares) {
                    let share = if planted("lda_weights_ignored") { *share } else { weight * share };
                    let row = &mut sums[topics.position(word) * topics.stride..][..topics.stride];
                    row.iter_mut().zip(&local.theta).for_each(|(s, t)| *s += share * t);
                }
                if let Some(kept) = kept.as_deref_mut() {
                    kept.row_mut(d).iter_mut().zip(&local.gamma).for_each(|(a, b)| *a = *b);
                }
            }
        }
        // n φ = θ_k (n / Σ_j θ_j b_wj) b_wk
        let counts = Array2::from_shape_fn((topics.len(), k), |(w, k)| sums[w * topics.stride + k] * topics.row(w)[k]);
        Expectations { counts, bound }
    }

    /// λ ← (1 − ρ) λ + ρ (η + scale · counts), where the counts of words that are not among `words` are zero; row `i` of the counts
    /// belongs to word `words[i]`, and words ascend.
    pub(super) fn step(&mut self, rho: f64, scale: f64, words: &[u32], counts: &Array2<f64>) {
        self.totals.fill(0.0);
        let mut present = words.iter().zip(counts.outer_iter()).peekable();
        let prior = if planted("svi_rho_on_prior") { self.eta } else { rho * self.eta };
        for (w, mut row) in self.lambda.outer_iter_mut().enumerate() {
            row.mapv_inplace(|l| (1.0 - rho) * l + prior);
            if let Some((_, counts)) = present.next_if(|(word, _)| **word as usize == w) {
                row.scaled_add(rho * scale, &counts);
            }
            self.totals += &row;
        }
    }
}
