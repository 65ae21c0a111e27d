//! q(π) q(β) of a mixture of multinomials.

use super::mixture::MultinomialMixture;
use super::responsibilities::{gather, scores};
use crate::cavi::documents::{Documents, same_vocabulary};
use lvm_core::dist::Dirichlet;
use lvm_core::gmm::ComponentPosterior;
use lvm_core::model::LatentDist;
use lvm_core::special::{lgamma_delta, log_sum_exp};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// q(π) q(β) of a [`BayesianMultinomialMixture`](super::BayesianMultinomialMixture).
#[derive(Debug, Clone, PartialEq)]
pub struct MultinomialMixturePosterior {
    pub(super) weights: Dirichlet,
    pub(super) words: Vec<Dirichlet>,
    /// α₀ and η₀.
    pub(super) priors: (f64, f64),
}

impl MultinomialMixturePosterior {
    /// With the concentrations of q(π) (K) and of each q(β_k) (K, V), and those of the priors, α₀ and η₀.
    ///
    /// # Errors
    /// If there is no component or word, shapes do not fit, or a concentration is not positive and finite.
    pub fn new(weights: ArrayView1<'_, f64>, words: ArrayView2<'_, f64>, priors: (f64, f64)) -> Result<Self> {
        if words.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        if weights.len() != words.nrows() {
            return Err(ErrorKind::Shape { what: "number of weights", expected: words.nrows(), found: weights.len() }.into());
        }
        if !(priors.0 > 0.0 && priors.0.is_finite() && priors.1 > 0.0 && priors.1.is_finite()) {
            return Err(Error::config("priors", format!("{} and {} must be positive and finite", priors.0, priors.1)));
        }
        let words = words.rows().into_iter().map(Dirichlet::new).collect::<Result<_>>()?;
        Ok(MultinomialMixturePosterior { weights: Dirichlet::new(weights)?, words, priors })
    }

    /// α₀ and η₀, the concentrations of the priors.
    pub fn priors(&self) -> (f64, f64) {
        self.priors
    }

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
    pub(super) fn scores(&self, documents: &Documents) -> Result<Array2<f64>> {
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
        same_vocabulary(documents.vocabulary(), self.words[0].alpha().len())?;
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
    pub(super) fn kl(&self) -> Result<f64> {
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
