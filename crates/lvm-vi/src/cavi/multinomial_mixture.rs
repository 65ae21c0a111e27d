//! Mixtures of multinomials: documents of one topic each, by EM and by variational Bayes.

use super::documents::{Documents, same_vocabulary};
use lvm_core::dist::Dirichlet;
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, best_of, run_restart, unwatched};
use lvm_core::gmm::ComponentPosterior;
use lvm_core::model::LatentDist;
use lvm_core::random::{Purpose, stream};
use lvm_core::special::lgamma_delta;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::{Rng, RngExt};
use rayon::prelude::*;

/// A mixture of K multinomials over V words, each document of one component.
///
/// # Model
/// ```text
/// z_d ~ Categorical(π),   counts of document d | z_d = k ~ Multinomial(N_d, β_k)
/// log p(x_d) = log N_d! − Σ_v log x_dv! + log Σ_k π_k Π_v β_kv^x_dv
/// ```
///
/// # Symbols
/// | symbol | meaning | here | shape | constraint |
/// |---|---|---|---|---|
/// | π | weights | [`weights`](Self::weights) | (K) | ≥ 0, sum 1 |
/// | β | word probabilities | [`words`](Self::words) | (K, V) | ≥ 0, rows sum to 1 |
/// | γ | responsibilities p(z = k given x), exact | [`infer`](Self::infer) | (M, K) | rows sum to 1 |
///
/// # Numerics
/// Logarithms throughout; O(K) for each different word of a document.
///
/// # Errors
/// Parameters that are no probabilities; documents over another vocabulary, or with a word that no component has.
///
/// # Example
/// ```
/// use lvm_vi::cavi::{documents::Documents, multinomial_mixture::MultinomialMixture};
/// use lvm_core::model::LatentDist;
/// use ndarray::array;
/// let mixture = MultinomialMixture::new(array![0.5, 0.5], array![[0.9, 0.1], [0.1, 0.9]])?;
/// let documents = Documents::from_rows(2, [vec![(0, 3.0)], vec![(1, 1.0)]])?;
/// let q = mixture.infer(&documents)?;
/// assert_eq!(q.mode().to_vec(), [0, 1]);
/// assert!((q.probabilities()[[1, 1]] - 0.9).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Nigam, McCallum, Thrun & Mitchell, *Text classification from labeled and unlabeled documents using EM*, Machine Learning 39 (2000).
#[derive(Debug, Clone, PartialEq)]
pub struct MultinomialMixture {
    weights: Array1<f64>,
    words: Array2<f64>,
    /// log β (V, K).
    log_words: Array2<f64>,
}

impl MultinomialMixture {
    /// With π (K) and β (K, V).
    ///
    /// # Errors
    /// If shapes do not fit, or a row is not a distribution within 1e-8.
    pub fn new(weights: Array1<f64>, words: Array2<f64>) -> Result<Self> {
        if words.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        if weights.len() != words.nrows() {
            return Err(ErrorKind::Shape { what: "number of weights", expected: words.nrows(), found: weights.len() }.into());
        }
        let distribution = |p: ArrayView1<'_, f64>| p.iter().all(|v| *v >= 0.0) && (p.sum() - 1.0).abs() < 1e-8;
        if !distribution(weights.view()) {
            return Err(Error::config("weights", "they must be at least zero and sum to 1"));
        }
        if let Some(k) = words.outer_iter().position(|row| !distribution(row)) {
            return Err(Error::config("words", format!("those of component {k} (from 0) must be at least zero and sum to 1")));
        }
        let log_words = words.t().mapv(f64::ln).as_standard_layout().into_owned();
        Ok(MultinomialMixture { weights, words, log_words })
    }

    /// π (K).
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }
    /// β (K, V).
    pub fn words(&self) -> &Array2<f64> {
        &self.words
    }
    /// K.
    pub fn n_components(&self) -> usize {
        self.weights.len()
    }
    /// V.
    pub fn vocabulary(&self) -> usize {
        self.words.ncols()
    }
    /// (K − 1) + K (V − 1).
    pub fn n_parameters(&self) -> usize {
        self.n_components() - 1 + self.n_components() * (self.vocabulary() - 1)
    }

    /// log π_k + Σ_v x_dv log β_kv without the multinomial coefficient (M, K).
    fn scores(&self, documents: &Documents) -> Result<Array2<f64>> {
        scores(documents, self.weights.mapv(f64::ln).view(), self.log_words.view())
    }

    /// log p(x_d) of each document in nats (M), the multinomial coefficient included.
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn log_evidence(&self, documents: &Documents) -> Result<Array1<f64>> {
        let scores = self.scores(documents)?;
        Ok(scores.outer_iter().enumerate().map(|(d, row)| documents.log_coefficient(d) + log_sum_exp(row)).collect())
    }

    /// p(z_d | x_d) of each document, exact.
    ///
    /// # Errors
    /// If the vocabulary is another one, or no component can have made a document.
    pub fn infer(&self, documents: &Documents) -> Result<ComponentPosterior> {
        ComponentPosterior::from_log_scores(self.scores(documents)?)
    }

    /// argmax_k p(z_d = k | x_d) of each document (M).
    ///
    /// # Errors
    /// As [`infer`](Self::infer).
    pub fn clusters(&self, documents: &Documents) -> Result<Array1<usize>> {
        Ok(self.infer(documents)?.mode())
    }

    /// Documents of given lengths, and their components.
    ///
    /// # Errors
    /// If a length is zero.
    pub fn sample(&self, lengths: &[usize], rng: &mut dyn Rng) -> Result<(Documents, Array1<usize>)> {
        let mut draw = |p: ArrayView1<'_, f64>| {
            let mut u: f64 = rng.random();
            let passed = |p: &f64| {
                u -= p;
                u < 0.0
            };
            p.iter().position(passed).unwrap_or(p.len() - 1)
        };
        let mut z = Vec::with_capacity(lengths.len());
        let mut rows = Vec::with_capacity(lengths.len());
        for &n in lengths {
            let k = draw(self.weights.view());
            z.push(k);
            rows.push((0..n).map(|_| (draw(self.words.row(k)), 1.0)).collect());
        }
        Ok((Documents::from_rows(self.vocabulary(), rows)?, Array1::from(z)))
    }
}

/// log w_k + Σ_v x_dv l_vk (M, K).
fn scores(documents: &Documents, log_weights: ArrayView1<'_, f64>, log_words: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    same_vocabulary(documents, log_words.nrows())?;
    let mut out = Array2::zeros((documents.len(), log_weights.len()));
    let rows: Vec<_> = out.outer_iter_mut().collect();
    rows.into_par_iter().enumerate().for_each(|(d, mut row)| {
        row.assign(&log_weights);
        let (words, counts) = documents.get(d);
        words.iter().zip(counts).for_each(|(&w, &n)| row.scaled_add(n, &log_words.row(w as usize)));
    });
    Ok(out)
}

/// log Σ e^a.
fn log_sum_exp(row: ArrayView1<'_, f64>) -> f64 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY { top } else { top + row.iter().map(|a| (a - top).exp()).sum::<f64>().ln() }
}

/// Sums of an E-step.
#[derive(Debug, Clone, PartialEq)]
struct Counts {
    /// Σ_d w_d γ_dk (K).
    components: Array1<f64>,
    /// Σ_d w_d γ_dk x_dv (V, K).
    words: Array2<f64>,
    /// Σ_d w_d [log coefficient + log Σ_k e^score].
    log_normaliser: f64,
}

/// Turns scores (M, K) into γ in place, and sums.
fn gather(documents: &Documents, scores: &mut Array2<f64>) -> Result<Counts> {
    let k = scores.ncols();
    let mut out = Counts { components: Array1::zeros(k), words: Array2::zeros((documents.vocabulary(), k)), log_normaliser: 0.0 };
    for (d, mut row) in scores.outer_iter_mut().enumerate() {
        let log_sum = log_sum_exp(row.view());
        if !log_sum.is_finite() {
            return Err(Error::config(
                "documents",
                format!("document {d} (from 0) has a word that no component has; raise the prior counts"),
            ));
        }
        row.mapv_inplace(|a| (a - log_sum).exp());
        let weight = documents.weight(d);
        out.log_normaliser += weight * (log_sum + documents.log_coefficient(d));
        add(&mut out, documents, d, row.view());
    }
    Ok(out)
}

/// Adds document `d` with responsibilities γ (K).
fn add(out: &mut Counts, documents: &Documents, d: usize, gamma: ArrayView1<'_, f64>) {
    let weight = documents.weight(d);
    out.components.scaled_add(weight, &gamma);
    let (words, counts) = documents.get(d);
    for (&w, &n) in words.iter().zip(counts) {
        out.words.row_mut(w as usize).scaled_add(weight * n, &gamma);
    }
}

/// Where a fit of a mixture of multinomials starts.
#[derive(Debug, Clone, Default)]
pub enum MultinomialStart {
    /// k-means++ by the cosine of word frequencies: documents far from each other as seeds, each other document with the nearest.
    #[default]
    Seeds,
    /// Responsibilities (M, K).
    Responsibilities(Array2<f64>),
}

impl MultinomialStart {
    fn check(&self, documents: &Documents, k: usize) -> Result<()> {
        if k == 0 {
            return Err(Error::config("components", "0 asked for, at least 1 is needed"));
        }
        match self {
            MultinomialStart::Seeds if documents.len() < k => {
                Err(ErrorKind::TooFewRows { rows: documents.len(), needed: k, why: "a mixture of so many components" }.into())
            }
            MultinomialStart::Responsibilities(given) if given.dim() != (documents.len(), k) => {
                Err(Error::config("start", format!("responsibilities of shape {:?}; ({}, {k}) is needed", given.dim(), documents.len())))
            }
            MultinomialStart::Responsibilities(given) => {
                match given.outer_iter().position(|row| !row.iter().all(|v| *v >= 0.0) || (row.sum() - 1.0).abs() > 1e-5) {
                    Some(d) => Err(Error::config("start", format!("responsibilities of document {d} (from 0) are no distribution"))),
                    None => Ok(()),
                }
            }
            MultinomialStart::Seeds => Ok(()),
        }
    }

    /// γ (M, K) of restart number `restart`.
    fn responsibilities(&self, documents: &Documents, k: usize, seed: u64, restart: u64) -> Array2<f64> {
        match self {
            MultinomialStart::Responsibilities(given) => given.clone(),
            MultinomialStart::Seeds => seeds(documents, k, seed, restart),
        }
    }
}

/// 1 − cos of two documents' counts, the second dense with its norm.
fn distance(documents: &Documents, d: usize, dense: &[f64], norm: f64) -> f64 {
    let (words, counts) = documents.get(d);
    let product: f64 = words.iter().zip(counts).map(|(w, n)| n * dense[*w as usize]).sum();
    let own: f64 = counts.iter().map(|n| n * n).sum::<f64>().sqrt();
    (1.0 - product / (own * norm)).max(0.0)
}

/// k-means++ seeds by cosine distance; nine tenths of each document to the nearest seed.
fn seeds(documents: &Documents, k: usize, seed: u64, restart: u64) -> Array2<f64> {
    let mut rng = stream(seed, Purpose::Start, restart);
    let m = documents.len();
    let mut closest = vec![f64::INFINITY; m];
    let mut labels = vec![0; m];
    for component in 0..k {
        let factor = |d: usize| documents.weight(d) * if component == 0 { 1.0 } else { closest[d] };
        let total: f64 = (0..m).map(factor).sum();
        let mut u = rng.random::<f64>() * total;
        let chosen = (0..m).find(|&d| {
            u -= factor(d);
            u < 0.0
        });
        // all documents alike: any will do
        let chosen = chosen.unwrap_or(component % m);
        let mut dense = vec![0.0; documents.vocabulary()];
        let (words, counts) = documents.get(chosen);
        words.iter().zip(counts).for_each(|(w, n)| dense[*w as usize] = *n);
        let norm = counts.iter().map(|n| n * n).sum::<f64>().sqrt();
        let reached: Vec<f64> = (0..m).into_par_iter().map(|d| distance(documents, d, &dense, norm)).collect();
        for (d, reached) in reached.into_iter().enumerate() {
            if reached < closest[d] {
                closest[d] = reached;
                labels[d] = component;
            }
        }
    }
    let rest = 0.1 / k as f64;
    Array2::from_shape_fn((m, k), |(d, component)| rest + if labels[d] == component { 0.9 } else { 0.0 })
}

/// Checks what EM and variational Bayes have in common.
fn check_stopping(stopping: Stopping) -> Result<()> {
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
pub struct MultinomialState<M> {
    counts: Counts,
    model: Option<M>,
}

impl<M> MultinomialState<M> {
    fn begin(start: &MultinomialStart, documents: &Documents, k: usize, seed: u64, restart: u64) -> Result<Self> {
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
/// As [`MultinomialMixtureEm`]. Concentrations are positive. With α₀ below 1 superfluous components empty.
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

/// q(π) q(β) of a [`BayesianMultinomialMixture`].
#[derive(Debug, Clone, PartialEq)]
pub struct MultinomialMixturePosterior {
    weights: Dirichlet,
    words: Vec<Dirichlet>,
    priors: (f64, f64),
}

impl MultinomialMixturePosterior {
    /// q(π).
    pub fn weights(&self) -> &Dirichlet {
        &self.weights
    }
    /// q(β_k) of each component.
    pub fn words(&self) -> &[Dirichlet] {
        &self.words
    }

    /// The mixture of E\[π\] and E\[β\].
    ///
    /// # Errors
    /// If a mean underflows.
    pub fn point_estimate(&self) -> Result<MultinomialMixture> {
        let v = self.words[0].alpha().len();
        let mut words = Array2::zeros((self.words.len(), v));
        words.outer_iter_mut().zip(&self.words).for_each(|(mut row, q)| row.assign(&q.mean()));
        MultinomialMixture::new(self.weights.mean(), words)
    }

    /// E\[log π_k\] + Σ_v x_dv E\[log β_kv\] (M, K).
    fn scores(&self, documents: &Documents) -> Result<Array2<f64>> {
        let v = self.words[0].alpha().len();
        let mut log_words = Array2::zeros((v, self.words.len()));
        log_words.axis_iter_mut(Axis(1)).zip(&self.words).for_each(|(mut column, q)| column.assign(&q.mean_log()));
        scores(documents, self.weights.mean_log().view(), log_words.view())
    }

    /// q(z_d) of each document.
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn infer(&self, documents: &Documents) -> Result<ComponentPosterior> {
        ComponentPosterior::from_log_scores(self.scores(documents)?)
    }

    /// argmax_k q(z_d = k) of each document (M).
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn clusters(&self, documents: &Documents) -> Result<Array1<usize>> {
        Ok(self.infer(documents)?.mode())
    }

    /// log p(x* | X) of each new document under q: a Dirichlet-multinomial for each component, weighted by E\[π\].
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn log_predictive(&self, documents: &Documents) -> Result<Array1<f64>> {
        same_vocabulary(documents, self.words[0].alpha().len())?;
        let log_weights = self.weights.mean().mapv(f64::ln);
        let totals: Vec<f64> = self.words.iter().map(|q| q.alpha().sum()).collect();
        let one = |d: usize| {
            let (words, counts) = documents.get(d);
            let n: f64 = counts.iter().sum();
            // Γ(A)/Γ(A + n) Π_v Γ(α_v + x_v)/Γ(α_v)
            let component = |k: usize| {
                let each = words.iter().zip(counts).map(|(w, x)| lgamma_delta(self.words[k].alpha()[*w as usize], *x));
                log_weights[k] + each.sum::<f64>() - lgamma_delta(totals[k], n)
            };
            let logs: Array1<f64> = (0..self.words.len()).map(component).collect();
            documents.log_coefficient(d) + log_sum_exp(logs.view())
        };
        Ok((0..documents.len()).into_par_iter().map(one).collect::<Vec<f64>>().into())
    }

    /// KL(q(π) ‖ p(π)) + Σ_k KL(q(β_k) ‖ p(β_k)).
    fn kl(&self) -> Result<f64> {
        let symmetric = |n: usize, a: f64| Dirichlet::new(Array1::from_elem(n, a).view());
        let words = symmetric(self.words[0].alpha().len(), self.priors.1)?;
        let each: f64 = self.words.iter().map(|q| q.kl(&words)).sum::<Result<f64>>()?;
        Ok(each + self.weights.kl(&symmetric(self.words.len(), self.priors.0)?)?)
    }

    /// The ELBO of documents under q(π) q(β) and the best q(z), nats in all.
    ///
    /// # Errors
    /// If the vocabulary is another one.
    pub fn elbo(&self, documents: &Documents) -> Result<f64> {
        Ok(gather(documents, &mut self.scores(documents)?)?.log_normaliser - self.kl()?)
    }
}

impl BayesianMultinomialMixture {
    /// Fits the mixture to documents.
    ///
    /// # Errors
    /// See [`MultinomialMixtureEm`](MultinomialMixtureEm#errors).
    pub fn fit(&self, documents: &Documents, seed: u64) -> Result<Fitted<MultinomialMixturePosterior>> {
        self.fit_watched(documents, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration.
    ///
    /// # Errors
    /// See [`MultinomialMixtureEm`](MultinomialMixtureEm#errors).
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

/// What EM and variational Bayes do at each restart and iteration.
trait Restartable {
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

fn restarts<A: Restartable>(
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
