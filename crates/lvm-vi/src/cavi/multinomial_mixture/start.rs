//! Where a fit of a mixture of multinomials starts.

use crate::cavi::documents::Documents;
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::Array2;
use rand::RngExt;
use rayon::prelude::*;

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
    pub(super) fn check(&self, documents: &Documents, k: usize) -> Result<()> {
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
    pub(super) fn responsibilities(&self, documents: &Documents, k: usize, seed: u64, restart: u64) -> Array2<f64> {
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
