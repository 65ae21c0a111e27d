//! Probabilistic PCA: golden numbers, limits, solvers, invariances, refusals.

use lvm_core::ErrorKind;
use lvm_core::fit::{RepairKind, Status, Stopping};
use lvm_core::model::{Evidence, Infer, LatentModel, MapLatent};
use lvm_core::ppca::{Pca, Ppca, PpcaEm, PpcaMl, PpcaSelect, Scheme, Solver, Start};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_core::selection::{Criterion, Selection};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use serde_json::Value;

const CASES: [&str; 2] = [include_str!("../reference/ppca_iris_2.json"), include_str!("../reference/ppca_digits24_5.json")];

fn vector(v: &Value) -> Array1<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows = v.as_array().unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].as_array().unwrap().len()), rows.iter().flat_map(vector).collect()).unwrap()
}

fn cases() -> impl Iterator<Item = (Value, Array2<f64>, usize)> {
    CASES.iter().map(|text| {
        let case: Value = serde_json::from_str(text).unwrap();
        let (x, q) = (matrix(&case["data"]["rows"]), case["model"]["latent"].as_u64().unwrap() as usize);
        (case, x, q)
    })
}

fn iris() -> Array2<f64> {
    cases().next().unwrap().1
}

fn digits() -> Array2<f64> {
    cases().nth(1).unwrap().1
}

#[track_caller]
fn near(ours: f64, truth: f64, relative: f64) {
    assert!((ours - truth).abs() <= relative * truth.abs(), "{ours} is not {truth} to {relative:e}");
}

/// Largest difference, as a share of the largest entry of `truth`.
#[track_caller]
fn near_all(ours: &Array2<f64>, truth: &Array2<f64>, relative: f64) {
    assert_eq!(ours.dim(), truth.dim());
    let scale = truth.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (a, b) in ours.iter().zip(truth) {
        assert!((a - b).abs() <= relative * scale, "{a} is not {b} to {relative:e} of {scale}");
    }
}

fn ml(components: usize, solver: Solver, x: &dyn RowSource) -> Ppca {
    PpcaMl { components, solver }.fit(x, 1).unwrap().model
}

/// The same density, to a share of its largest variance: W Wᵀ, σ² and μ.
#[track_caller]
fn same_density(a: &Ppca, b: &Ppca, relative: f64) {
    let (ca, cb) = (a.linear_gaussian().covariance(), b.linear_gaussian().covariance());
    near_all(&ca, &cb, relative);
    near(a.noise_variance(), b.noise_variance(), relative * cb.diag().sum() / b.noise_variance());
    let scale = b.mean().iter().fold(0.0_f64, |m, v| m.max(v.abs())) + cb.diag().sum().sqrt();
    assert!(a.mean().iter().zip(b.mean()).all(|(a, b)| (a - b).abs() <= relative * scale));
}

#[test]
fn maximum_likelihood_meets_the_reference() {
    for (case, x, q) in cases() {
        let truth = &case["truth"];
        let [log_tolerance, noise_tolerance, projection_tolerance] =
            ["log_likelihood_relative", "sigma2_relative", "projections_relative"].map(|k| case["tolerance"][k].as_f64().unwrap());
        for solver in [Solver::Auto, Solver::Covariance, Solver::Gram] {
            let fitted = PpcaMl { components: q, solver }.fit(&x, 0).unwrap();
            let model = &fitted.model;
            assert_eq!(fitted.status, Status::ClosedForm);
            near(model.noise_variance(), truth["sigma2"].as_f64().unwrap(), noise_tolerance);
            near(fitted.objective(), truth["mean_log_likelihood"].as_f64().unwrap(), log_tolerance);
            let criteria = model.criteria(&x).unwrap();
            near(criteria.log_likelihood, truth["log_likelihood"].as_f64().unwrap(), log_tolerance);
            near(criteria.bic(), truth["bic"].as_f64().unwrap(), log_tolerance);
            assert_eq!(criteria.n_parameters as u64, truth["n_parameters"].as_u64().unwrap());
            near_all(&model.mean().clone().insert_axis(Axis(0)), &vector(&truth["mean"]).insert_axis(Axis(0)), 1e-14);
            near_all(model.loadings(), &matrix(&truth["W"]), projection_tolerance);
            let rows: Vec<usize> = vector(&truth["posterior"]["rows_0based"]).iter().map(|v| *v as usize).collect();
            let chosen = x.select(Axis(0), &rows);
            let posterior = model.infer(&chosen).unwrap();
            near_all(posterior.mean(), &matrix(&truth["posterior"]["mean"]), projection_tolerance);
            near_all(&posterior.covariance(0).to_owned(), &matrix(&truth["posterior"]["covariance"]), projection_tolerance);
            for (ours, truth) in model.log_evidence(&chosen).unwrap().iter().zip(&vector(&truth["log_density_rows"])) {
                near(*ours, *truth, 1e-11); // one evaluation: a few hundred roundings
            }
        }
    }
}

#[test]
fn eigenvalues_are_the_reference_s() {
    for (case, x, q) in cases() {
        let truth = vector(&case["truth"]["eigenvalues"]);
        for solver in [Solver::Covariance, Solver::Gram] {
            let spectrum = lvm_core::ppca::Spectrum::of(&x, q, solver, 0).unwrap();
            assert_eq!(spectrum.eigenvalues.len(), truth.len());
            // rounding of a covariance is relative to its largest eigenvalue
            assert!(spectrum.eigenvalues.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-13 * truth[0]));
        }
    }
}

#[test]
fn randomized_agrees_with_the_whole_decomposition() {
    let mut rng = stream(11, Purpose::Sample, 0);
    let (d, q) = (300, 6);
    let w = Array2::from_shape_fn((d, q), |(i, j)| ((i * (j + 2)) as f64).sin() * (3.0 - 0.3 * j as f64));
    let truth = Ppca::new(Array1::from_elem(d, 1e3), w, 0.5).unwrap();
    let z = truth.sample_z(700, &mut rng);
    let x = truth.sample_x(&z, &mut rng).unwrap();
    let weights = Array1::from_shape_fn(700, |i| (i % 3) as f64);
    for data in [Rows::new(&x), Rows::new(&x).weighted(weights.view()).unwrap()] {
        for q in [1, 6] {
            let exact = ml(q, Solver::Covariance, &data);
            let random = ml(q, Solver::Randomized { oversampling: 10, power_iterations: 6 }, &data);
            // the spectrum falls by a factor above 50 after six, so six blocks of Krylov space reach rounding
            same_density(&random, &exact, 1e-10);
            near_all(random.loadings(), exact.loadings(), 1e-7);
        }
    }
    // few columns: the Krylov space fills up and the answer is exact
    let x = iris();
    for q in 1..=3 {
        same_density(&ml(q, Solver::Randomized { oversampling: 10, power_iterations: 6 }, &x), &ml(q, Solver::Covariance, &x), 1e-13);
        same_density(&ml(q, Solver::Randomized { oversampling: 0, power_iterations: 9 }, &x), &ml(q, Solver::Covariance, &x), 1e-13);
    }
}

#[test]
fn fewer_rows_than_columns_gram_is_covariance() {
    let x = digits().slice(s![..15, ..]).to_owned();
    for q in [1, 5, 12] {
        same_density(&ml(q, Solver::Auto, &x), &ml(q, Solver::Covariance, &x), 1e-12);
    }
}

#[test]
fn all_components_but_one_is_the_unrestricted_gaussian() {
    let x = iris();
    let m = lvm_core::moments::moments(&x).unwrap();
    let model = ml(3, Solver::Auto, &x);
    near_all(&model.linear_gaussian().covariance(), &m.covariance, 1e-13);
    let error = PpcaMl { components: 4, ..Default::default() }.fit(&x, 0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config { field: "components", .. }), "{error}");
    // q = 0 is a Gaussian of equal variances
    let sphere = ml(0, Solver::Auto, &x);
    near(sphere.noise_variance(), m.covariance.diag().sum() / 4.0, 1e-14);
    assert_eq!(sphere.map_z(&x).unwrap().dim(), (150, 0));
}

#[test]
fn data_of_rank_q_has_its_noise_floored_and_says_so() {
    // rank two in five columns; six rows, so that both routes are taken
    let b = array![[1.0, 2.0, 0.0, -1.0, 0.5], [0.0, 1.0, 1.0, 3.0, -2.0]];
    for rows in [4, 40] {
        let x = Array2::from_shape_fn((rows, 2), |(i, j)| ((i * 3 + j * 5) as f64 * 0.7).sin()).dot(&b) + 1e5;
        let one = PpcaMl { components: 1, ..Default::default() }.fit(&x, 0).unwrap();
        assert!(one.repairs.is_empty());
        for q in 2..5 {
            let fitted = PpcaMl { components: q, ..Default::default() }.fit(&x, 0).unwrap();
            assert!(matches!(fitted.repairs[..], [lvm_core::fit::Repair { kind: RepairKind::NoiseFloored { .. }, .. }]));
            assert!(fitted.objective().is_finite());
            assert!(fitted.model.loadings().slice(s![.., 2..]).iter().all(|v| v.abs() < 1e-5));
            let reconstructed = fitted.model.reconstruct(&x).unwrap();
            assert!(x.iter().zip(&reconstructed).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
    // q = min(n, d) − 1 with n < d
    let x = digits().slice(s![..10, ..]).to_owned();
    assert_eq!(PpcaMl { components: 9, ..Default::default() }.fit(&x, 0).unwrap().repairs.len(), 1);
    assert_eq!(PpcaMl { components: 8, ..Default::default() }.fit(&x, 0).unwrap().repairs.len(), 0);
    assert_eq!(PpcaMl { components: 20, ..Default::default() }.fit(&x, 0).unwrap().repairs.len(), 1);
}

#[test]
fn duplicated_and_constant_columns_are_no_obstacle() {
    let x = iris();
    let wide = concatenate(Axis(1), &[x.view(), x.slice(s![.., 1..2]), Array2::from_elem((150, 1), 0.1).view()]).unwrap();
    let m = lvm_core::moments::moments(&wide).unwrap();
    let model = ml(2, Solver::Auto, &wide);
    let (values, _) = lvm_core::linalg::eigh(m.covariance.view()).unwrap();
    near(model.noise_variance(), values.slice(s![2..]).sum() / 4.0, 1e-12);
    assert!(model.loadings().row(5).iter().all(|v| *v == 0.0 || v.abs() < 1e-14));
    near_all(&model.loadings().slice(s![4..5, ..]).to_owned(), &model.loadings().slice(s![1..2, ..]).to_owned(), 1e-12);
}

#[test]
fn a_mean_of_1e5_in_f32_costs_nothing() {
    let x32 = digits().mapv(|v| v as f32 + 1e5);
    let x64 = x32.mapv(f64::from);
    let (a, b) = (ml(5, Solver::Auto, &x32), ml(5, Solver::Auto, &x64));
    assert_eq!(a, b);
    // digits are whole numbers, so the shift is exact in f32
    let centred = ml(5, Solver::Auto, &digits());
    near(a.noise_variance(), centred.noise_variance(), 1e-10);
    near_all(a.loadings(), centred.loadings(), 1e-9);
    assert_eq!(a.log_evidence(&x32).unwrap(), b.log_evidence(&x64).unwrap());
}

#[test]
fn weights_stand_for_repeated_rows() {
    let x = iris();
    let weights = Array1::from_shape_fn(150, |i| ((i * 7) % 4) as f64);
    let index: Vec<usize> = (0..150).flat_map(|i| std::iter::repeat_n(i, (i * 7) % 4)).collect();
    let repeated = x.select(Axis(0), &index);
    let weighted = Rows::new(&x).weighted(weights.view()).unwrap();
    for solver in [Solver::Covariance, Solver::Gram] {
        let (a, b) = (ml(2, solver, &weighted), ml(2, solver, &repeated));
        same_density(&a, &b, 1e-13);
        near(a.log_likelihood(&weighted).unwrap(), b.log_likelihood(&repeated).unwrap(), 1e-12);
        assert_eq!(a.criteria(&weighted).unwrap().n, repeated.nrows() as f64);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let mut rng = stream(5, Purpose::Sample, 0);
    let truth = Ppca::new(Array1::zeros(150), Array2::from_shape_fn((150, 4), |(i, j)| ((i + 3 * j) as f64).cos()), 0.3).unwrap();
    let z = truth.sample_z(2500, &mut rng);
    let x = truth.sample_x(&z, &mut rng).unwrap();
    let narrow = x.slice(s![..100, ..]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let models = [
                ml(4, Solver::Covariance, &x),
                ml(4, Solver::Gram, &narrow),
                ml(4, Solver::Randomized { oversampling: 5, power_iterations: 3 }, &x),
            ];
            let evidence = models[0].log_evidence(&x).unwrap();
            (models, evidence)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
}

#[test]
fn reconstruction_shrinks_and_projection_does_not() {
    let x = iris();
    let model = ml(2, Solver::Auto, &x);
    let projected = model.project(&x).unwrap();
    let reconstructed = model.reconstruct(&x).unwrap();
    let error = |y: &Array2<f64>| (&x - y).mapv(|v| v * v).sum();
    assert!(error(&projected) < error(&reconstructed));
    // Σ‖x − projection‖² = N Σ_{i>q} λ_i = N (D − q) σ²
    near(error(&projected), 150.0 * 2.0 * model.noise_variance(), 1e-12);
    near_all(&model.project(&projected).unwrap(), &projected, 1e-14);
    // σ² → 0: the posterior mean reconstruction becomes the projection
    let sharp = Ppca::new(model.mean().clone(), model.loadings().clone(), 1e-12).unwrap();
    near_all(&sharp.reconstruct(&x).unwrap(), &projected, 1e-11);
}

#[test]
fn unusable_data_is_refused_with_a_reason() {
    let fit = |x: &dyn RowSource, components| PpcaMl { components, ..Default::default() }.fit(x, 0).unwrap_err();
    assert!(matches!(fit(&Array2::<f64>::zeros((0, 3)), 1).kind(), ErrorKind::Empty));
    assert!(matches!(fit(&array![[1.0, 2.0]], 1).kind(), ErrorKind::TooFewRows { rows: 1, needed: 2, .. }));
    assert!(matches!(fit(&Array2::from_elem((5, 3), 0.1), 1).kind(), ErrorKind::NoVariation));
    let mut x = iris();
    x[[7, 2]] = f64::NAN;
    assert!(matches!(fit(&x, 1).kind(), ErrorKind::NotANumber { row: 7, column: 2, .. }));
    let error = fit(&Rows::new(&x).missing_as_nan(), 1);
    assert!(error.to_string().contains("row 7"), "{error}");
    assert!(Ppca::new(array![0.0], array![[1.0]], 0.0).is_err());
}

/// Exactly `n` iterations.
fn exactly(n: usize) -> Stopping {
    Stopping { max_iterations: n, tolerance: 0.0 }
}

#[test]
fn em_follows_the_reference_trajectory_and_ends_in_the_closed_form() {
    for (case, x, q) in cases() {
        let (n, d) = x.dim();
        let noise = if q == 2 { 1.0 } else { 5.0 }; // em.start of the case
        let start = Ppca::new(Array1::zeros(d), Array2::from_shape_fn((d, q), |(i, j)| f64::from(u8::from(i == j))), noise).unwrap();
        let em = PpcaEm { components: q, start: Start::Parameters(start), stopping: exactly(20), ..Default::default() };
        let fitted = em.fit(&x, 0).unwrap();
        assert_eq!((fitted.status, fitted.trace.len()), (Status::MaxIterations, 20));
        for (ours, truth) in fitted.trace.iter().zip(&vector(&case["em"]["log_likelihood_first_20"])) {
            near(ours * n as f64, *truth, case["tolerance"]["log_likelihood_relative"].as_f64().unwrap());
        }
        near(fitted.model.log_likelihood(&x).unwrap(), fitted.objective() * n as f64, 1e-12);
        let exact = PpcaMl { components: q, ..Default::default() }.fit(&x, 0).unwrap();
        for scheme in [Scheme::Plain, Scheme::ParameterExpanded] {
            let run = PpcaEm { scheme, stopping: exactly(3000), ..em.clone() }.fit(&x, 0).unwrap();
            assert!(run.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12 * w[0].abs()), "the likelihood fell");
            near(run.objective(), exact.objective(), 1e-12);
            // after 3000 iterations what is left is rounding, divided by one minus EM's rate (about 0.98 here)
            same_density(&run.model, &exact.model, 1e-10);
            near_all(run.model.loadings(), exact.model.loadings(), 1e-9);
        }
    }
}

/// Entries knocked out at random.
fn with_holes(x: &Array2<f64>, share: f64, seed: u64) -> Array2<f64> {
    use rand::RngExt;
    let mut rng = stream(seed, Purpose::Sample, 9);
    let mut holes = x.mapv(|v| if rng.random::<f64>() < share { f64::NAN } else { v });
    for (mut row, full) in holes.rows_mut().into_iter().zip(x.rows()) {
        if row.iter().all(|v| v.is_nan()) {
            row[0] = full[0];
        }
    }
    holes
}

#[test]
fn nothing_missing_is_the_complete_fit() {
    let x = iris();
    let em = PpcaEm { components: 2, start: Start::Random, stopping: exactly(50), ..Default::default() };
    let (a, b) = (em.fit(&x, 3).unwrap(), em.fit(&Rows::new(&x).missing_as_nan(), 3).unwrap());
    assert_eq!(a, b);
}

#[test]
fn em_with_missing_entries_climbs_to_a_stationary_point() {
    let x = with_holes(&iris(), 0.25, 1);
    let rows = Rows::new(&x).missing_as_nan();
    let tight = Stopping { max_iterations: 5000, tolerance: 1e-13 };
    let em = PpcaEm { components: 2, stopping: tight, ..Default::default() };
    let plain = em.fit(&rows, 0).unwrap();
    assert!(plain.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
    near(plain.model.log_likelihood(&rows).unwrap(), plain.objective() * 150.0, 1e-12);
    let expanded = PpcaEm { scheme: Scheme::ParameterExpanded, ..em.clone() }.fit(&rows, 0).unwrap();
    assert!(expanded.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
    let random = PpcaEm { start: Start::Random, ..em.clone() }.fit(&rows, 5).unwrap();
    for other in [&expanded, &random] {
        // both stopped within rounding of the top; EM's slowest rate there is about 0.95
        near(other.objective(), plain.objective(), 1e-9);
        same_density(&other.model, &plain.model, 1e-4);
    }
    // no parameter can be moved to a better likelihood: central differences of all directions
    let at = |mean: Array1<f64>, w: Array2<f64>, noise: f64| Ppca::new(mean, w, noise).unwrap().log_likelihood(&rows).unwrap() / 150.0;
    let m = &plain.model;
    let (mean, w, noise) = (m.mean().clone(), m.loadings().clone(), m.noise_variance());
    let h = 1e-5;
    let slope = |f: &dyn Fn(f64) -> f64| (f(h) - f(-h)) / (2.0 * h);
    // gradients at the start are of order one; what is left is the tolerance's square root
    let flat = 1e-5;
    assert!(slope(&|t| at(mean.clone(), w.clone(), noise * (1.0 + t))).abs() < flat);
    for j in 0..4 {
        let shifted = |t: f64| {
            let mut mean = mean.clone();
            mean[j] += t;
            mean
        };
        assert!(slope(&|t| at(shifted(t), w.clone(), noise)).abs() < flat);
        for k in 0..2 {
            let turned = |t: f64| {
                let mut w = w.clone();
                w[[j, k]] += t;
                w
            };
            assert!(slope(&|t| at(mean.clone(), turned(t), noise)).abs() < flat);
        }
    }
}

#[test]
fn a_resumed_run_is_one_run_bit_for_bit() {
    let whole = iris();
    let holes = with_holes(&whole, 0.2, 2);
    let wide = digits().slice(s![..15, ..]).to_owned();
    let rows = Rows::new(&holes).missing_as_nan();
    let sources: [&dyn RowSource; 3] = [&whole, &rows, &wide];
    for data in sources {
        for scheme in [Scheme::Plain, Scheme::ParameterExpanded] {
            let em = PpcaEm { components: 2, start: Start::Random, scheme, stopping: exactly(12), ..Default::default() };
            let once = em.fit(data, 4).unwrap();
            let first = PpcaEm { stopping: exactly(5), ..em.clone() }.fit(data, 4).unwrap();
            let second = PpcaEm { start: Start::Parameters(first.model), stopping: exactly(7), ..em.clone() }.fit(data, 4).unwrap();
            assert_eq!(second.model, once.model);
            assert_eq!([first.trace, second.trace].concat(), once.trace);
        }
    }
}

#[test]
fn em_weights_threads_restarts_and_cancellation() {
    let x = with_holes(&iris(), 0.1, 3);
    let weights = Array1::from_shape_fn(150, |i| ((i * 7) % 4) as f64);
    let index: Vec<usize> = (0..150).flat_map(|i| std::iter::repeat_n(i, (i * 7) % 4)).collect();
    let repeated = x.select(Axis(0), &index);
    let weighted = Rows::new(&x).missing_as_nan().weighted(weights.view()).unwrap();
    let start = Ppca::new(Array1::ones(4), Array2::from_shape_fn((4, 2), |(i, j)| ((i + j) as f64).cos()), 1.0).unwrap();
    let em = PpcaEm { components: 2, start: Start::Parameters(start), stopping: exactly(30), ..Default::default() };
    let (a, b) = (em.fit(&weighted, 0).unwrap(), em.fit(&Rows::new(&repeated).missing_as_nan(), 0).unwrap());
    same_density(&a.model, &b.model, 1e-11);
    near(a.objective(), b.objective(), 1e-12);

    let tall = with_holes(&concatenate(Axis(0), &vec![iris().view(); 40]).unwrap(), 0.1, 4);
    let tall = Rows::new(&tall).missing_as_nan();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| PpcaEm { components: 2, stopping: exactly(4), ..Default::default() }.fit(&tall, 0).unwrap())
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));

    let restarted = PpcaEm { components: 1, start: Start::Random, restarts: 3, stopping: exactly(2), ..Default::default() };
    let fitted = restarted.fit(&iris(), 8).unwrap();
    assert!(fitted.restarts.len() == 3 && fitted.restarts[0] != fitted.restarts[1] && fitted.restarts[1] != fitted.restarts[2]);
    assert_eq!(fitted.objective(), fitted.restarts.iter().copied().fold(f64::NEG_INFINITY, f64::max));

    let mut seen = 0;
    let cancelled = PpcaEm { stopping: exactly(100), ..Default::default() }
        .fit_watched(&iris(), 0, &mut |p| {
            seen = p.iteration;
            if p.iteration == 3 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((cancelled.status, cancelled.trace.len(), seen), (Status::Cancelled, 3, 3));
}

#[test]
fn em_refuses_what_it_cannot_use() {
    let mut x = iris();
    x.row_mut(3).fill(f64::NAN);
    let error = PpcaEm::default().fit(&Rows::new(&x).missing_as_nan(), 0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MissingRow { row: 3 }), "{error}");
    let mut x = iris();
    x.column_mut(1).fill(f64::NAN);
    let error = PpcaEm::default().fit(&Rows::new(&x).missing_as_nan(), 0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MissingColumn { column: 1, .. }), "{error}");
    assert!(PpcaEm { components: 4, ..Default::default() }.fit(&iris(), 0).is_err());
    assert!(PpcaEm { restarts: 0, ..Default::default() }.fit(&iris(), 0).is_err());
    let other = Ppca::new(array![0.0, 0.0, 0.0], array![[1.0], [1.0], [1.0]], 1.0).unwrap();
    assert!(PpcaEm { components: 1, start: Start::Parameters(other), ..Default::default() }.fit(&iris(), 0).is_err());
    let flat = PpcaEm { components: 1, ..Default::default() }.fit(&Array2::from_elem((9, 3), 0.1), 0).unwrap_err();
    assert!(matches!(flat.kind(), ErrorKind::NoVariation));
    // data of rank one: σ² is held at the floor, and the run still ends
    let line = Array2::from_shape_fn((30, 3), |(i, j)| i as f64 * (j as f64 - 0.7));
    let fitted = PpcaEm { components: 1, ..Default::default() }.fit(&line, 0).unwrap();
    assert!(fitted.model.noise_variance() < 1e-6 && fitted.objective().is_finite());
}

/// Sums of twelve uniforms of Knuth's linear congruential generator, less six: the same numbers in any language.
fn lcg_normals(seed: u64, n: usize) -> Vec<f64> {
    let mut s = seed;
    let mut uniform = || {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (s >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..n).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
}

/// N rows Z Wᵀ + noise E from those normals, in the order W, Z, E.
fn lcg_table(seed: u64, n: usize, d: usize, q: usize, noise: f64) -> Array2<f64> {
    let v = lcg_normals(seed, d * q + n * q + n * d);
    let w = Array2::from_shape_vec((d, q), v[..d * q].to_vec()).unwrap();
    let z = Array2::from_shape_vec((n, q), v[d * q..d * q + n * q].to_vec()).unwrap();
    let e = Array2::from_shape_vec((n, d), v[d * q + n * q..].to_vec()).unwrap();
    z.dot(&w.t()) + noise * e
}

fn select(components: std::ops::Range<usize>, criterion: Criterion, x: &dyn RowSource) -> Selection<Ppca> {
    PpcaSelect { components: components.collect(), criterion, ..Default::default() }.select(x, 0).unwrap()
}

#[test]
fn laplace_evidence_is_scikit_learn_s() {
    // sklearn.decomposition._pca._assess_dimension (1.9.1) on the eigenvalues divided by N, at q = 3, and the choice of
    // PCA(n_components='mle', svd_solver='full'), which divides by N − 1
    let tables: [(Array2<f64>, f64, usize); 7] = [
        (iris(), 442.4251800715262, 3),
        (digits(), -8836.331096184265, 22),
        (lcg_table(1, 200, 10, 3, 0.5), 454.76794881753574, 3),
        (lcg_table(2, 60, 20, 5, 1.0), -801.5784307681582, 5),
        (lcg_table(3, 500, 8, 2, 2.0), -3281.0284350882175, 2),
        (lcg_table(4, 40, 12, 4, 0.1), -143.21588921118502, 4),
        (lcg_table(5, 100, 15, 0, 1.0), -11.371171154757867, 1),
    ];
    for (x, evidence, choice) in &tables {
        let selection = select(1..x.ncols(), Criterion::LaplaceEvidence, x);
        // differences of nearly equal eigenvalues carry their rounding into the logarithms
        near(selection.table[2].laplace_evidence.unwrap(), *evidence, 1e-9);
        assert_eq!(selection.fitted.model.components(), *choice);
    }
}

#[test]
fn selection_finds_the_components_that_are_there() {
    let x = lcg_table(1, 200, 10, 3, 0.5);
    for criterion in [Criterion::Bic, Criterion::Aic, Criterion::LaplaceEvidence, Criterion::HeldOut] {
        let selection = select(0..10, criterion, &x);
        assert_eq!(selection.fitted.model.components(), 3, "{criterion:?}");
        assert_eq!(selection.table[selection.best].size, 3);
    }
    let selection = select(0..11, Criterion::Bic, &x);
    for candidate in &selection.table[..10] {
        let model = PpcaMl { components: candidate.size, ..Default::default() }.fit(&x, 0).unwrap().model;
        near(candidate.criteria.unwrap().log_likelihood, model.log_likelihood(&x).unwrap(), 1e-12);
        assert_eq!(candidate.criteria.unwrap().n_parameters, model.n_parameters());
    }
    assert!(selection.table[10].error.as_ref().unwrap().contains("10 columns"), "{:?}", selection.table[10].error);
    // the same rows with holes go through EM
    let holes = with_holes(&x, 0.05, 6);
    let rows = Rows::new(&holes).missing_as_nan();
    assert_eq!(select(1..6, Criterion::Bic, &rows).fitted.model.components(), 3);
    assert!(PpcaSelect { criterion: Criterion::LaplaceEvidence, ..Default::default() }.select(&rows, 0).is_err());
    assert!(PpcaSelect { criterion: Criterion::Icl, ..Default::default() }.select(&x, 0).is_err());
    assert!(PpcaSelect { components: vec![], ..Default::default() }.select(&x, 0).is_err());
    assert!(PpcaSelect { folds: 1, criterion: Criterion::HeldOut, ..Default::default() }.select(&x, 0).is_err());
}

#[test]
fn held_out_likelihood_is_that_of_models_that_never_saw_the_rows() {
    // leaving out one row at a time needs no random split
    let x = lcg_table(4, 25, 5, 1, 0.5);
    let select = PpcaSelect { components: vec![1, 2], criterion: Criterion::HeldOut, folds: 25, ..Default::default() };
    let table = select.select(&x, 3).unwrap().table;
    for q in [1, 2] {
        let total: f64 = (0..25)
            .map(|i| {
                let others: Vec<usize> = (0..25).filter(|j| *j != i).collect();
                let model = ml(q, Solver::Auto, &x.select(Axis(0), &others));
                model.log_likelihood(&x.slice(s![i..i + 1, ..])).unwrap()
            })
            .sum();
        near(table[q - 1].held_out.unwrap(), total / 25.0, 1e-11);
    }
}

#[test]
fn pca_view_inverts_and_whitens() {
    let x = iris();
    let pca = Pca::fit(&x, 4, Solver::Auto, 0).unwrap();
    let scores = pca.transform(&x).unwrap();
    near_all(&pca.inverse_transform(&scores).unwrap(), &x, 1e-14);
    near_all(&pca.components().dot(&pca.components().t()), &Array2::eye(4), 1e-14);
    let covariance = scores.t().dot(&scores) / 150.0;
    near_all(&covariance, &Array2::from_diag(pca.explained_variance()), 1e-13);
    near(pca.explained_variance_ratio().sum(), 1.0, 1e-14);
    // eigenvalue and trace of the reference case
    near(pca.explained_variance_ratio()[0], 4.200053427994631 / 4.542470666666668, 1e-12);
    let white = pca.whiten(&x).unwrap();
    near_all(&(white.t().dot(&white) / 150.0), &Array2::eye(4), 1e-12);
    near_all(&pca.unwhiten(&white).unwrap(), &x, 1e-14);

    // the view of a fitted model is the PCA of its data
    let model = ml(2, Solver::Auto, &x);
    let view = model.pca().unwrap();
    near_all(view.components(), &pca.components().slice(s![..2, ..]).to_owned(), 1e-12);
    near(view.explained_variance()[1], pca.explained_variance()[1], 1e-12);
    near(view.explained_variance_ratio()[0], pca.explained_variance_ratio()[0], 1e-12);
    near_all(&view.inverse_transform(&view.transform(&x).unwrap()).unwrap(), &model.project(&x).unwrap(), 1e-13);

    // σ² → 0: posterior means are whitened scores
    let sharp = Ppca::new(model.mean().clone(), &view.components().t() * &view.explained_variance().mapv(f64::sqrt), 1e-14).unwrap();
    near_all(&sharp.map_z(&x).unwrap(), &view.whiten(&x).unwrap(), 1e-11);
}

#[test]
fn whitening_a_rank_deficient_table_is_refused_or_works_in_its_span() {
    let x = iris();
    let wide = concatenate(Axis(1), &[x.view(), x.slice(s![.., ..2])]).unwrap();
    let all = Pca::fit(&wide, 6, Solver::Auto, 0).unwrap();
    let error = all.whiten(&wide).unwrap_err();
    assert!(error.to_string().contains("at most 4"), "{error}");
    let span = Pca::fit(&wide, 4, Solver::Auto, 0).unwrap();
    let white = span.whiten(&wide).unwrap();
    near_all(&(white.t().dot(&white) / 150.0), &Array2::eye(4), 1e-11);
    near_all(&span.unwhiten(&white).unwrap(), &wide, 1e-13);
    // fewer rows than columns: N − 1 axes
    let few = digits().slice(s![..6, ..]).to_owned();
    assert!(Pca::fit(&few, 7, Solver::Auto, 0).is_err());
    assert!(Pca::fit(&few, 6, Solver::Auto, 0).unwrap().whiten(&few).is_err());
    let white = Pca::fit(&few, 5, Solver::Auto, 0).unwrap();
    near_all(&white.unwhiten(&white.whiten(&few).unwrap()).unwrap(), &few, 1e-13);
    let floored = PpcaMl { components: 8, ..Default::default() }.fit(&few, 0).unwrap().model;
    assert!(floored.pca().unwrap().whiten(&few).is_err());
}
