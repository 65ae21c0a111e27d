//! The supplied regressions: gradients, minibatches, weights, and the exact posterior where there is one.

use crate::targets::LOG_2PI;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_vi::bound::{elbo, evidence};
use lvm_vi::check;
use lvm_vi::family::Family;
use lvm_vi::models::{LinearRegression, LogisticRegression, PoissonRegression};
use lvm_vi::target::{Batch, DataLogDensity, FullData, LogDensity, LogDensityGrad};
use ndarray::{Array1, Array2, array};
use rand_distr::{Distribution, StandardNormal};

/// Covariates (n, d), about N(0, 1/d).
fn covariates(n: usize, d: usize) -> Array2<f64> {
    let mut rng = stream(3, Purpose::Sample, 0);
    Array2::from_shape_fn((n, d), |_| {
        let e: f64 = StandardNormal.sample(&mut rng);
        e / (d as f64).sqrt()
    })
}

/// 1300 rows: two whole blocks and a part of one. Every third outcome is 1.
fn models(x: &dyn RowSource) -> Vec<Box<dyn DataLogDensity>> {
    let n = x.n_rows();
    let y = |f: fn(usize) -> f64| (0..n).map(f).collect::<Array1<f64>>();
    vec![
        Box::new(LogisticRegression::new(x, y(|i| f64::from(u8::from(i % 3 == 0))).view(), 1.5).unwrap()),
        Box::new(PoissonRegression::new(x, y(|i| (i % 5) as f64).view(), 1.5).unwrap()),
        Box::new(LinearRegression::new(x, y(|i| (i as f64).sin()).view(), 1.5, 0.7).unwrap()),
    ]
}

const Z: [f64; 3] = [0.8, -1.3, 0.4];

fn all(model: &dyn DataLogDensity) -> (f64, Vec<f64>) {
    let mut g = vec![f64::NAN; model.dim()];
    (model.log_likelihood_grad_all(&Z, &mut g).unwrap(), g)
}

fn some(model: &dyn DataLogDensity, rows: &[usize]) -> (f64, Vec<f64>) {
    let mut g = vec![f64::NAN; model.dim()];
    (model.log_likelihood_grad(rows, &Z, &mut g).unwrap(), g)
}

/// Sums of 1300 terms of order 1: 1e-16 times a few thousand, relative to the sum of their sizes.
fn close(a: &(f64, Vec<f64>), b: &(f64, Vec<f64>)) {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-11 * b.abs().max(100.0);
    assert!(near(a.0, b.0) && a.1.iter().zip(&b.1).all(|(a, b)| near(*a, *b)), "{a:?} {b:?}");
}

#[test]
fn gradients_are_right() {
    let x = covariates(1300, 3);
    let y = Array1::from_shape_fn(1300, |i| f64::from(u8::from(i % 3 == 0)));
    let points = [Z.to_vec(), vec![0.0, 0.1, -2.0]];
    let logistic = LogisticRegression::new(&x, y.view(), 1.5).unwrap();
    let poisson = PoissonRegression::new(&x, y.view(), 1.5).unwrap();
    let linear = LinearRegression::new(&x, y.view(), 1.5, 0.7).unwrap();
    for report in [
        check::gradient(&FullData::new(&logistic), &points),
        check::gradient(&FullData::new(&poisson), &points),
        check::gradient(&FullData::new(&linear), &points),
    ] {
        let report = report.unwrap();
        assert!(report.is_right(), "{report}");
    }
}

#[test]
fn values_meet_the_definition() {
    let (x, z) = (array![[1.0, 2.0], [-0.5, 1.0], [40.0, 30.0]], [0.3, -0.7]);
    let eta = [-1.1, -0.85, -9.0];
    let y = array![1.0, 0.0, 1.0];
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let mut g = [0.0; 2];
    let logistic = LogisticRegression::new(&x, y.view(), 2.0).unwrap();
    let exact = sigmoid(eta[0]).ln() + (1.0 - sigmoid(eta[1])).ln() + sigmoid(eta[2]).ln();
    // three terms of order 10
    assert!((logistic.log_likelihood_grad_all(&z, &mut g).unwrap() - exact).abs() < 1e-13);
    let poisson = PoissonRegression::new(&x, array![2.0, 0.0, 3.0].view(), 2.0).unwrap();
    let exact = 2.0 * eta[0] - 2f64.ln() + 3.0 * eta[2] - 6f64.ln() - eta.iter().map(|e: &f64| e.exp()).sum::<f64>();
    assert!((poisson.log_likelihood_grad_all(&z, &mut g).unwrap() - exact).abs() < 1e-13);
    let linear = LinearRegression::new(&x, y.view(), 2.0, 0.5).unwrap();
    let exact = y.iter().zip(&eta).map(|(y, e)| -0.5 * ((y - e) / 0.5).powi(2) - 0.5f64.ln() - 0.5 * LOG_2PI).sum::<f64>();
    assert!((linear.log_likelihood_grad_all(&z, &mut g).unwrap() - exact).abs() < 1e-12);
    let prior = linear.log_prior_grad(&z, &mut g).unwrap();
    assert!((prior + 0.5 * (0.58 / 4.0 + 2.0 * LOG_2PI) + 2.0 * 2f64.ln()).abs() < 1e-14 && (g[1] - 0.175).abs() < 1e-15);
}

#[test]
fn rows_add_up_whatever_the_batches() {
    for model in models(&covariates(1300, 3)) {
        let whole = all(&*model);
        for batch in [1, 7, 512, 1299, 1300] {
            let rows: Vec<usize> = (0..1300).map(|i| (i * 7) % 1300).collect();
            let parts = rows.chunks(batch).map(|r| some(&*model, r));
            let sum = parts.fold((0.0, vec![0.0; 3]), |(v, g), (pv, pg)| (v + pv, g.iter().zip(&pg).map(|(a, b)| a + b).collect()));
            close(&sum, &whole);
        }
    }
}

#[test]
fn a_weight_is_a_number_of_rows() {
    let x = covariates(600, 3);
    let weights = Array1::from_shape_fn(600, |i| (i % 4) as f64);
    let repeated: Vec<usize> = (0..600).flat_map(|i| std::iter::repeat_n(i, i % 4)).collect();
    let long = x.select(ndarray::Axis(0), &repeated);
    let response = |i: usize| f64::from(u8::from(i.is_multiple_of(3)));
    let y = Array1::from_shape_fn(600, response);
    let long_y: Array1<f64> = repeated.iter().map(|&i| response(i)).collect();
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    let pairs: [(Box<dyn DataLogDensity>, Box<dyn DataLogDensity>); 3] = [
        (
            Box::new(LogisticRegression::new(&rows, y.view(), 1.0).unwrap()),
            Box::new(LogisticRegression::new(&long, long_y.view(), 1.0).unwrap()),
        ),
        (
            Box::new(PoissonRegression::new(&rows, y.view(), 1.0).unwrap()),
            Box::new(PoissonRegression::new(&long, long_y.view(), 1.0).unwrap()),
        ),
        (
            Box::new(LinearRegression::new(&rows, y.view(), 1.0, 0.5).unwrap()),
            Box::new(LinearRegression::new(&long, long_y.view(), 1.0, 0.5).unwrap()),
        ),
    ];
    for (weighted, long) in &pairs {
        assert_eq!((weighted.n_data(), long.n_data()), (450, 900));
        close(&all(&**weighted), &all(&**long));
    }
    let (a, b) =
        (LinearRegression::new(&rows, y.view(), 1.0, 0.5).unwrap(), LinearRegression::new(&long, long_y.view(), 1.0, 0.5).unwrap());
    // 900 rows with condition near 1
    assert!((a.posterior().unwrap().mean() - b.posterior().unwrap().mean()).iter().all(|e| e.abs() < 1e-12));
    assert!((a.log_evidence().unwrap() - b.log_evidence().unwrap()).abs() < 1e-10);
}

#[test]
fn a_table_in_single_precision_gives_the_same_answer_bit_for_bit() {
    for (n, d) in [(7, 1), (700, 5), (20_000, 4)] {
        let single = covariates(n, d).mapv(|v| v as f32);
        let double = single.mapv(f64::from);
        let y = Array1::from_shape_fn(n, |i| f64::from(u8::from(i % 3 == 0)));
        let z: Vec<f64> = (0..d).map(|j| 0.3 - 0.2 * j as f64).collect();
        let of = |x: &dyn RowSource| {
            let model = LogisticRegression::new(x, y.view(), 1.0).unwrap();
            let (mut all, mut some) = (vec![0.0; d], vec![0.0; d]);
            let rows: Vec<usize> = (0..n).step_by(3).collect();
            let values = (model.log_likelihood_grad_all(&z, &mut all).unwrap(), model.log_likelihood_grad(&rows, &z, &mut some).unwrap());
            (values, all, some)
        };
        assert_eq!(of(&single), of(&double));
        // and what is kept in double precision differs by the rounding of sums in another order only
        let mut kept = double.clone();
        kept[[0, 0]] *= 1.0 + f64::EPSILON;
        let ((a, _), g, _) = of(&single);
        let ((b, _), h, _) = of(&kept);
        // 20000 rounded terms below 3
        assert!((a - b).abs() < 1e-9 && g.iter().zip(&h).all(|(g, h)| (g - h).abs() < 1e-9), "{a} {b}");
    }
}

#[test]
fn single_precision_is_as_close_as_its_roundings() {
    const EPSILON: f64 = f32::EPSILON as f64;
    for (n, d) in [(1, 1), (7, 1), (63, 2), (64, 3), (65, 2), (511, 3), (512, 3), (513, 3), (700, 5), (20_000, 4), (2000, 50)] {
        let x = covariates(n, d).mapv(|v| v as f32);
        let y = Array1::from_shape_fn(n, |i| f64::from(u8::from(i % 3 == 0)));
        let weights = Array1::from_shape_fn(n, |i| (i % 3) as f64 * 0.7 + f64::from(u8::from(i == 0)));
        // η about 0, of order 1, up to a hundred and beyond what e^η can be in f32 and in f64
        for (scale, weighted) in [0.0, 1e-3, 1.0, 20.0, 100.0, 1e4].into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let z: Vec<f64> = (0..d).map(|j| scale * (0.3 + j as f64).cos()).collect();
            let rows = Rows::new(&x);
            let rows = if weighted { rows.weighted(weights.view()).unwrap() } else { rows };
            let model = LogisticRegression::new(&rows, y.view(), 1.0).unwrap();
            let (mut single, mut double) = (vec![0.0; d], vec![0.0; d]);
            let exact = model.log_likelihood_grad_all(&z, &mut double).unwrap();
            let value = model.in_single_precision().unwrap().log_likelihood_grad_all(&z, &mut single).unwrap();
            // z is rounded, then d products are added: |δη| ≤ (d + 1) ε/2 Σ |x z|; both log p and its derivative r move by at most
            // |r| (e^|δη| − 1), to which come 4 ulp of each, the limits 3e-16 and 2e-38, and 32 roundings of a sum in f32
            let (mut bound, mut bounds) = (0.0, vec![0.0; d]);
            for (i, row) in x.outer_iter().enumerate() {
                let weight = if weighted { weights[i] } else { 1.0 };
                let products = row.iter().zip(&z).map(|(x, z)| f64::from(*x) * z);
                let eta: f64 = products.clone().sum::<f64>() * (2.0 * y[i] - 1.0);
                let moved = (0.5 * (d as f64 + 1.0) * EPSILON * products.map(f64::abs).sum::<f64>()).exp_m1();
                let (e, r) = ((-eta.abs()).exp(), 1.0 / (1.0 + eta.exp()));
                let loss = (-eta).max(0.0) + e.ln_1p();
                bound += weight * (r * moved + 4.0 * EPSILON * loss + 3e-16);
                let slope = r * (moved + 21.0 * EPSILON) + 2e-38;
                bounds.iter_mut().zip(row).for_each(|(b, x)| *b += weight * f64::from(x.abs()) * slope);
            }
            assert!((value - exact).abs() <= bound + 1e-14 * exact.abs(), "{n} {d} {scale} {weighted}: {value} {exact} {bound}");
            // a small product may be subnormal: within 1e-45
            let near = |j: usize| (single[j] - double[j]).abs() <= bounds[j] + 1e-44 * n as f64;
            assert!((0..d).all(near), "{n} {d} {scale} {weighted}: {single:?} {double:?} {bounds:?}");
            // and no closer than single precision is, or it was not used
            assert!(scale != 1.0 || n < 700 || value != exact);
        }
    }
}

#[test]
fn what_overflows_single_precision_is_computed_in_double() {
    let (x, y) = (array![[1e30_f32, -1e30], [2.0, 1.0], [-1.0, 0.5]], array![1.0, 0.0, 1.0]);
    let double = LogisticRegression::new(&x, y.view(), 1.0).unwrap();
    let model = double.clone().in_single_precision().unwrap();
    for z in [[-1e20, 1e20], [1e60, 0.0], [1e20, 1e20], [0.0, -1e-20]] {
        let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
        let (value, exact) = (model.log_likelihood_grad_all(&z, &mut a).unwrap(), double.log_likelihood_grad_all(&z, &mut b).unwrap());
        assert!(value.is_finite() && (value - exact).abs() <= 1e-6 * exact.abs(), "{z:?}: {value} {exact}");
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()), "{z:?}: {a:?} {b:?}");
    }
}

#[test]
fn what_single_precision_cannot_hold_is_refused() {
    let y = array![1.0, 0.0];
    let of = |rows: Rows<'_>| LogisticRegression::new(&rows, y.view(), 1.0).unwrap().in_single_precision().unwrap_err().to_string();
    assert!(of(Rows::new(&array![[0.1], [1.0]])).contains("a table of f32"));
    assert!(of(Rows::new(&array![[1e-35_f32], [1.0]])).contains("scale the column"));
    let (x, weights) = (array![[2.0], [1.0]], array![1.0, 1e-40]);
    assert!(of(Rows::new(&x).weighted(weights.view()).unwrap()).contains("number 1"));
}

#[test]
fn threads_change_nothing() {
    // 20000 rows of 4 columns: above the size from which blocks run on several threads
    let x = covariates(20_000, 4);
    let y = Array1::from_shape_fn(20_000, |i| f64::from(u8::from(i % 3 == 0)));
    let single = x.mapv(|v| v as f32);
    let double = LogisticRegression::new(&x, y.view(), 1.0).unwrap();
    let single = LogisticRegression::new(&single, y.view(), 1.0).unwrap().in_single_precision().unwrap();
    for model in [double, single] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut g = vec![0.0; 4];
            (pool.install(|| FullData::new(&model).log_density_grad(&[0.1, 0.2, -0.3, 0.4], &mut g).unwrap()), g)
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn the_exact_posterior_makes_the_bound_the_evidence() {
    let x = covariates(60, 3);
    let y = Array1::from_shape_fn(60, |i| x[[i, 0]] - 2.0 * x[[i, 2]] + (i as f64).sin());
    let model = LinearRegression::new(&x, y.view(), 1.5, 0.7).unwrap();
    let (posterior, exact) = (model.posterior().unwrap(), model.log_evidence().unwrap());
    let target = FullData::new(&model);
    let bound = elbo(&posterior, &target, 100, 1).unwrap();
    // log p(z, y) − log p(z | y) is the same at every draw, to the rounding of 60 terms of order 1
    assert!((bound.mean - exact).abs() < 1e-11 && bound.std_err < 1e-12, "{bound:?} {exact}");
    assert!((evidence(&posterior, &target, 10, 2).unwrap().mean - exact).abs() < 1e-11);
    // ybar of one datum: p(y) = N(10; 0, 1 + ¼)
    let one = LinearRegression::new(&array![[1.0]], array![10.0].view(), 1.0, 0.5).unwrap();
    assert!((one.log_evidence().unwrap() + 0.5 * (LOG_2PI + 1.25f64.ln() + 80.0)).abs() < 1e-12);
}

#[test]
fn an_overflowing_rate_is_no_density_and_no_crash() {
    let model = PoissonRegression::new(&array![[1.0]], array![1.0].view(), 1e3).unwrap();
    assert_eq!(FullData::new(&model).log_density(&[800.0]).unwrap(), f64::NEG_INFINITY);
}

#[test]
fn bad_tables_are_refused() {
    let x = covariates(4, 2);
    let refuse = |r: lvm_core::Result<LogisticRegression>| r.unwrap_err().to_string();
    let y = array![1.0, 0.0, 2.0, 0.0];
    assert!(refuse(LogisticRegression::new(&x, y.view(), 1.0)).contains("response 2 (from 0) is 2"));
    assert!(refuse(LogisticRegression::new(&x, array![1.0].view(), 1.0)).contains("expected 4, found 1"));
    assert!(refuse(LogisticRegression::new(&x, Array1::zeros(4).view(), 0.0)).contains("prior_sd"));
    let mut nan = x.clone();
    nan[[2, 1]] = f64::NAN;
    assert!(refuse(LogisticRegression::new(&nan, Array1::zeros(4).view(), 1.0)).contains("NaN in row 2, column 1"));
    let missing = Rows::new(&nan).missing_as_nan();
    assert!(refuse(LogisticRegression::new(&missing, Array1::zeros(4).view(), 1.0)).contains("missing cells"));
    let none = Array1::zeros(4);
    assert!(
        Rows::new(&x).weighted(none.view()).is_err()
            || LogisticRegression::new(&Rows::new(&x).weighted(none.view()).unwrap(), none.view(), 1.0).is_err()
    );
    assert!(PoissonRegression::new(&x, array![0.5, 0.0, 1.0, 2.0].view(), 1.0).is_err());
    assert!(LinearRegression::new(&x, array![f64::NAN, 0.0, 1.0, 2.0].view(), 1.0, 1.0).is_err());
    let model = LogisticRegression::new(&x, none.view(), 1.0).unwrap();
    assert!(Batch::new(&model, &[]).is_err() && Batch::new(&model, &[4]).is_err());
    // all-equal data: the answer is the prior's pull against four zeros, and finite
    let equal = LogisticRegression::new(&Array2::<f64>::ones((4, 2)), none.view(), 1.0).unwrap();
    assert!(check::gradient(&FullData::new(&equal), &[vec![0.3, -1.0]]).unwrap().is_right());
}
