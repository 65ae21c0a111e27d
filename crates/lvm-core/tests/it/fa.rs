//! Factor analysis: what every method agrees on, its limits, and what it must refuse.

mod golden;
mod missing;
mod rotation;

use lvm_core::ErrorKind;
use lvm_core::fa::{FaMl, FaSelect, FactorAnalysis, LikelihoodRatio, Method, Normalization, Rotation, Start};
use lvm_core::fit::{Fitted, RepairKind, Status, Stopping};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::moments::moments;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::Rows;
use lvm_core::selection::Criterion;
use ndarray::{Array1, Array2, Axis, array};
use rand::RngExt;
use serde_json::Value;

struct Case {
    x: Array2<f64>,
    factors: usize,
    file: Value,
}

fn vector(v: &Value) -> Array1<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = v.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn case(name: &str) -> Case {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let factors = file["model"]["factors"].as_u64().unwrap() as usize;
    Case { x: matrix(&file["data"]["rows"]), factors, file }
}

fn cases() -> Vec<Case> {
    ["fa_bfi_5", "fa_mtcars_2", "fa_statex77_1"].iter().map(|n| case(n)).collect()
}

/// Columns with mean 0 and 1/N variance 1.
fn standardised(x: &Array2<f64>) -> Array2<f64> {
    let m = moments(x).unwrap();
    (x - &m.mean) / m.covariance.diag().mapv(f64::sqrt)
}

fn assert_close(what: &str, a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>, tolerance: f64) {
    for (i, (a, b)) in a.into_iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what} {i}: {a} against {b}, difference {:e}", a - b);
    }
}

fn fit(factors: usize, x: &Array2<f64>) -> Fitted<FactorAnalysis> {
    FaMl { factors, ..Default::default() }.fit(x, 7).unwrap()
}

#[test]
fn all_methods_agree() {
    for Case { x, factors, .. } in cases() {
        let newton = fit(factors, &x);
        for method in [Method::Em, Method::Ecme] {
            let stopping = Stopping { max_iterations: 20_000, tolerance: 1e-15 };
            let fitted = FaMl { factors, method, stopping, restarts: 1, ..Default::default() }.fit(&x, 3).unwrap();
            assert_eq!(fitted.status, Status::Converged, "{method:?}");
            // a change of 1e-15 at the rate of 0.99 leaves 1e-13 a row; the gradient rule 1e-9²
            assert_close("objective", [fitted.objective()], [newton.objective()], 1e-12 * newton.objective().abs());
            assert_close("uniqueness", fitted.model.uniquenesses(), newton.model.uniquenesses(), 1e-6);
            // the same frame, order and signs
            let scale = moments(&x).unwrap().covariance.diag().mapv(f64::sqrt).insert_axis(Axis(1));
            assert_close("loadings", fitted.model.loadings() / &scale, (newton.model.loadings() / &scale).to_owned(), 1e-5);
            // 4 N D eps |value| is the rounding of a likelihood
            assert!(fitted.trace.windows(2).all(|w| w[1] >= w[0] - 1e-13 * w[0].abs()), "{method:?} is monotone");
        }
        assert!(newton.iterations() < 20);
    }
}

#[test]
fn rows_and_their_covariance_give_the_same_fit() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let from_rows = fit(factors, &x);
    let m = moments(&x).unwrap();
    let sd = m.covariance.diag().mapv(f64::sqrt);
    let correlation = &m.covariance / &sd / &sd.clone().insert_axis(Axis(1));
    let ml = FaMl { factors, ..Default::default() };
    let from_covariance = ml.fit_covariance(m.covariance.view(), m.weight, 0).unwrap();
    assert_close("objective", [from_covariance.objective()], [from_rows.objective()], 1e-12);
    let from_correlation = ml.fit_covariance(correlation.view(), m.weight, 0).unwrap();
    assert_close("uniqueness", from_correlation.model.uniquenesses(), from_rows.model.uniquenesses(), 1e-8);
    // the likelihood is scale-equivariant: log p differs by Σ log s_j
    assert_close("scale", [from_correlation.objective() - sd.mapv(f64::ln).sum()], [from_rows.objective()], 1e-11);
    // units of 1e8 and 1e-8 beside each other change nothing
    let units = Array1::from_shape_fn(25, |j| [1e8, 1.0, 1e-8][j % 3]);
    let rescaled = fit(factors, &(&x * &units));
    assert_close("units", rescaled.model.uniquenesses(), from_rows.model.uniquenesses(), 1e-8);
    // f32 rows of integers are the same rows, bit for bit
    let single = ml.fit(&x.mapv(|v| v as f32), 7).unwrap();
    assert_eq!(single, from_rows);
}

#[test]
fn weights_are_repetitions_and_threads_do_not_matter() {
    let Case { x, factors, .. } = case("fa_mtcars_2");
    let weights = Array1::from_shape_fn(x.nrows(), |i| (i % 4) as f64);
    let repeated: Vec<usize> = (0..x.nrows()).flat_map(|i| std::iter::repeat_n(i, i % 4)).collect();
    let ml = FaMl { factors, ..Default::default() };
    let weighted = ml.fit(&Rows::new(&x).weighted(weights.view()).unwrap(), 1).unwrap();
    let plain = ml.fit(&x.select(Axis(0), &repeated), 1).unwrap();
    assert_close("objective", [weighted.objective()], [plain.objective()], 1e-11);
    assert_close("uniqueness", weighted.model.uniquenesses(), plain.model.uniquenesses(), 1e-8);
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| ml.fit(&x, 1).unwrap());
    assert_eq!(on(1), on(8));
}

#[test]
fn a_resumed_fit_is_the_same_fit() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    for method in [Method::QuasiNewton, Method::Em, Method::Ecme] {
        let steps = |n, start| {
            let stopping = Stopping { max_iterations: n, tolerance: 0.0 };
            FaMl { factors, method, start, restarts: 1, stopping, ..Default::default() }.fit(&x, 1).unwrap()
        };
        let whole = steps(6, Start::default());
        let first = steps(2, Start::default());
        let second = steps(4, Start::Parameters(first.model));
        assert_eq!(whole.trace[2..], second.trace[..], "{method:?}");
        assert_eq!(whole.model, second.model, "{method:?}");
    }
}

#[test]
fn restarts_begin_elsewhere() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
    let fitted = FaMl { factors, restarts: 4, stopping, ..Default::default() }.fit(&x, 1).unwrap();
    assert_eq!(fitted.restarts.len(), 4);
    for a in 0..4 {
        for b in 0..a {
            assert_ne!(fitted.restarts[a], fitted.restarts[b]);
        }
    }
    assert_eq!(fitted.objective(), fitted.restarts.iter().cloned().fold(f64::MIN, f64::max));
}

#[test]
fn cancellation_keeps_what_was_reached() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let ml = FaMl { factors, ..Default::default() };
    let mut calls = 0;
    let fitted = ml
        .fit_watched(&x, 1, &mut |p| {
            calls += 1;
            if p.iteration == 2 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((fitted.status, fitted.trace.len(), calls), (Status::Cancelled, 2, 3), "the pass over the rows and two iterations");
    let evidence = fitted.model.log_evidence(&x).unwrap().mean().unwrap();
    assert_close("objective", [evidence], [fitted.objective()], 1e-11);
}

#[test]
fn limits() {
    // no factors: independent columns with their own variances, in closed form
    let x = case("fa_mtcars_2").x;
    let m = moments(&x).unwrap();
    let none = fit(0, &x);
    assert_eq!((none.status, none.trace.len()), (Status::ClosedForm, 1));
    assert_close("variance", none.model.noise_variances() / &m.covariance.diag(), Array1::ones(11), 1e-14);
    assert_close("objective", [none.model.log_evidence(&x).unwrap().mean().unwrap()], [none.objective()], 1e-11);
    assert_eq!(none.model.infer(&x).unwrap().mean().dim(), (32, 0));

    // three columns, one factor: 0 degrees of freedom, λ_1² = r_12 r_13 / r_23 exactly
    let r = array![[1.0, 0.42, 0.35], [0.42, 1.0, 0.3], [0.35, 0.3, 1.0]];
    let three = FaMl { factors: 1, ..Default::default() }.fit_covariance(r.view(), 50.0, 0).unwrap();
    assert_close("just identified", three.model.communalities(), [0.49, 0.36, 0.25], 1e-8);
    assert_close("saturated", three.model.covariance(), r.clone(), 1e-8);
    assert!(LikelihoodRatio::of(&three.model, r.view(), 50.0).unwrap().p_value.is_nan());

    // equal noise is PPCA: with an equicorrelated S both have the same optimum
    let d = 6;
    let s = Array2::from_shape_fn((d, d), |(i, j)| if i == j { 2.0 } else { 1.2 });
    let fa = FaMl { factors: 1, ..Default::default() }.fit_covariance(s.view(), 100.0, 0).unwrap();
    let (eigenvalues, _) = lvm_core::linalg::eigh(s.view()).unwrap();
    let sigma2 = eigenvalues.iter().skip(1).sum::<f64>() / (d - 1) as f64;
    assert_close("noise", fa.model.noise_variances().to_vec(), vec![sigma2; d], 1e-8);
    assert_close("loading", fa.model.loadings().column(0).to_vec(), vec![((eigenvalues[0] - sigma2) / d as f64).sqrt(); d], 1e-8);
}

#[test]
fn recovers_a_known_model() {
    let w = array![[0.9, 0.0], [0.8, 0.1], [0.7, -0.2], [0.6, 0.3], [0.1, 0.8], [0.0, 0.7], [-0.2, 0.6], [0.3, 0.5]];
    let psi = array![0.3, 0.4, 0.5, 0.2, 0.3, 0.6, 0.4, 0.5];
    let truth = FactorAnalysis::new(Array1::from_elem(8, 3.0), w, psi.clone()).unwrap();
    let mut rng = stream(5, Purpose::Sample, 0);
    let z = truth.sample_z(40_000, &mut rng);
    let x = truth.sample_x(&z, &mut rng).unwrap();
    let fitted = fit(2, &x);
    // standard errors of variances are √(2/N) of them, 0.7 %; six of these
    assert_close("psi", fitted.model.noise_variances() / &psi, Array1::ones(8), 6.0 * 0.02);
    assert_close("covariance", fitted.model.covariance(), truth.covariance(), 6.0 * 0.01);
    let test = LikelihoodRatio::of(&fitted.model, moments(&x).unwrap().covariance.view(), 40_000.0).unwrap();
    assert_eq!(test.degrees_of_freedom, 13);
    // p is uniform; a correct model fails here once in 10^6 seeds
    assert!(test.p_value > 1e-6);
    let small = LikelihoodRatio::of(&fit(1, &x).model, moments(&x).unwrap().covariance.view(), 40_000.0).unwrap();
    assert!(small.p_value < 1e-12);
    let chosen = FaSelect { factors: vec![0, 1, 2, 3, 4, 5], ..Default::default() }.select(&x, 1).unwrap();
    assert_eq!((chosen.table[chosen.best].size, chosen.table.len()), (2, 6));
    assert!(chosen.table[5].error.as_ref().unwrap().contains("at most 4"));
    let criteria = fitted.model.criteria(&x).unwrap();
    assert_close("bic", [chosen.table[2].criteria.unwrap().bic()], [criteria.bic()], 1e-9 * criteria.bic());
    let rows = x.slice_axis(Axis(0), ndarray::Slice::from(..2000));
    let held_out = FaSelect { factors: vec![0, 1, 2], criterion: Criterion::HeldOut, ..Default::default() }.select(&rows, 1).unwrap();
    assert_eq!(held_out.table[held_out.best].size, 2);
}

#[test]
fn many_columns_meet_the_exact_method() {
    // 200 columns take the partial spectrum and L-BFGS; EM shares none of that code
    let (n, d, q) = (1500, 200, 4);
    let mut rng = stream(11, Purpose::Sample, 0);
    let w = Array2::from_shape_simple_fn((d, q), || rng.random_range(-1.0..1.0));
    let psi = Array1::from_shape_simple_fn(d, || rng.random_range(0.2..2.0));
    let truth = FactorAnalysis::new(Array1::zeros(d), w, psi).unwrap();
    let z = truth.sample_z(n, &mut rng);
    let x = truth.sample_x(&z, &mut rng).unwrap();
    let newton = FaMl { factors: q, restarts: 3, ..Default::default() }.fit(&x, 1).unwrap();
    assert_eq!(newton.status, Status::Converged);
    assert!(newton.iterations() < 30);
    for objective in &newton.restarts {
        assert_close("restart", [*objective], [newton.objective()], 1e-9);
    }
    let stopping = Stopping { max_iterations: 5000, tolerance: 1e-13 };
    let em = FaMl { factors: q, method: Method::Em, restarts: 1, stopping, ..Default::default() }.fit(&x, 1).unwrap();
    assert_close("objective", [newton.objective()], [em.objective()], 1e-9);
    assert_close("uniqueness", newton.model.uniquenesses(), em.model.uniquenesses(), 1e-5);
    // too many factors for the data: flat directions, and still an optimum
    let more = FaMl { factors: 9, restarts: 1, ..Default::default() }.fit(&x, 1).unwrap();
    assert_eq!(more.status, Status::Converged);
    assert!(more.objective() > newton.objective());
}

/// A factor model of many columns, and rows of it.
fn many_columns(n: usize, d: usize, q: usize, seed: u64) -> (FactorAnalysis, Array2<f64>) {
    let mut rng = stream(seed, Purpose::Sample, 0);
    let w = Array2::from_shape_simple_fn((d, q), || rng.random_range(-1.0..1.0));
    let psi = Array1::from_shape_simple_fn(d, || rng.random_range(0.2..2.0));
    let truth = FactorAnalysis::new(Array1::zeros(d), w, psi).unwrap();
    let z = truth.sample_z(n, &mut rng);
    let x = truth.sample_x(&z, &mut rng).unwrap();
    (truth, x)
}

#[test]
fn many_columns_with_nearly_equal_ones_converge() {
    // a pair of nearly equal columns is a factor of its own, whose eigenvalue is far above the others'
    for (d, q) in [(120, 4), (200, 5)] {
        for (noise, seed) in [(1e-2, 22), (3e-3, 23), (1e-3, 24), (1e-4, 26), (1e-5, 28), (1e-6, 29), (1e-7, 30), (0.0, 32)] {
            let (_, mut x) = many_columns(800, d, q, seed);
            let mut rng = stream(seed, Purpose::Noise, 0);
            let copy = x.column(0).mapv(|v| v + noise * rng.random_range(-1.0..1.0));
            x.column_mut(1).assign(&copy);
            let fitted = FaMl { factors: q, restarts: 4, ..Default::default() }.fit(&x, 1).unwrap();
            // the exact method shares nothing with it but the likelihood, and finds nothing better
            let stopping = Stopping { max_iterations: 20, tolerance: 0.0 };
            let start = Start::Parameters(fitted.model.clone());
            let on = FaMl { factors: q, method: Method::Ecme, start, stopping, ..Default::default() }.fit(&x, 1).unwrap();
            // the trace of S against Σ⁻¹ is a small difference of numbers s_jj/ψ_j: where they are large, rounding of it hides a gain of 1e-5, and a
            // fit that finds no step though its gradient asks for one doesn't call itself converged (docs/models/fa.md)
            let gain = on.objective() - fitted.objective();
            let tiny = fitted.model.uniquenesses().iter().any(|u| *u < 1e-5);
            assert!(gain < if tiny { 1e-5 } else { 1e-10 }, "{d} columns, noise {noise:e}: {gain:e} beyond the fit");
            assert!(fitted.status == Status::Converged || tiny, "{d} columns, noise {noise:e}");
        }
    }
}

#[test]
fn many_columns_resume_and_take_an_exact_covariance() {
    let (truth, x) = many_columns(600, 130, 3, 31);
    let steps = |n, start| {
        let stopping = Stopping { max_iterations: n, tolerance: 0.0 };
        FaMl { factors: 3, start, restarts: 1, stopping, ..Default::default() }.fit(&x, 1).unwrap()
    };
    let whole = steps(4, Start::default());
    let first = steps(2, Start::default());
    let second = steps(2, Start::Parameters(first.model));
    assert_eq!(whole.trace[2..], second.trace[..]);
    assert_eq!(whole.model, second.model);

    // from next to the answer: the residual of the covariance is of the size of rounding, and the likelihood has its value at the truth
    let s = truth.covariance();
    for off in [1e-2_f64, 1e-6, 1e-10] {
        let start = Array1::from_shape_fn(130, |j| truth.noise_variances()[j] * if j % 2 == 0 { off.exp() } else { (-off).exp() });
        let start = Start::Uniquenesses(&start / &s.diag());
        let fitted = FaMl { factors: 3, start, restarts: 1, ..Default::default() }.fit_covariance(s.view(), 600.0, 1).unwrap();
        assert_eq!(fitted.status, Status::Converged);
        // a gradient of 1e-9, with the least eigenvalues of the information about 0.1
        assert_close("psi", fitted.model.noise_variances() / truth.noise_variances(), Array1::ones(130), 1e-7);
    }
}

#[test]
fn fewer_rows_than_columns() {
    // 40 rows of 60 columns: S is singular, two strong factors are not
    let (n, d, q) = (40, 60, 2);
    let mut rng = stream(3, Purpose::Sample, 0);
    let w = Array2::from_shape_simple_fn((d, q), || rng.random_range(-1.0..1.0));
    let truth = FactorAnalysis::new(Array1::zeros(d), w, Array1::from_elem(d, 0.5)).unwrap();
    let z = truth.sample_z(n, &mut rng);
    let x = truth.sample_x(&z, &mut rng).unwrap();
    let fitted = fit(q, &x);
    assert_eq!(fitted.status, Status::Converged);
    assert!(fitted.repairs.is_empty());
    let evidence = fitted.model.log_evidence(&x).unwrap().mean().unwrap();
    assert_close("objective", [evidence], [fitted.objective()], 1e-10);
    assert!(LikelihoodRatio::of(&fitted.model, moments(&x).unwrap().covariance.view(), 40.0).is_err());
}

fn kind(result: lvm_core::Result<Fitted<FactorAnalysis>>) -> String {
    format!("{:?}", result.expect_err("an error").kind())
}

#[test]
fn refusals_say_what_to_do() {
    let x = case("fa_mtcars_2").x;
    let ml = |factors| FaMl { factors, ..Default::default() };
    let two = x.select(Axis(1), &[0, 1]);
    let error = ml(1).fit(&two, 1).unwrap_err().to_string();
    assert!(error.contains("1 factor can't be determined from 2 columns"), "{error}");
    assert!(kind(ml(1).fit(&x.select(Axis(1), &[0]), 1)).starts_with("Config"));
    assert!(kind(ml(7).fit(&x, 1)).starts_with("Config"));
    assert!(kind(ml(2).fit(&x.select(Axis(0), &[0, 1, 2]), 1)).starts_with("TooFewRows"));
    let mut constant = x.clone();
    constant.column_mut(3).fill(0.1);
    assert!(matches!(ml(2).fit(&constant, 1).unwrap_err().kind(), ErrorKind::ConstantColumns { columns } if columns == &[(3, None)]));
    let mut hole = x.clone();
    hole[[4, 5]] = f64::NAN;
    assert!(matches!(ml(2).fit(&hole, 1).unwrap_err().kind(), ErrorKind::NotANumber { row: 4, column: 5, .. }));
    hole.row_mut(4).fill(f64::NAN);
    assert!(matches!(ml(2).fit(&Rows::new(&hole).missing_as_nan(), 1).unwrap_err().kind(), ErrorKind::MissingRow { row: 4 }));
    let mut empty = x.clone();
    empty.column_mut(2).fill(f64::NAN);
    let error = ml(2).fit(&Rows::new(&empty).missing_as_nan(), 1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MissingColumn { column: 2, .. }));
    assert!(kind(FaMl { floor: 0.0, ..ml(2) }.fit(&x, 1)).contains("floor"));
    assert!(kind(FaMl { restarts: 0, ..ml(2) }.fit(&x, 1)).contains("restarts"));
    assert!(kind(FaMl { start: Start::Uniquenesses(array![0.5]), ..ml(2) }.fit(&x, 1)).starts_with("Shape"));
    assert!(
        kind(FaMl { rotation: Some(Rotation::Oblimin { gamma: 1.0, normalization: Normalization::None }), ..ml(2) }.fit(&x, 1))
            .contains("gamma")
    );
    assert!(kind(ml(1).fit_covariance(array![[1.0, 0.5, 0.2], [0.4, 1.0, 0.3], [0.2, 0.3, 1.0]].view(), 9.0, 0)).contains("symmetric"));
    assert!(fit(2, &x).model.log_evidence(&two).is_err());

    // two equal columns: the likelihood has no bound, and says so
    let mut twins = x.clone();
    let copy = twins.column(0).to_owned();
    twins.column_mut(1).assign(&copy);
    let fitted = fit(2, &twins);
    let named: Vec<String> = fitted.repairs.iter().map(ToString::to_string).collect();
    assert!(named.iter().any(|r| r.contains("variable 0")) && named.iter().any(|r| r.contains("variable 1")), "{named:?}");
}

#[test]
fn laws_hold() {
    use lvm_testkit::{calibration, density};
    let w = array![[0.9, 0.2], [0.8, 0.3], [0.7, -0.4], [0.6, -0.5]];
    let plain = FactorAnalysis::new(array![1.0, -2.0, 0.5, 3.0], w, array![0.3, 0.4, 0.5, 0.2]).unwrap();
    let mut rng = stream(9, Purpose::Sample, 0);
    for model in [plain.clone(), plain.rotated(Rotation::varimax()).unwrap(), plain.rotated(Rotation::oblimin()).unwrap()] {
        let z = model.sample_z(50, &mut rng);
        let mut x = model.sample_x(&z, &mut rng).unwrap();
        density::bayes_identity(&model, &x, &mut rng).unwrap();
        density::bayes_identity(&model, &x.mapv(|v| v as f32), &mut rng).unwrap();
        density::map_is_the_mode(&model, &x, &mut rng).unwrap();
        density::rows_are_independent(&model, &x).unwrap();
        density::shapes_fit(&model, &mut rng).unwrap();
        calibration::posterior_is_calibrated(&model, &mut rng).unwrap();
        x[[3, 1]] = f64::NAN;
        density::bayes_identity(&model, &Rows::new(&x).missing_as_nan(), &mut rng).unwrap();
        let q = model.infer(&x.slice_axis(Axis(0), ndarray::Slice::from(..3))).unwrap();
        assert_eq!(q.mode(), *q.mean());
    }
    let line = FactorAnalysis::new(array![0.5], array![[0.8]], array![0.3]).unwrap();
    density::integrates_to_one::<f64>(&line, &[0.5], 10.0, 400).unwrap();
    density::draws_agree_with_evidence::<f64>(&line, 0.5, 10.0, &mut rng).unwrap();
}

#[test]
fn a_number_of_factors_that_fails_without_a_fold_keeps_its_criteria() {
    // eight rows are enough for three factors, the four that a fold leaves are not
    let x = Array2::from_shape_fn((8, 8), |(i, j)| ((i * 3 + j * j + i * j * 5) as f64).sin());
    let select = FaSelect { factors: vec![1, 3], criterion: Criterion::HeldOut, folds: 2, ml: FaMl { floor: 0.01, ..Default::default() } };
    let selection = select.select(&x, 1).unwrap();
    let (one, three) = (&selection.table[0], &selection.table[1]);
    assert!(one.error.is_none() && one.held_out.is_some() && selection.best == 0);
    assert!(three.criteria.is_some() && three.status.is_some() && three.held_out.is_none());
    assert!(three.error.as_ref().unwrap().starts_with("without one of the folds: 4 rows are too few"));
}
