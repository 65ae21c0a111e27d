//! Scores of documents, responsibilities and their sums.

use crate::cavi::documents::{Documents, same_vocabulary};
use lvm_core::special::log_sum_exp;
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

/// log w_k + Σ_v x_dv l_vk (M, K).
pub(super) fn scores(documents: &Documents, log_weights: ArrayView1<'_, f64>, log_words: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    same_vocabulary(documents.vocabulary(), log_words.nrows())?;
    let mut out = Array2::zeros((documents.len(), log_weights.len()));
    let rows: Vec<_> = out.outer_iter_mut().collect();
    rows.into_par_iter().enumerate().for_each(|(d, mut row)| {
        row.assign(&log_weights);
        let (words, counts) = documents.get(d);
        words.iter().zip(counts).for_each(|(&w, &n)| row.scaled_add(n, &log_words.row(w as usize)));
    });
    Ok(out)
}

/// Sums of an E-step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counts {
    /// Σ_d w_d γ_dk (K).
    pub(super) components: Array1<f64>,
    /// Σ_d w_d γ_dk x_dv (V, K).
    pub(super) words: Array2<f64>,
    /// Σ_d w_d [log coefficient + log Σ_k e^score].
    pub(super) log_normaliser: f64,
}

/// Turns scores (M, K) into γ in place, and sums.
pub(super) fn gather(documents: &Documents, scores: &mut Array2<f64>) -> Result<Counts> {
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
pub(super) fn add(out: &mut Counts, documents: &Documents, d: usize, gamma: ArrayView1<'_, f64>) {
    let weight = documents.weight(d);
    out.components.scaled_add(weight, &gamma);
    let (words, counts) = documents.get(d);
    for (&w, &n) in words.iter().zip(counts) {
        out.words.row_mut(w as usize).scaled_add(weight * n, &gamma);
    }
}
