//! One iteration of EM for each covariance type.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lvm_bench::data::{Layout, start, table};
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GmmEm, Start};

/// Five iterations from a fixed start; the sweep before the first iteration is a sixth.
fn iterations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gmm_em_5_iterations");
    group.sample_size(10);
    for (n, d, k) in [(20_000, 2, 8), (20_000, 16, 16), (10_000, 64, 10)] {
        let x = table(Layout::Cloud, n, d, k);
        for covariance in [CovarianceType::Full, CovarianceType::Tied, CovarianceType::Diagonal, CovarianceType::Spherical] {
            let em = GmmEm {
                components: k,
                covariance,
                start: Start::Parameters(start(&x, k, covariance)),
                stopping: Stopping { max_iterations: 5, tolerance: 0.0 },
                ..Default::default()
            };
            group.throughput(Throughput::Elements(n as u64));
            let id = BenchmarkId::new(covariance.to_string(), format!("n{n}_d{d}_k{k}"));
            // invariant: the start fits the table
            group.bench_function(id, |b| b.iter(|| em.fit(&x, 0).expect("fit")));
        }
    }
    group.finish();
}

criterion_group!(benches, iterations);
criterion_main!(benches);
