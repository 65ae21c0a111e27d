//! exp E[log β] of the words at hand, in the order in which a document reads it.

use super::model::LdaModel;
use lvm_core::special::{digamma, exp_digamma};
use rayon::prelude::*;

/// Numbers in a row are a multiple of this: whole vectors on any processor.
pub(super) const LANES: usize = 8;

/// b_wk = exp(E\[log β_kw\] − m_w) with m_w the largest over k, so that nothing underflows: word after word of K numbers, padded with
/// zeros.
pub(super) struct ExpectedTopics {
    pub(super) stride: usize,
    values: Vec<f64>,
    largest: Vec<f64>,
    /// The row of each word of the vocabulary, if it is here.
    index: Vec<u32>,
}

impl ExpectedTopics {
    /// Those of the words given, ascending; of all words if `None`.
    pub(super) fn new(model: &LdaModel, words: Option<&[u32]>) -> Self {
        let (v, k) = model.lambda().dim();
        let stride = k.next_multiple_of(LANES);
        let all: Vec<u32>;
        let words = match words {
            Some(words) => words,
            None => {
                all = (0..v as u32).collect();
                &all
            }
        };
        let mut index = vec![u32::MAX; v];
        words.iter().zip(0..).for_each(|(&w, i)| index[w as usize] = i);
        // E[log β_kw] = ψ(λ_kw) − ψ(Σ_v λ_kv)
        let totals: Vec<f64> = model.totals().iter().map(|t| digamma(*t)).collect();
        let mut scale = vec![0.0; k];
        exp_digamma(&model.totals().to_vec(), &mut scale);
        let mut values = vec![0.0; words.len() * stride];
        let mut largest = vec![0.0; words.len()];
        values.par_chunks_mut(stride).zip(&mut largest).zip(words).for_each(|((row, largest), &word)| {
            let lambda = model.lambda().row(word as usize);
            let row = &mut row[..k];
            // invariant: a model stores λ word by word
            exp_digamma(lambda.as_slice().expect("row-major"), row);
            row.iter_mut().zip(&scale).for_each(|(b, s)| *b /= s);
            let top = row.iter().copied().fold(0.0, f64::max);
            if top > 1e-290 {
                row.iter_mut().for_each(|b| *b /= top);
                *largest = top.ln();
            } else {
                // a word that no topic has seen, with so small a prior that e^ψ underflows
                row.iter_mut().zip(lambda).zip(&totals).for_each(|((b, l), t)| *b = digamma(*l) - t);
                *largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.iter_mut().for_each(|b| *b = (*b - *largest).exp());
            }
        });
        ExpectedTopics { stride, values, largest, index }
    }

    /// How many words are here.
    pub(super) fn len(&self) -> usize {
        self.largest.len()
    }

    /// Where word `w` stands.
    pub(super) fn position(&self, word: u32) -> usize {
        self.index[word as usize] as usize
    }

    /// b_w (K, padded).
    pub(super) fn row(&self, position: usize) -> &[f64] {
        &self.values[position * self.stride..][..self.stride]
    }

    /// m_w.
    pub(super) fn largest(&self, position: usize) -> f64 {
        self.largest[position]
    }
}
