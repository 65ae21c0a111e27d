//! C9: latent Dirichlet allocation: the ELBO from its definition, and the online engine with all documents in a batch against the batch engine.

use crate::check::{Layer, Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::suite::{Group, Outcome, Problem, Suite};
use lvm_core::fit::Stopping;
use lvm_core::random::{Purpose, stream};
use lvm_core::special::{digamma, lgamma};
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, LdaModel, LdaStart, LocalStopping, OnlineLda};
use lvm_vi::cavi::minibatch::Steps;
use lvm_vi::cavi::multinomial_mixture::BayesianMultinomialMixture;
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;

/// Everything about documents.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::C, "C9", "LDA of 60 simulated documents", bound);
    suite.group(Layer::O, "O7", "LDA, full batch of step 1", full_batch);
    suite.group(Layer::O, "O7", "LDA, minibatches from a cold start", cold_start);
    suite.group(Layer::C, "C9", "Bayesian mixture of multinomials, one component", one_component);
}

const WORDS: usize = 40;
const TOPICS: usize = 3;

/// Documents with one topic for each third of the vocabulary, mixed.
fn documents(seed: u64) -> Result<(Documents, Vec<Vec<f64>>), Problem> {
    let mut rng = stream(seed, Purpose::Sample, 0);
    let counts: Vec<Vec<f64>> = (0..60)
        .map(|d| {
            let mut row = vec![0.0; WORDS];
            for _ in 0..(20 + d) {
                let topic = if rng.random::<f64>() < 0.7 { d % TOPICS } else { rng.random_range(0..TOPICS) };
                row[(rng.random_range(0..WORDS) / TOPICS * TOPICS + topic) % WORDS] += 1.0;
            }
            row
        })
        .collect();
    let rows = counts.iter().map(|r| r.iter().enumerate().filter(|(_, c)| **c > 0.0).map(|(w, c)| (w, *c)).collect());
    Ok((Documents::from_rows(WORDS, rows)?, counts))
}

/// KL(Dirichlet(a) ‖ Dirichlet(b, …, b)).
fn kl(a: &Array1<f64>, b: f64) -> f64 {
    let (total, n) = (a.sum(), a.len() as f64);
    let log_mean = |v: f64| digamma(v) - digamma(total);
    lgamma(total) - a.mapv(lgamma).sum() - lgamma(n * b) + n * lgamma(b) + a.iter().map(|v| (v - b) * log_mean(*v)).sum::<f64>()
}

/// The ELBO with φ written out: E[log p(w, z, θ, β)] − E[log q], term by term (Blei, Ng & Jordan 2003, eq. 15, with q(β)).
fn by_definition(counts: &[Vec<f64>], gamma: &Array2<f64>, lambda: &Array2<f64>, alpha: f64, eta: f64) -> f64 {
    let k = gamma.ncols();
    let totals = lambda.sum_axis(Axis(0));
    let log_beta = |w: usize, t: usize| digamma(lambda[[w, t]]) - digamma(totals[t]);
    let mut elbo = 0.0;
    for (d, row) in counts.iter().enumerate() {
        let total = gamma.row(d).sum();
        let log_theta = |t: usize| digamma(gamma[[d, t]]) - digamma(total);
        for (w, n) in row.iter().enumerate().filter(|(_, n)| **n > 0.0) {
            let score: Vec<f64> = (0..k).map(|t| log_theta(t) + log_beta(w, t)).collect();
            let largest = score.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = score.iter().map(|s| (s - largest).exp()).sum();
            // Σ_t φ (log θ + log β − log φ)
            elbo += n * score.iter().map(|s| (s - largest).exp() / sum * (s - (s - largest - sum.ln()))).sum::<f64>();
        }
        elbo -= kl(&gamma.row(d).to_owned(), alpha);
    }
    elbo - (0..k).map(|t| kl(&lambda.column(t).to_owned(), eta)).sum::<f64>()
}

fn bound(g: &mut Group<'_>) -> Outcome {
    let (documents, counts) = documents(3)?;
    let total = documents.total_words();
    let lda = Lda { topics: TOPICS, stopping: Stopping { max_iterations: 60, tolerance: 0.0 }, ..Default::default() };
    let fitted = lda.fit(&documents, 1)?;
    let model = &fitted.model;
    let gamma = model.infer(&documents)?.gamma;
    let size = 10.0 * total;
    let rounding = Tolerance::rounding(WORDS * TOPICS, size);
    let truth = by_definition(&counts, &gamma, model.lambda(), model.alpha(), model.eta());
    g.scalar("ELBO of a fit, by its definition", Source::E, model.elbo(&documents, gamma.view())?, truth, &rounding);
    g.scalar(
        "Σ bounds of the documents − KL of the topics",
        Source::E,
        model.infer(&documents)?.bounds.sum() - model.kl(),
        truth,
        &rounding,
    );
    let topics = (0..TOPICS).map(|t| kl(&model.lambda().column(t).to_owned(), model.eta())).sum::<f64>();
    g.scalar("KL of the topics", Source::E, model.kl(), topics, &rounding);
    // any λ and γ, not those of a fit
    let lambda = Array2::from_shape_fn((WORDS, TOPICS), |(w, t)| 0.05 + ((w * 7 + t * 3) % 11) as f64);
    let gamma = Array2::from_shape_fn((counts.len(), TOPICS), |(d, t)| 0.1 + ((d * 5 + t) % 7) as f64);
    let other = LdaModel::new(lambda.clone(), 0.3, 0.02, LocalStopping::default())?;
    let truth = by_definition(&counts, &gamma, &lambda, 0.3, 0.02);
    g.scalar("ELBO of arbitrary λ, γ, by its definition", Source::E, other.elbo(&documents, gamma.view())?, truth, &rounding);
    super::shared::monotone(g, &fitted.trace, counts.len() as f64, WORDS);
    one_topic(g, &documents, &counts)
}

/// With one topic the posterior is a Dirichlet and the ELBO the evidence: log B(η + n)/B(η).
fn one_topic(g: &mut Group<'_>, documents: &Documents, counts: &[Vec<f64>]) -> Outcome {
    let eta = 0.4;
    let lda = Lda { topics: 1, eta: Some(eta), stopping: Stopping { max_iterations: 2, tolerance: 0.0 }, ..Default::default() };
    let fitted = lda.fit(documents, 1)?;
    let n = Array1::from_shape_fn(WORDS, |w| counts.iter().map(|r| r[w]).sum::<f64>());
    let v = WORDS as f64;
    let evidence = lgamma(v * eta) - lgamma(v * eta + n.sum()) + n.iter().map(|n| lgamma(eta + n) - lgamma(eta)).sum::<f64>();
    let per_document = evidence / counts.len() as f64;
    let t = Tolerance::rounding(WORDS, evidence);
    g.scalar("one topic: the ELBO is the exact log evidence, a document", Source::E, fitted.objective(), per_document, &t);
    // one topic has nothing to gain from θ: all of it is in λ
    let exact = |v: f64| Figure::exact(v, Source::E, Tolerance::rounding(WORDS, evidence).absolute);
    let case = format!("{}, one topic, nats a document", g.case());
    let reached = fitted.objective();
    g.headline(Headline::new(&case, "Dirichlet", "coordinate ascent", exact(per_document), exact(per_document), exact(reached)), 1e-6);
    g.array(
        "one topic: λ = η + counts",
        Source::E,
        &fitted.model.lambda().column(0).to_owned(),
        &(n + eta),
        &Tolerance::rounding(60, n_max(counts)),
    );
    Ok(())
}

fn n_max(counts: &[Vec<f64>]) -> f64 {
    counts.iter().map(|r| r.iter().sum::<f64>()).sum()
}

/// One component: a Dirichlet posterior over words, whose log evidence is the ELBO, multinomial coefficients included.
fn one_component(g: &mut Group<'_>) -> Outcome {
    let (documents, counts) = documents(5)?;
    let eta = 0.3;
    let config = BayesianMultinomialMixture {
        components: 1,
        word_concentration: eta,
        restarts: 1,
        stopping: Stopping { max_iterations: 3, tolerance: 0.0 },
        ..Default::default()
    };
    let reached = config.fit(&documents, 1)?.objective();
    let n = Array1::from_shape_fn(WORDS, |w| counts.iter().map(|r| r[w]).sum::<f64>());
    let v = WORDS as f64;
    let choose: f64 = counts.iter().map(|r| lgamma(r.iter().sum::<f64>() + 1.0) - r.iter().map(|c| lgamma(c + 1.0)).sum::<f64>()).sum();
    let of_words = lgamma(v * eta) - lgamma(v * eta + n.sum()) + n.iter().map(|n| lgamma(eta + n) - lgamma(eta)).sum::<f64>();
    let evidence = (choose + of_words) / counts.len() as f64;
    let t = Tolerance::rounding(WORDS, choose.abs() + of_words.abs());
    g.scalar("the ELBO is the exact log evidence, a document", Source::E, reached, evidence, &t);
    let exact = |v: f64| Figure::exact(v, Source::E, t.absolute);
    let case = format!("{}, nats a document", g.case());
    g.headline(Headline::new(&case, "Dirichlet", "coordinate ascent", exact(evidence), exact(evidence), exact(reached)), 1e-6);
    Ok(())
}

/// Online LDA from random topics ends where coordinate ascent from random topics ends: both runs from five starts, the better bound of each.
fn cold_start(g: &mut Group<'_>) -> Outcome {
    let (documents, _) = documents(6)?;
    let epochs = if g.quick { 100 } else { 400 };
    let lda = |max_iterations: usize| Lda { topics: TOPICS, stopping: Stopping { max_iterations, tolerance: 0.0 }, ..Default::default() };
    let n = documents.len() as f64;
    let total = |model: &LdaModel| -> lvm_core::Result<f64> { Ok((model.infer(&documents)?.bounds.sum() - model.kl()) / n) };
    let (mut batch, mut online) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for i in 0..5 {
        batch = batch.max(total(&lda(300).fit(&documents, g.seed(i))?.model)?);
        let config = OnlineLda { batch: 10, ..OnlineLda::new(lda(epochs)) };
        online = online.max(total(&config.fit(&documents, g.seed(10 + i))?.model)?);
    }
    let t = Tolerance::absolute(
        0.02 * documents.total_words() / n * 0.05,
        "a thousandth of a nat a word: steps decay, so the last of the noise is left",
    );
    let quantity = format!("ELBO a document: best of five runs of coordinate ascent less best of five of {epochs} epochs in batches of 10");
    g.bounded(quantity, Source::I, (batch - online).max(0.0), &t);
    Ok(())
}

/// From the same λ a stochastic step of length 1 by all documents is an iteration of coordinate ascent. Step by step, since the batch engine
/// goes on from the γ it has, and a document may have more than one optimum.
fn full_batch(g: &mut Group<'_>) -> Outcome {
    let (documents, _) = documents(4)?;
    let mut lambda = Array2::from_shape_fn((WORDS, TOPICS), |(w, t)| 1.0 + 0.3 * ((w * 5 + t * 3) as f64).sin());
    let (mut ours, mut theirs, mut scale) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..15 {
        let stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
        let lda = Lda { topics: TOPICS, start: LdaStart::Lambda(lambda), stopping, ..Default::default() };
        let batch = lda.fit(&documents, 0)?.model;
        let online = OnlineLda { batch: documents.len(), steps: Steps::Constant(1.0), ..OnlineLda::new(lda) }.fit(&documents, 0)?.model;
        ours.extend(online.lambda().iter().copied());
        theirs.extend(batch.lambda().iter().copied());
        scale.extend(batch.lambda().iter().copied());
        lambda = batch.lambda().clone();
    }
    let t = Tolerance::relative(1e-10, "the same sums over 60 documents in another order (VERIFY: 1e-10 of one evaluation)");
    let (ours, theirs, scale) = (Array1::from(ours), Array1::from(theirs), Array1::from(scale));
    g.array_scaled(
        "λ after each of fifteen steps of all documents, and after iterations of coordinate ascent",
        Source::I,
        &ours,
        &theirs,
        &scale,
        &t,
    );
    Ok(())
}
