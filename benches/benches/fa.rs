//! Maximum-likelihood factor analysis: from rows, and of a covariance matrix alone.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvm_core::fa::{FaMl, FactorAnalysis};
use lvm_core::model::LatentModel;
use lvm_core::moments::moments;
use lvm_core::random::{Purpose, stream};
use ndarray::{Array1, Array2};
use rand::RngExt;

/// Rows of a known factor model.
fn table(n: usize, d: usize, q: usize) -> Array2<f64> {
    let mut rng = stream(4, Purpose::Sample, (n * d + q) as u64);
    let w = Array2::from_shape_simple_fn((d, q), || rng.random_range(-1.0..1.0));
    let psi = Array1::from_shape_simple_fn(d, || rng.random_range(0.1..2.0));
    // invariant: shapes fit and noise is positive
    let model = FactorAnalysis::new(Array1::zeros(d), w, psi).expect("model");
    let z = model.sample_z(n, &mut rng);
    model.sample_x(&z, &mut rng).expect("rows")
}

fn fits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fa_ml");
    group.sample_size(10);
    for (n, d, q) in [(300, 25, 5), (2_000, 100, 8), (10_000, 400, 10)] {
        let x = table(n, d, q);
        // invariant: the table is finite
        let covariance = moments(&x).expect("moments").covariance;
        let ml = FaMl { factors: q, restarts: 1, ..Default::default() };
        let size = format!("n{n}_d{d}_q{q}");
        group.bench_function(BenchmarkId::new("rows", &size), |b| b.iter(|| ml.fit(&x, 0).expect("fit")));
        group.bench_function(BenchmarkId::new("covariance", &size), |b| {
            b.iter(|| ml.fit_covariance(covariance.view(), n as f64, 0).expect("fit"));
        });
    }
    group.finish();
}

criterion_group!(benches, fits);
criterion_main!(benches);
