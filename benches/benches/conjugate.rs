//! Coordinate ascent and natural gradients: Bayesian Gaussian mixture by iteration, LDA by pass, mean field of local latents.

use criterion::{Criterion, criterion_group, criterion_main};
use lvm_bench::data::{Layout, documents, low_rank, table};
use lvm_core::fit::{Algorithm, Stopping};
use lvm_core::ppca::PpcaMl;
use lvm_vi::cavi::lda::{Lda, OnlineLda};
use lvm_vi::cavi::mixture::{BayesianMixture, MixtureStart, WeightPrior};
use lvm_vi::local::{CoordinateAscent, mean_field};

fn mixture(c: &mut Criterion) {
    let x = table(Layout::Clusters, 20_000, 16, 10);
    let mut group = c.benchmark_group("bayesian_mixture_iteration");
    group.sample_size(10);
    for (name, weights) in [
        ("dirichlet_20000x16_k10", WeightPrior::Dirichlet { concentration: 1.0 }),
        ("dirichlet_process_20000x16_k10", WeightPrior::DirichletProcess { concentration: 1.0 }),
    ] {
        let vb = BayesianMixture { components: 10, weights, start: MixtureStart::RandomRows, ..Default::default() };
        let mut state = Algorithm::init(&vb, &x as &dyn lvm_core::rows::RowSource, 1).expect("a start");
        group.bench_function(name, |b| b.iter(|| Algorithm::step(&vb, &mut state, &x as &dyn lvm_core::rows::RowSource)));
    }
    group.finish();
}

fn lda(c: &mut Criterion) {
    let documents = documents(2_000, 2_000, 20, 80);
    let online = OnlineLda::new(Lda { topics: 20, ..Default::default() });
    let mut group = c.benchmark_group("lda_pass");
    group.sample_size(10);
    group.bench_function("online_2000_documents_2000_words_20_topics", |b| {
        b.iter(|| {
            let mut state = Algorithm::init(&online, &documents, 1).expect("a start");
            online.advance(&mut state, &documents, documents.len().div_ceil(online.batch) as u64)
        })
    });
    group.finish();
}

fn local(c: &mut Criterion) {
    let x = low_rank(1_797, 64, 12);
    let model = PpcaMl { components: 10, ..Default::default() }.fit(&x, 0).expect("a fit").model;
    let model = model.linear_gaussian();
    let mut group = c.benchmark_group("local_mean_field_1797x64_q10");
    group.bench_function("closed_form", |b| b.iter(|| mean_field(model, &x)));
    let ascent = CoordinateAscent { stopping: Stopping { tolerance: 1e-4, ..CoordinateAscent::default().stopping } };
    group.bench_function("coordinate_ascent", |b| b.iter(|| ascent.fit(model, &x)));
    group.finish();
}

criterion_group!(benches, mixture, lda, local);
criterion_main!(benches);
