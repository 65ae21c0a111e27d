//! Groups of rows by their latents, and how well groups agree with labels.

use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::tensor::{to_matrix, to_values};
use crate::vae::Vae;
use lvm_core::fit::Fitted;
use lvm_core::gmm::{GaussianMixture, GmmEm};
use lvm_core::model::MapLatent;
use ndarray::Array2;
use std::collections::BTreeMap;

/// A Gaussian mixture over the centres of q(z | x), fitted to the rows, with the component of each row.
///
/// # Errors
/// If the rows do not fit the model, or the mixture can't be fitted.
pub fn gaussian_mixture(vae: &Vae, batch: &Batch, em: &GmmEm, seed: u64) -> Result<(Fitted<GaussianMixture>, Vec<usize>)> {
    let z = centres(vae, batch)?;
    let fitted = em.fit(&z, seed)?;
    let labels = fitted.model.map_z(&z)?.to_vec();
    Ok((fitted, labels))
}

/// The centre of q(z | x) of every row (N, L): the mean where q is Gaussian, else the mode.
///
/// # Errors
/// If the rows do not fit the model.
pub fn centres(vae: &Vae, batch: &Batch) -> Result<Array2<f64>> {
    vae.check(batch)?;
    guard("encoding rows", || {
        let _no_grad = tch::no_grad_guard();
        let q = vae.posterior(batch);
        to_matrix(&q.gaussian().map_or_else(|| q.mode(), |g| g.mean))
    })
}

/// argmax_j q(z = j | x) of every row of a model whose latent is discrete.
///
/// # Errors
/// If the latent is not discrete or the rows do not fit the model.
pub fn categories(vae: &Vae, batch: &Batch) -> Result<Vec<usize>> {
    vae.check(batch)?;
    guard("encoding rows", || {
        let _no_grad = tch::no_grad_guard();
        let Some(q) = vae.posterior(batch).probabilities() else {
            return Err(Error::config("posterior", "is not discrete: fit a mixture to the latents"));
        };
        Ok(to_values(&q.argmax(-1, false)).iter().map(|j| *j as usize).collect())
    })
}

/// The adjusted Rand index of two labellings of the same rows: 1 where they group alike, 0 on average where they are independent.
/// Hubert & Arabie 1985, eq. 5. Two labellings that both put all rows into one group, or each into its own, agree: 1.
///
/// ```
/// use lvm_deep::tasks::adjusted_rand_index;
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 3, 3])?, 1.0);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the labellings differ in length or are empty.
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> Result<f64> {
    let table = Contingency::new(a, b)?;
    let pairs = |count: &f64| count * (count - 1.0) / 2.0;
    let index: f64 = table.cells.iter().map(|(_, _, c)| pairs(c)).sum();
    let (in_a, in_b): (f64, f64) = (table.a.iter().map(pairs).sum(), table.b.iter().map(pairs).sum());
    let all = pairs(&table.n);
    let expected = if all > 0.0 { in_a * in_b / all } else { 0.0 };
    let largest = 0.5 * (in_a + in_b);
    Ok(if largest == expected { 1.0 } else { (index - expected) / (largest - expected) })
}

/// Normalised mutual information of two labellings, I(a; b)/mean of H(a) and H(b), the arithmetic mean as in scikit-learn. 1 where both have
/// one group only.
///
/// # Errors
/// As [`adjusted_rand_index`].
pub fn normalized_mutual_information(a: &[usize], b: &[usize]) -> Result<f64> {
    let table = Contingency::new(a, b)?;
    let n = table.n;
    // I = Σ p_ab log (p_ab/(p_a p_b))
    let information: f64 = table.cells.iter().map(|(i, j, c)| c / n * (c * n / (table.a[*i] * table.b[*j])).ln()).sum();
    let entropy = |counts: &[f64]| -counts.iter().map(|c| c / n * (c / n).ln()).sum::<f64>();
    let mean = 0.5 * (entropy(&table.a) + entropy(&table.b));
    Ok(if mean <= 0.0 { 1.0 } else { (information / mean).clamp(0.0, 1.0) })
}

/// How many rows have each pair of labels.
struct Contingency {
    n: f64,
    a: Vec<f64>,
    b: Vec<f64>,
    /// (place in a, place in b, count) of the pairs that occur.
    cells: Vec<(usize, usize, f64)>,
}

impl Contingency {
    fn new(a: &[usize], b: &[usize]) -> Result<Self> {
        if a.len() != b.len() {
            return Err(ErrorKind::Shape { what: "labels", expected: a.len(), found: b.len() }.into());
        }
        if a.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        let (a, counts_a) = places(a);
        let (b, counts_b) = places(b);
        let mut cells: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        a.iter().zip(&b).for_each(|pair| *cells.entry((*pair.0, *pair.1)).or_default() += 1.0);
        Ok(Contingency { n: a.len() as f64, a: counts_a, b: counts_b, cells: cells.into_iter().map(|((i, j), c)| (i, j, c)).collect() })
    }
}

/// Labels as numbers from 0, and how often each occurs.
fn places(labels: &[usize]) -> (Vec<usize>, Vec<f64>) {
    let mut known: BTreeMap<usize, usize> = BTreeMap::new();
    let mut counts = Vec::new();
    let of = labels
        .iter()
        .map(|label| {
            let next = known.len();
            let place = *known.entry(*label).or_insert(next);
            if place == counts.len() {
                counts.push(0.0);
            }
            counts[place] += 1.0;
            place
        })
        .collect();
    (of, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    // sklearn.metrics.adjusted_rand_score(a, b), normalized_mutual_info_score(a, b)
    const A: [usize; 10] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2];
    const B: [usize; 10] = [1, 1, 0, 0, 0, 5, 5, 5, 5, 1];

    #[test]
    fn scores_are_those_of_scikit_learn() {
        let ari = adjusted_rand_index(&A, &B).unwrap();
        let nmi = normalized_mutual_information(&A, &B).unwrap();
        // sums of ten terms
        assert!((ari - ARI).abs() < 1e-14 && (nmi - NMI).abs() < 1e-14, "{ari} {nmi}");
        assert_eq!(adjusted_rand_index(&[1, 1], &[2, 2]).unwrap(), 1.0);
        assert!(adjusted_rand_index(&A, &B[..3]).is_err() && normalized_mutual_information(&[], &[]).is_err());
    }

    const ARI: f64 = 0.20454545454545456;
    const NMI: f64 = 0.44270128334605;
}
