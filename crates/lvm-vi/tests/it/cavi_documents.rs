//! LDA and mixtures of multinomials: bounds by their definition, exact evidence where it exists, and the laws.

use lvm_core::ErrorKind;
use lvm_core::dist::Dirichlet;
use lvm_core::fit::{Algorithm, Stopping};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_core::special::lgamma;
use lvm_vi::cavi::document_source::{CountTable, DocumentSource};
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, LdaModel, LdaStart, LocalStopping, OnlineLda, OnlineLdaState};
use lvm_vi::cavi::minibatch::Steps;
use lvm_vi::cavi::multinomial_mixture::{BayesianMultinomialMixture, MultinomialMixture, MultinomialMixtureEm, MultinomialStart};
use ndarray::{Array1, Array2, Axis, array};
use rand::RngExt;

/// M documents of about `length` words from four topics over V words.
fn corpus(m: usize, v: usize, length: usize) -> Documents {
    let mut rng = stream(5, Purpose::Sample, 0);
    let lambda = Array2::from_shape_fn((v, 4), |(w, k)| if w * 4 / v == k { 5.0 } else { 0.05 });
    let model = LdaModel::new(lambda, 0.3, 0.1, LocalStopping::default()).unwrap();
    let lengths: Vec<usize> = (0..m).map(|_| length / 2 + rng.random_range(0..length)).collect();
    model.sample(&lengths, &mut rng).unwrap()
}

fn close(what: &str, a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>, relative: f64) {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().collect(), b.into_iter().collect());
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= relative * b.abs().max(1.0), "{what}, entry {i}: {a:e} against {b:e}");
    }
}

/// The trace never falls by more than the rounding of its `terms` (VERIFY.md C2).
fn monotone(trace: &[f64], terms: f64) {
    for (t, pair) in trace.windows(2).enumerate() {
        assert!(pair[1] >= pair[0] - 4.0 * terms * f64::EPSILON * pair[0].abs(), "iteration {}: {} after {}", t + 2, pair[1], pair[0]);
    }
}

fn lda(topics: usize, iterations: usize) -> Lda {
    Lda { topics, stopping: Stopping { max_iterations: iterations, tolerance: 0.0 }, ..Default::default() }
}

/// Every expectation of the LDA bound written out with φ (Hoffman, Blei & Bach 2010, eq 4).
fn naive_bound(model: &LdaModel, documents: &Documents, gamma: &Array2<f64>) -> f64 {
    let (k, v) = (model.n_topics(), model.vocabulary());
    let lambda = model.lambda();
    let dirichlet = |a: Array1<f64>| Dirichlet::new(a.view()).unwrap();
    let log_beta: Vec<Array1<f64>> = lambda.columns().into_iter().map(|l| dirichlet(l.to_owned()).mean_log()).collect();
    let mut total = 0.0;
    for d in 0..documents.len() {
        let q = dirichlet(gamma.row(d).to_owned());
        let log_theta = q.mean_log();
        let (words, counts) = documents.get(d);
        let mut own = 0.0;
        for (&w, &n) in words.iter().zip(counts) {
            let scores: Vec<f64> = (0..k).map(|k| log_theta[k] + log_beta[k][w as usize]).collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
            for s in &scores {
                let phi = (s - top).exp() / sum;
                if phi > 0.0 {
                    // φ (E[log θ] + E[log β] − log φ)
                    own += n * phi * (s - phi.ln());
                }
            }
        }
        // E[log p(θ)] − E[log q(θ)]
        let prior = lgamma(k as f64 * model.alpha()) - k as f64 * lgamma(model.alpha()) + (model.alpha() - 1.0) * log_theta.sum();
        total += documents.weight(d) * (own + prior + q.entropy());
    }
    for (topic, log_beta) in lambda.columns().into_iter().zip(&log_beta) {
        let prior = lgamma(v as f64 * model.eta()) - v as f64 * lgamma(model.eta()) + (model.eta() - 1.0) * log_beta.sum();
        total += prior + dirichlet(topic.to_owned()).entropy();
    }
    total
}

#[test]
fn the_lda_bound_is_its_definition_and_never_falls() {
    let documents = corpus(60, 40, 30).weighted((0..60).map(|d| 1.0 + (d % 3) as f64).collect()).unwrap();
    let algorithm = lda(5, 60);
    let mut state = algorithm.init(&documents, 3).unwrap();
    let mut trace = Vec::new();
    for _ in 0..60 {
        trace.push(algorithm.step(&mut state, &documents).unwrap().objective);
        let naive = naive_bound(state.model(), &documents, state.gamma());
        let total = trace[trace.len() - 1] * documents.total_weight();
        // 1500 words and 200 topic entries of size 10, in another order, over a total of 6000
        assert!((total - naive).abs() <= 1e-11 * naive.abs(), "{total} against {naive}");
        let again = state.model().elbo(&documents, state.gamma().view()).unwrap();
        assert!((again - naive).abs() <= 1e-11 * naive.abs());
    }
    monotone(&trace, 40.0);
    let fitted = algorithm.fit(&documents, 3).unwrap();
    assert_eq!(fitted.trace, trace);
}

#[test]
fn one_topic_is_the_exact_evidence() {
    // K = 1: log p(words) = log Γ(Vη)/Γ(Vη + N) + Σ_v log Γ(η + n_v)/Γ(η)
    let documents = corpus(30, 25, 40);
    let model = Lda { eta: Some(0.7), ..lda(1, 3) }.fit(&documents, 0).unwrap();
    let mut totals = [0.0; 25];
    (0..documents.len()).for_each(|d| documents.get(d).0.iter().zip(documents.get(d).1).for_each(|(w, n)| totals[*w as usize] += n));
    let n: f64 = totals.iter().sum();
    let exact = lgamma(25.0 * 0.7) - lgamma(25.0 * 0.7 + n) + totals.iter().map(|t| lgamma(0.7 + t) - lgamma(0.7)).sum::<f64>();
    close("K = 1", [model.objective() * 30.0], [exact], 1e-12);
}

#[test]
fn tiny_concentrations_do_not_underflow() {
    // e^ψ(1e-4) = e^-10000: the bound must still be its definition
    let documents = corpus(20, 30, 20);
    let algorithm = Lda { eta: Some(1e-4), alpha: Some(1e-4), ..lda(3, 5) };
    let mut state = algorithm.init(&documents, 1).unwrap();
    for _ in 0..5 {
        let objective = algorithm.step(&mut state, &documents).unwrap().objective;
        assert!(objective.is_finite());
    }
    let unseen = Documents::from_rows(30, [vec![(0, 1.0), (29, 2.0)]]).unwrap();
    let lambda = Array2::from_shape_fn((30, 3), |(w, _)| if w == 29 { 1e-4 } else { 2.0 });
    let model = LdaModel::new(lambda, 0.5, 1e-4, LocalStopping::default()).unwrap();
    let q = model.infer(&unseen).unwrap();
    let naive = naive_bound(&model, &unseen, &q.gamma);
    close("bound", [q.bounds[0] - model.kl()], [naive], 1e-11);
}

#[test]
fn topics_are_found_and_documents_clustered() {
    let documents = corpus(400, 80, 60);
    let fitted = Lda { restarts: 3, ..lda(4, 60) }.fit(&documents, 2).unwrap();
    // each topic keeps to one quarter of the words
    let topics = fitted.model.topics();
    let mut quarters: Vec<usize> = topics
        .outer_iter()
        .map(|t| {
            (0..4)
                .max_by(|a, b| {
                    let mass = |q: &usize| (q * 20..(q + 1) * 20).map(|w| t[w]).sum::<f64>();
                    mass(a).total_cmp(&mass(b))
                })
                .unwrap()
        })
        .collect();
    quarters.sort_unstable();
    assert_eq!(quarters, [0, 1, 2, 3]);
    let q = fitted.model.infer(&documents).unwrap();
    close("shares", q.shares().sum_axis(Axis(1)), vec![1.0; 400], 1e-12);
    // better than knowing nothing, log 1/80 a word
    assert!(fitted.model.per_word_bound(&documents).unwrap() > -(80f64.ln()));
}

#[test]
fn lda_laws() {
    let documents = corpus(150, 50, 40);
    let run = |documents: &Documents| {
        let fitted = lda(4, 8).fit(documents, 6).unwrap();
        (fitted.trace.clone(), fitted.model)
    };
    let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| run(&documents));
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(8));
    // weight 3 is the document three times, in another order
    let start = LdaStart::Lambda(Array2::from_shape_fn((50, 3), |(w, k)| 1.0 + ((w * 7 + k * 13) % 11) as f64));
    let algorithm = Lda { start, ..lda(3, 6) };
    let weights: Vec<f64> = (0..150).map(|d| [3.0, 1.0, 2.0][d % 3]).collect();
    let repeated: Vec<usize> = (0..150).rev().flat_map(|d| std::iter::repeat_n(d, weights[d] as usize)).collect();
    let a = algorithm.fit(&documents.clone().weighted(weights).unwrap(), 0).unwrap();
    let b = algorithm.fit(&documents.select(&repeated), 0).unwrap();
    // local ascents that end by tolerance end alike; sums in another order
    close("trace", a.trace, b.trace, 1e-10);
    close("λ", a.model.lambda().iter().copied(), b.model.lambda().iter().copied(), 1e-8);
}

#[test]
fn online_with_all_documents_and_step_one_is_batch() {
    let documents = corpus(80, 30, 40);
    let mut lambda = Array2::from_shape_fn((30, 3), |(w, k)| if w * 3 / 30 == k { 4.0 } else { 1.0 });
    for _ in 0..5 {
        // one iteration each from the same λ: both begin every document afresh, as its ascent may have more than one end
        let batch = Lda { start: LdaStart::Lambda(lambda.clone()), ..lda(3, 1) };
        let online = OnlineLda { batch: 80, steps: Steps::Constant(1.0), lda: batch.clone() };
        let mut state = online.init(&documents, 0).unwrap();
        online.advance(&mut state, &documents, 1).unwrap();
        let exact = batch.fit(&documents, 0).unwrap().model;
        close("λ", state.model.lambda().iter().copied(), exact.lambda().iter().copied(), 1e-12);
        lambda = exact.lambda().clone();
    }
}

#[test]
fn the_mean_of_all_batches_is_the_full_update() {
    let documents = corpus(12, 30, 20);
    let start = Lda { local: LocalStopping { max_iterations: 50, tolerance: 0.0 }, ..lda(3, 4) };
    let model = start.fit(&documents, 1).unwrap().model;
    let step = |batch: usize, index: u64| {
        let online = OnlineLda { batch, steps: Steps::Constant(1.0), lda: start.clone() };
        let mut state = OnlineLdaState { model: model.clone(), steps: index, seed: 4 };
        online.advance(&mut state, &documents, 1).unwrap();
        state.model.lambda().clone()
    };
    let full = step(12, 0);
    for batch in [1, 2, 3, 4, 6] {
        let count = 12 / batch;
        let mean = (0..count).map(|b| step(batch, b as u64)).fold(Array2::<f64>::zeros((30, 3)), |a, b| a + b) / count as f64;
        // 12 roundings of the sums
        close("epoch", mean, full.iter().copied(), 1e-12);
    }
}

#[test]
fn online_lda_comes_near_batch_and_resumes_bit_for_bit() {
    let documents = corpus(301, 40, 40);
    let start = LdaStart::Lambda(Array2::from_shape_fn((40, 4), |(w, k)| if w * 4 / 40 == k { 2.0 } else { 1.0 }));
    let batch = Lda { start, ..lda(4, 40) };
    let online = OnlineLda { batch: 32, ..OnlineLda::new(batch.clone()) };
    let (a, b) = (online.fit(&documents, 8).unwrap(), batch.fit(&documents, 8).unwrap());
    // ρ is 0.013 at the end, and the noise of a batch of 32 of 301 that is left costs each of 160 parameters ρ/4 · 301/32 nats or
    // 5 in all; five times that is allowed
    assert!((b.objective() - a.objective()) * 301.0 < 25.0, "{} {}", a.objective(), b.objective());
    let mut whole = online.init(&documents, 8).unwrap();
    online.advance(&mut whole, &documents, 25).unwrap();
    let mut first = online.init(&documents, 8).unwrap();
    online.advance(&mut first, &documents, 11).unwrap();
    let model = LdaModel::new(first.model.lambda().clone(), first.model.alpha(), first.model.eta(), first.model.local()).unwrap();
    let mut second = OnlineLdaState { model, ..first };
    online.advance(&mut second, &documents, 14).unwrap();
    assert_eq!(whole, second);
}

#[test]
fn a_table_read_by_batches_gives_the_fit_of_its_documents_bit_for_bit() {
    // 1100 rows: more than are read at once for the bound; weights, one of them zero
    let table =
        Array2::from_shape_fn((1100, 12), |(d, w)| if (d + w) % 3 == 0 || w == d % 12 { ((d * 7 + w * 5) % 4 + 1) as f64 } else { 0.0 });
    let weights = Array1::from_shape_fn(1100, |d| [1.0, 2.0, 0.0, 0.5][d % 4]);
    let weighted = Rows::new(&table).weighted(weights.view()).unwrap();
    let online = OnlineLda { batch: 100, ..OnlineLda::new(lda(3, 2)) };
    for rows in [&table as &dyn RowSource, &weighted] {
        let source = CountTable::new(rows).unwrap();
        let documents = Documents::from_table(rows).unwrap();
        assert_eq!((source.n_documents(), source.total_words().unwrap()), (documents.len(), documents.total_words()));
        assert_eq!(online.fit(&source, 3).unwrap(), online.fit(&documents, 3).unwrap());
    }
    // a row is called by its own number, also where rows before it are not there
    let broken = array![[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]];
    let without = array![0.0, 1.0, 1.0];
    let rows = Rows::new(&broken).weighted(without.view()).unwrap();
    let small = OnlineLda { batch: 2, ..online };
    let message = small.fit(&CountTable::new(&rows).unwrap(), 3).unwrap_err().to_string();
    assert!(message.contains("document 2 has -1 of word 1"), "{message}");
    assert!(Rows::new(&broken).weighted(array![0.0, 0.0, 0.0].view()).is_err());
}

#[test]
fn identical_documents_are_a_model_of_one_topic() {
    let documents = Documents::from_rows(3, (0..40).map(|_| vec![(0, 2.0), (2, 4.0)])).unwrap();
    for topics in [1, 3] {
        let (batch, online) = (lda(topics, 30), OnlineLda { batch: 8, ..OnlineLda::new(lda(topics, 10)) });
        for model in [batch.fit(&documents, 2).unwrap().model, online.fit(&documents, 2).unwrap().model] {
            let gamma = model.infer(&documents).unwrap().gamma;
            assert!(gamma.outer_iter().all(|row| row == gamma.row(0)) && gamma.iter().all(|g| g.is_finite()));
            // E[p(w)] of the shares and topics: a third and two thirds but for the prior's 1/K a word and topic beside 240 words, and steps
            // of the online fit that have not forgotten the start
            let shares = model.infer(&documents).unwrap().shares();
            let p = shares.row(0).dot(&model.topics());
            assert!((p[0] - 1.0 / 3.0).abs() < 0.05 && (p[2] - 2.0 / 3.0).abs() < 0.05, "{p}");
        }
    }
    for k in [1, 2, 3] {
        let em = MultinomialMixtureEm { components: k, ..Default::default() }.fit(&documents, 1).unwrap().model;
        let vb = BayesianMultinomialMixture { components: k, ..Default::default() }.fit(&documents, 1).unwrap().model;
        let p = em.weights().dot(em.words());
        // the smoothing counts of the default start beside 80 words
        assert!((p[0] - 1.0 / 3.0).abs() < 0.02 && em.log_evidence(&documents).unwrap().iter().all(|l| l.is_finite()), "{p}");
        assert!(vb.log_predictive(&documents).unwrap().iter().all(|l| l.is_finite()));
    }
}

#[test]
fn document_refusals() {
    let config = |e: lvm_core::Error, field: &str| match e.kind() {
        ErrorKind::Config { field: found, .. } => assert_eq!(*found, field, "{e}"),
        _ => panic!("{e}"),
    };
    config(Documents::from_rows(3, [vec![(0, 1.0)], vec![]]).unwrap_err(), "documents");
    config(Documents::from_rows(3, [vec![(0, 0.0)]]).unwrap_err(), "documents");
    config(Documents::from_rows(3, [vec![(0, -1.0)]]).unwrap_err(), "counts");
    config(Documents::from_rows(3, [vec![(0, f64::NAN)]]).unwrap_err(), "counts");
    config(Documents::from_rows(3, [vec![(3, 1.0)]]).unwrap_err(), "words");
    config(Documents::from_rows(0, [vec![(0, 1.0)]]).unwrap_err(), "vocabulary");
    config(Documents::from_csr(3, &[0, 2], &[0], &[1.0]).unwrap_err(), "offsets");
    assert!(Documents::from_csr(3, &[0, 1], &[0], &[]).is_err());
    assert!(matches!(Documents::from_rows(3, Vec::new()).unwrap_err().kind(), ErrorKind::Empty));
    config(Documents::from_table(&array![[1.0, 0.0], [-1.0, 2.0]]).unwrap_err(), "counts");
    config(Documents::from_table(&array![[1.0, 0.0], [0.0, 0.0]]).unwrap_err(), "documents");
    assert!(matches!(Documents::from_table(&array![[1.0, f64::NAN]]).unwrap_err().kind(), ErrorKind::NotANumber { .. }));
    let documents = corpus(9, 12, 10);
    assert!(documents.clone().weighted(vec![0.0; 9]).is_err() && documents.clone().weighted(vec![1.0; 8]).is_err());
    config(lda(0, 5).fit(&documents, 0).unwrap_err(), "topics");
    config(Lda { alpha: Some(0.0), ..lda(2, 5) }.fit(&documents, 0).unwrap_err(), "alpha");
    config(Lda { eta: Some(f64::NAN), ..lda(2, 5) }.fit(&documents, 0).unwrap_err(), "eta");
    config(Lda { restarts: 0, ..lda(2, 5) }.fit(&documents, 0).unwrap_err(), "restarts");
    for batch in [0, 10] {
        config(OnlineLda { batch, ..OnlineLda::new(lda(2, 5)) }.fit(&documents, 0).unwrap_err(), "batch");
    }
    let model = lda(2, 2).fit(&documents, 0).unwrap().model;
    let other = corpus(3, 16, 10);
    assert!(matches!(model.infer(&other).unwrap_err().kind(), ErrorKind::Shape { expected: 12, found: 16, .. }));
    let em = MultinomialMixtureEm { components: 2, ..Default::default() };
    config(MultinomialMixtureEm { components: 0, ..em.clone() }.fit(&documents, 0).unwrap_err(), "components");
    config(MultinomialMixtureEm { prior_count: -1.0, ..em.clone() }.fit(&documents, 0).unwrap_err(), "prior_count");
    let crowd = MultinomialMixtureEm { components: 10, ..em.clone() };
    assert!(matches!(crowd.fit(&documents, 0).unwrap_err().kind(), ErrorKind::TooFewRows { rows: 9, needed: 10, .. }));
    let vb = BayesianMultinomialMixture { word_concentration: 0.0, ..Default::default() };
    config(vb.fit(&documents, 0).unwrap_err(), "word_concentration");
    assert!(MultinomialMixture::new(array![0.5, 0.6], array![[1.0], [1.0]]).is_err());
    assert!(MultinomialMixture::new(array![0.5, 0.5], array![[0.5, 0.4], [1.0, 0.0]]).is_err());
}

#[test]
fn rows_of_a_table_of_weight_zero_are_not_there() {
    let table = array![[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]];
    let weights = array![1.0, 0.0, 2.0];
    let documents = Documents::from_table(&Rows::new(&table).weighted(weights.view()).unwrap()).unwrap();
    assert_eq!((documents.len(), documents.total_weight(), documents.total_words()), (2, 3.0, 9.0));
}

/// Documents of three components, and which.
fn groups(m: usize) -> (Documents, Array1<usize>) {
    let words = Array2::from_shape_fn((3, 12), |(k, w)| if w / 4 == k { 0.2 } else { 0.025 });
    let mixture = MultinomialMixture::new(array![0.5, 0.3, 0.2], words).unwrap();
    mixture.sample(&vec![30; m], &mut stream(2, Purpose::Sample, 1)).unwrap()
}

#[test]
fn multinomial_mixtures_find_the_groups() {
    let (documents, truth) = groups(300);
    let em = MultinomialMixtureEm { components: 3, ..Default::default() }.fit(&documents, 1).unwrap();
    let vb = BayesianMultinomialMixture { components: 3, ..Default::default() }.fit(&documents, 1).unwrap();
    for labels in [em.model.clusters(&documents).unwrap(), vb.model.clusters(&documents).unwrap()] {
        // 30 words at 8 : 1 tell groups apart with error 1e-4 or less; the best relabelling is read off the majority
        let mut agreement = 0;
        for k in 0..3 {
            let counts: Vec<usize> = (0..3).map(|t| (0..300).filter(|&d| labels[d] == k && truth[d] == t).count()).collect();
            agreement += counts.iter().max().unwrap();
        }
        assert!(agreement >= 297, "{agreement}");
    }
    monotone(&em.trace, 40.0);
    monotone(&vb.trace, 40.0);
    assert_eq!(em.restarts.len(), 5);
    let best = em.restarts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(best, em.objective());
}

#[test]
fn responsibilities_and_evidence_of_a_multinomial_mixture_are_exact() {
    let (documents, _) = groups(40);
    let mixture = MultinomialMixtureEm { components: 3, ..Default::default() }.fit(&documents, 1).unwrap().model;
    let q = mixture.infer(&documents).unwrap().probabilities();
    let log_p = mixture.log_evidence(&documents).unwrap();
    for d in 0..40 {
        let (words, counts) = documents.get(d);
        // N!/Π x! Π β^x, multiplied out
        let coefficient = (1..=30).map(|i| (i as f64).ln()).sum::<f64>()
            - counts.iter().map(|c| (1..=*c as usize).map(|i| (i as f64).ln()).sum::<f64>()).sum::<f64>();
        let joint: Vec<f64> = (0..3)
            .map(|k| {
                let each = words.iter().zip(counts).map(|(w, n)| n * mixture.words()[[k, *w as usize]].ln());
                mixture.weights()[k].ln() + coefficient + each.sum::<f64>()
            })
            .collect();
        let evidence: f64 = joint.iter().map(|j| j.exp()).sum();
        close("evidence", [log_p[d]], [evidence.ln()], 1e-12);
        close("γ", q.row(d).to_vec(), joint.iter().map(|j| j.exp() / evidence), 1e-12);
    }
    // the densities of all documents of two words sum to 1
    let pairs: Vec<Vec<(usize, f64)>> = (0..12).flat_map(|a| (0..=a).map(move |b| vec![(a, 1.0), (b, 1.0)])).collect();
    let all = Documents::from_rows(12, pairs).unwrap();
    close("mass", [mixture.log_evidence(&all).unwrap().mapv(f64::exp).sum()], [1.0], 1e-12);
    let vb = BayesianMultinomialMixture { components: 3, ..Default::default() }.fit(&documents, 1).unwrap().model;
    close("predictive mass", [vb.log_predictive(&all).unwrap().mapv(f64::exp).sum()], [1.0], 1e-12);
}

#[test]
fn one_bayesian_multinomial_is_the_exact_evidence() {
    let (documents, _) = groups(25);
    let fitted = BayesianMultinomialMixture { word_concentration: 0.4, ..Default::default() }.fit(&documents, 0).unwrap();
    let mut totals = [0.0; 12];
    let mut exact = 0.0;
    for d in 0..25 {
        let (words, counts) = documents.get(d);
        words.iter().zip(counts).for_each(|(w, n)| totals[*w as usize] += n);
        exact += lgamma(31.0) - counts.iter().map(|c| lgamma(c + 1.0)).sum::<f64>();
    }
    exact += lgamma(12.0 * 0.4) - lgamma(12.0 * 0.4 + 750.0) + totals.iter().map(|t| lgamma(0.4 + t) - lgamma(0.4)).sum::<f64>();
    close("K = 1", [fitted.objective() * 25.0, fitted.model.elbo(&documents).unwrap()], [exact, exact], 1e-12);
    // and the predictive of one more document is a ratio of evidences
    let more = Documents::from_rows(12, [vec![(0, 2.0), (5, 1.0)]]).unwrap();
    let rows = (0..25).map(|d| documents.get(d).0.iter().zip(documents.get(d).1).map(|(w, n)| (*w as usize, *n)).collect());
    let longer = Documents::from_rows(12, rows.chain([vec![(0, 2.0), (5, 1.0)]])).unwrap();
    let after = BayesianMultinomialMixture { word_concentration: 0.4, ..Default::default() }.fit(&longer, 0).unwrap();
    let ratio = after.model.elbo(&longer).unwrap() - exact;
    close("predictive", fitted.model.log_predictive(&more).unwrap(), [ratio], 1e-10);
}

#[test]
fn multinomial_laws() {
    let (documents, _) = groups(90);
    let start = MultinomialStart::Responsibilities(Array2::from_shape_fn((90, 3), |(d, k)| if d % 3 == k { 0.8 } else { 0.1 }));
    let vb = |start: MultinomialStart| BayesianMultinomialMixture {
        components: 3,
        start,
        stopping: Stopping { max_iterations: 6, tolerance: 0.0 },
        ..Default::default()
    };
    let weights: Vec<f64> = (0..90).map(|d| [3.0, 1.0, 2.0][d % 3]).collect();
    let repeated: Vec<usize> = (0..90).rev().flat_map(|d| std::iter::repeat_n(d, weights[d] as usize)).collect();
    let MultinomialStart::Responsibilities(given) = &start else { unreachable!() };
    let again = MultinomialStart::Responsibilities(given.select(Axis(0), &repeated));
    let a = vb(start.clone()).fit(&documents.clone().weighted(weights).unwrap(), 0).unwrap();
    let b = vb(again).fit(&documents.select(&repeated), 0).unwrap();
    close("trace", a.trace, b.trace, 1e-11);
    let seeded = || vb(MultinomialStart::Seeds).fit(&documents, 3).unwrap();
    let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(seeded);
    assert_eq!(on(1), on(8));
    // plain maximum likelihood gives a word that no document has probability 0, and says so when one comes
    let em = MultinomialMixtureEm { components: 1, prior_count: 0.0, ..Default::default() };
    let narrow = Documents::from_rows(3, [vec![(0, 2.0)], vec![(0, 1.0), (1, 1.0)]]).unwrap();
    let model = em.fit(&narrow, 0).unwrap().model;
    close("ML", model.words().iter().copied(), [0.75, 0.25, 0.0], 1e-15);
    let unseen = Documents::from_rows(3, [vec![(2, 1.0)]]).unwrap();
    assert_eq!(model.log_evidence(&unseen).unwrap()[0], f64::NEG_INFINITY);
    assert!(model.infer(&unseen).is_err());
}
