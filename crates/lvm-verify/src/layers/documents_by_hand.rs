//! Latent Dirichlet allocation seen through sums written out: the conditionals of its factors, and what the topics of documents drawn
//! from it must be.

use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::fit::Stopping;
use lvm_core::special::digamma;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, LdaModel, LdaStart, LocalStopping};
use ndarray::{Array1, Array2};

/// Words and topics.
pub(super) const V: usize = 12;
pub(super) const K: usize = 3;

/// Documents of mixed topics as counts (M, V), deterministic.
pub(super) fn counts(documents: usize) -> Array2<f64> {
    Array2::from_shape_fn((documents, V), |(d, w)| {
        let on = if w % K == d % K { 4.0 } else { 1.0 };
        (on * (1.0 + ((3 * d + 7 * w) as f64).sin())).floor()
    })
}

/// The same as the library has them.
pub(super) fn documents(counts: &Array2<f64>) -> Result<Documents, Problem> {
    let entries = counts.rows().into_iter().map(|r| r.iter().enumerate().filter(|(_, c)| **c > 0.0).map(|(w, c)| (w, *c)).collect());
    Ok(Documents::from_rows(counts.ncols(), entries)?)
}

/// λ off every symmetry (V, K).
pub(super) fn lambda() -> Array2<f64> {
    Array2::from_shape_fn((V, K), |(w, k)| 1.5 + ((5 * w + 3 * k) as f64).sin())
}

/// Expected counts n_dw φ_dwk, φ ∝ exp(E[log θ_dk] + E[log β_kw]) (Blei, Ng & Jordan 2003, 16): over documents (V, K), and over words of each
/// document (M, K).
fn expected(counts: &Array2<f64>, gamma: &Array2<f64>, lambda: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
    let totals: Vec<f64> = lambda.columns().into_iter().map(|c| digamma(c.sum())).collect();
    let (mut of_words, mut of_documents) = (Array2::<f64>::zeros(lambda.dim()), Array2::<f64>::zeros(gamma.dim()));
    for ((d, w), n) in counts.indexed_iter() {
        let scores: Vec<f64> = (0..K).map(|k| digamma(gamma[[d, k]]) + digamma(lambda[[w, k]]) - totals[k]).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        for k in 0..K {
            let share = n * (scores[k] - top).exp() / sum;
            of_words[[w, k]] += share;
            of_documents[[d, k]] += share;
        }
    }
    (of_words, of_documents)
}

/// q(θ_d) and q(β_k) are Dirichlet with the ratios of the joint, given the others: γ = α + expected counts, λ = η + expected counts.
///
/// # Errors
/// If the library refuses.
pub(super) fn conditionals(g: &mut Group<'_>) -> Outcome {
    let counts = counts(20);
    let documents = documents(&counts)?;
    let (alpha, eta) = (0.3, 0.6);
    let local = LocalStopping { max_iterations: 10_000, tolerance: 1e-13 };
    let model = LdaModel::new(lambda(), alpha, eta, local)?;
    let gamma = model.infer(&documents)?.gamma;
    let (of_words, of_documents) = expected(&counts, &gamma, &lambda());
    let t = Tolerance::relative(1e-9, "VERIFY L4: 1e-10 of a fixed point whose last change was 1e-13, a contraction of at most 0.999");
    // log q(θ') − log q(θ) = E[log p(θ', z) − log p(θ, z)] for every θ', θ: the exponents γ − 1 and α − 1 + E[n] are the same
    g.array("γ is the conditional of θ given q(z)", Source::I, &gamma, &(&of_documents + alpha), &t);
    let lda = Lda {
        topics: K,
        alpha: Some(alpha),
        eta: Some(eta),
        start: LdaStart::Lambda(lambda()),
        local,
        stopping: Stopping { max_iterations: 1, tolerance: 0.0 },
        ..Default::default()
    };
    let next = lda.fit(&documents, 0)?.model;
    g.array("λ is the conditional of β given q(z)", Source::I, next.lambda(), &(&of_words + eta), &t);
    // E[β] and the shares of a document are the means of those Dirichlets
    let shares = model.infer(&documents)?.shares();
    let total: Array1<f64> = gamma.rows().into_iter().map(|r| r.sum()).collect();
    let mean = &gamma / &total.insert_axis(ndarray::Axis(1));
    g.array("E[θ] of each document", Source::I, &shares, &mean, &Tolerance::relative(1e-12, "one division"));
    Ok(())
}
