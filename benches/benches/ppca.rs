//! Probabilistic PCA: closed form by each route, EM on complete and on partly missing rows, evidence.

use criterion::{Criterion, criterion_group, criterion_main};
use lvm_core::fit::Stopping;
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl, Solver};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::Rows;
use ndarray::{Array1, Array2};

/// Rows of a model whose q variances fall off slowly, as those of images do.
fn table(n: usize, d: usize, q: usize) -> Array2<f64> {
    let loadings = Array2::from_shape_fn((d, q), |(i, j)| ((i * (j + 1)) as f64 * 0.37).sin() * 0.97_f64.powi(j as i32));
    let model = Ppca::new(Array1::from_elem(d, 0.3), loadings, 0.1).expect("a model");
    let mut rng = stream(1, Purpose::Sample, 0);
    let z = model.sample_z(n, &mut rng);
    model.sample_x(&z, &mut rng).expect("a table")
}

fn fits(c: &mut Criterion) {
    let x = table(60_000, 784, 60);
    let mut group = c.benchmark_group("ppca");
    group.sample_size(10);
    let solvers = [("covariance", Solver::Covariance), ("randomized", Solver::Randomized { oversampling: 10, power_iterations: 2 })];
    for (name, solver) in solvers {
        let ml = PpcaMl { components: 50, solver };
        group.bench_function(format!("{name}_60000x784_q50"), |b| b.iter(|| ml.fit(&x, 0)));
    }
    let model = PpcaMl { components: 50, ..Default::default() }.fit(&x, 0).expect("a fit").model;
    group.bench_function("evidence_60000x784_q50", |b| b.iter(|| model.log_evidence(&x)));
    let wide = table(500, 5_000, 20);
    let gram = PpcaMl { components: 20, solver: Solver::Gram };
    group.bench_function("gram_500x5000_q20", |b| b.iter(|| gram.fit(&wide, 0)));
    group.finish();
}

fn iterations(c: &mut Criterion) {
    let x = table(20_000, 64, 12);
    let mut holes = x.clone();
    holes.indexed_iter_mut().for_each(|((i, j), v)| {
        if (i * 31 + j * 17) % 10 == 0 {
            *v = f64::NAN;
        }
    });
    let em = PpcaEm { components: 10, stopping: Stopping { max_iterations: 10, tolerance: 0.0 }, ..Default::default() };
    let mut group = c.benchmark_group("ppca_em_10_iterations");
    group.sample_size(10);
    group.bench_function("complete_20000x64_q10", |b| b.iter(|| em.fit(&x, 0)));
    group.bench_function("missing_20000x64_q10", |b| b.iter(|| em.fit(&Rows::new(&holes).missing_as_nan(), 0)));
    group.finish();
}

criterion_group!(benches, fits, iterations);
criterion_main!(benches);
