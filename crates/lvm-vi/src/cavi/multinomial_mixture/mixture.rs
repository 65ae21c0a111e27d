//! The mixture of multinomials: parameters, exact responsibilities, evidence.

use super::responsibilities::scores;
use crate::cavi::documents::Documents;
use lvm_core::gmm::ComponentPosterior;
use lvm_core::model::LatentDist;
use lvm_core::special::log_sum_exp;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView1};
use rand::{Rng, RngExt};

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
    pub(super) log_words: Array2<f64>,
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
    pub(super) fn scores(&self, documents: &Documents) -> Result<Array2<f64>> {
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
