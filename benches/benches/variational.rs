//! Families, estimators of the gradient, steps of a stochastic fit, and the exact optimum by fixed-point iteration.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvm_bench::data::{bernoulli_log_joint, regression_table};
use lvm_core::random::{Purpose, stream};
use lvm_vi::deterministic::{FixedPoint, Shape};
use lvm_vi::estimator::{Gradient, Memory};
use lvm_vi::expectation::{Affine, GaussianTarget, LogJoint};
use lvm_vi::family::{Family, FullRank, LowRank, MeanField, Variational};
use lvm_vi::fit::Vi;
use lvm_vi::models::LogisticRegression;
use lvm_vi::optimizer::{Geometry, Optimizer};
use lvm_vi::target::{FullData, LogDensityGrad};
use ndarray::{Array1, Array2};
use std::hint::black_box;

const D: usize = 50;

fn transforms(c: &mut Criterion) {
    fn one<F: Family>(c: &mut Criterion, name: &str, q: &F) {
        let noise: Vec<f64> = (0..q.noise_dim()).map(|i| (i as f64).sin()).collect();
        let (mut z, mut gradient) = (vec![0.0; q.dim()], vec![0.0; q.parameters().len()]);
        let mut group = c.benchmark_group("family_d50");
        group.bench_function(BenchmarkId::new("transform", name), |b| b.iter(|| q.transform(black_box(&noise), &mut z)));
        group.bench_function(BenchmarkId::new("pullback", name), |b| b.iter(|| q.add_pullback(&noise, black_box(&z), &mut gradient)));
        group.bench_function(BenchmarkId::new("log_prob", name), |b| b.iter(|| q.log_prob(black_box(&z))));
        group.finish();
    }
    one(c, "mean_field", &MeanField::standard(D).expect("a family"));
    one(c, "full_rank", &FullRank::standard(D).expect("a family"));
    let factor = Array2::from_elem((D, 5), 0.1);
    one(c, "low_rank_5", &LowRank::new(&[0.0; D], &[1.0; D], factor.view()).expect("a family"));
}

fn gaussian() -> GaussianTarget {
    let precision = Array2::from_shape_fn((10, 10), |(i, j)| if i == j { 2.0 } else { 0.1 });
    GaussianTarget::from_precision(Array1::zeros(10), precision).expect("a target")
}

fn estimators(c: &mut Criterion) {
    let (p, q) = (gaussian(), FullRank::standard(10).expect("a family"));
    let mut gradient = vec![0.0; q.parameters().len()];
    let mut group = c.benchmark_group("estimate_gaussian_d10_10_draws");
    for (name, estimator) in [
        ("quadratic_control", Gradient::QuadraticControl),
        ("closed_entropy", Gradient::PathwiseClosedEntropy),
        ("pathwise", Gradient::Pathwise),
        ("sticking_the_landing", Gradient::StickingTheLanding),
        ("score_function", Gradient::ScoreFunction { control: Default::default() }),
        ("importance_8", Gradient::Importance { particles: 8 }),
    ] {
        let (mut memory, mut rng) = (Memory::default(), stream(1, Purpose::Noise, 0));
        group.bench_function(name, |b| b.iter(|| estimator.estimate(&q, &p, 10, &mut memory, &mut rng, &mut gradient)));
    }
    group.finish();
}

fn steps(c: &mut Criterion) {
    fn one<F: Geometry, T: LogDensityGrad>(c: &mut Criterion, name: &str, start: F, draws: usize, optimizer: Optimizer, p: &T) {
        let vi = Vi { draws, optimizer, ..Vi::new(start) };
        let mut state = vi.init(p, 1).expect("a state");
        c.benchmark_group("step").bench_function(name, |b| b.iter(|| vi.step(&mut state, p)));
    }
    let p = gaussian();
    one(c, "gaussian_d10_mean_field", MeanField::standard(10).expect("a family"), 1, Optimizer::adam(0.01), &p);
    let (x, y) = regression_table(10_000, D);
    let model = LogisticRegression::new(&x, y.view(), 1.0).expect("a model");
    let p = FullData::new(&model);
    let mut gradient = [0.0; D];
    c.bench_function("logistic_10000x50_gradient", |b| b.iter(|| p.log_density_grad(black_box(&[0.1; D]), &mut gradient)));
    for (name, optimizer) in [("adam", Optimizer::adam(0.01)), ("natural", Optimizer::natural_gradient())] {
        one(c, &format!("logistic_10000x50_mean_field_{name}"), MeanField::standard(D).expect("a family"), 1, optimizer, &p);
        one(c, &format!("logistic_10000x50_full_rank_{name}"), FullRank::standard(D).expect("a family"), 1, optimizer, &p);
    }
    one(c, "logistic_10000x50_mean_field_10_draws", MeanField::standard(D).expect("a family"), 10, Optimizer::adam(0.01), &p);
}

fn fixed_points(c: &mut Criterion) {
    // child's score on mother's: y ~ N(β₀ + β₁ x₁ + β₂ x₂ + β₃ x₁ x₂, σ), σ half-Cauchy
    let mut p = LogJoint::new(5).expect("a target");
    for n in 0..434 {
        let (a, b) = (f64::from(n % 2), (n as f64 * 0.7).sin());
        let row = [1.0, a, b, a * b];
        let y = 0.3 + a - 0.5 * b + (n as f64 * 1.3).cos();
        p.normal(Affine::predictor(0, &row) - y, Affine::variable(4)).expect("a term");
    }
    p.half_cauchy(Affine::variable(4), 2.5).expect("a term");
    let (x, y) = regression_table(10_000, D);
    let logistic = bernoulli_log_joint(&x, &y, 1.0).expect("a target");
    let mut group = c.benchmark_group("fixed_point");
    group.sample_size(10);
    for (name, shape) in [("diagonal", Shape::Diagonal), ("full", Shape::Full)] {
        let fixed_point = FixedPoint { shape, ..FixedPoint::default() };
        group.bench_function(BenchmarkId::new("regression_434x4", name), |b| b.iter(|| fixed_point.fit(&p)));
        group.bench_function(BenchmarkId::new("logistic_10000x50", name), |b| b.iter(|| fixed_point.fit(&logistic)));
    }
    group.finish();
}

criterion_group!(benches, transforms, estimators, steps, fixed_points);
criterion_main!(benches);
