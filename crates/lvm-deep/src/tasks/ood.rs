//! Rows that are unlike those the model was trained on. Every score is larger for stranger rows.

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::evidence::{Ascent, Expectation, Optimum};
use crate::vae::Vae;
use ndarray::Array1;

/// −log p(x), or minus a bound of it. Known to fail: models of images give plain pictures of another kind *more* probability than their own
/// (Nalisnick et al. 2019).
pub fn surprise(log_evidence: &Array1<f64>) -> Array1<f64> {
    -log_evidence
}

/// |log p(x) − E_train[log p(x)]|: far from the entropy of the model on either side. Nalisnick et al. 2019 (for sets of rows; here of one).
pub fn typicality(log_evidence: &Array1<f64>, log_evidence_of_training: &Array1<f64>) -> Array1<f64> {
    let centre = log_evidence_of_training.mean().unwrap_or(f64::NAN);
    log_evidence.mapv(|l| (l - centre).abs())
}

/// ELBO(q*) − ELBO(q_encoder): by how much the row's own best q would have raised its bound. Large where the encoder was never taught.
/// It is the row's amortization gap. Xiao, Yan & Amit 2020.
///
/// # Errors
/// As [`Optimum::new`].
pub fn likelihood_regret(vae: &Vae, batch: &Batch, expectation: Expectation, ascent: &Ascent, seed: u64) -> Result<Array1<f64>> {
    let optimum = Optimum::new(vae, batch, expectation, ascent, seed)?;
    Ok(optimum.elbo - optimum.elbo_of_encoder)
}

/// The area under the receiver operating characteristic: the probability that a strange row scores above a usual one, ties counting half.
///
/// ```
/// use lvm_deep::tasks::auroc;
/// assert_eq!(auroc(&[0.1, 0.2, 0.3], &[0.4, 0.5])?, 1.0);
/// assert_eq!(auroc(&[1.0, 2.0], &[1.0, 2.0])?, 0.5);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If a list is empty or a score is NaN.
pub fn auroc(usual: &[f64], strange: &[f64]) -> Result<f64> {
    if usual.is_empty() || strange.is_empty() {
        return Err(Error::config("scores", "are needed of both kinds of rows, at least one each"));
    }
    let mut all: Vec<(f64, bool)> = usual.iter().map(|s| (*s, false)).chain(strange.iter().map(|s| (*s, true))).collect();
    if let Some(at) = all.iter().position(|(s, _)| s.is_nan()) {
        return Err(Error::config("scores", format!("score {at} is NaN")));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Σ over strange rows of the usual ones below, and half of those level with it
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let strange_here = tied.iter().filter(|(_, s)| *s).count() as f64;
        let usual_here = tied.len() as f64 - strange_here;
        wins += strange_here * (below + 0.5 * usual_here);
        below += usual_here;
    }
    Ok(wins / (usual.len() as f64 * strange.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs() {
        let (usual, strange) = ([0.0, 1.0, 1.0, 3.0, -0.0], [1.0, 2.0, 0.0, 5.0]);
        let pairs = usual.iter().flat_map(|u| {
            strange.iter().map(move |s| {
                if s > u {
                    1.0
                } else if s == u {
                    0.5
                } else {
                    0.0
                }
            })
        });
        let expected = pairs.sum::<f64>() / 20.0;
        // halves add up exactly
        assert_eq!(auroc(&usual, &strange).unwrap(), expected);
        assert!((auroc(&strange, &usual).unwrap() - (1.0 - expected)).abs() < 1e-15);
        assert!(auroc(&[], &[1.0]).is_err() && auroc(&[f64::NAN], &[1.0]).is_err());
    }
}
