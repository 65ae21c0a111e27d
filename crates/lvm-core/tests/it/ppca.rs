//! Probabilistic PCA: golden numbers, limits, solvers, invariances, refusals.

mod choice;
mod em;

use lvm_core::ErrorKind;
use lvm_core::fit::{RepairKind, Status};
use lvm_core::model::{Evidence, Infer, LatentModel, MapLatent};
use lvm_core::ppca::{Ppca, PpcaMl, Solver};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use proptest::strategy::Strategy;
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
    assert!(error.to_string().contains("but 4 columns leave"), "{error}");
    let error = PpcaMl { components: 1, ..Default::default() }.fit(&array![[0.0], [1.0]], 0).unwrap_err();
    assert!(error.to_string().contains("2 columns or more are needed"), "{error}");
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
fn exact_optima_of_iris_are_met() {
    // mean log-likelihood per row and σ² of the closed form with covariances divided by N, printed to six and eight decimals
    for (q, objective, noise) in [(1, -3.137796, 0.11413908), (2, -2.699752, 0.05068215)] {
        let fitted = PpcaMl { components: q, ..Default::default() }.fit(&iris(), 0).unwrap();
        assert!((fitted.objective() - objective).abs() < 5.1e-7, "{} {objective}", fitted.objective());
        assert!((fitted.model.noise_variance() - noise).abs() < 5.1e-9, "{} {noise}", fitted.model.noise_variance());
    }
}

/// log N(x_o; μ_o, C_oo) by Gaussian elimination, with no help from the library: Σ log of the pivots and the forward-solved residual.
fn naive_log_density(mean: &[f64], covariance: &Array2<f64>, x: &[f64]) -> f64 {
    let o: Vec<usize> = (0..x.len()).filter(|&j| !x[j].is_nan()).collect();
    let mut a = Array2::from_shape_fn((o.len(), o.len()), |(i, j)| covariance[[o[i], o[j]]]);
    let mut r: Vec<f64> = o.iter().map(|&j| x[j] - mean[j]).collect();
    let mut twice = o.len() as f64 * (2.0 * std::f64::consts::PI).ln();
    for p in 0..o.len() {
        twice += a[[p, p]].ln() + r[p] * r[p] / a[[p, p]];
        for i in p + 1..o.len() {
            let factor = a[[i, p]] / a[[p, p]];
            (p..o.len()).for_each(|j| a[[i, j]] -= factor * a[[p, j]]);
            r[i] -= factor * r[p];
        }
    }
    -0.5 * twice
}

proptest::proptest! {
    #[test]
    fn evidence_with_missing_entries_is_the_marginal_gaussian_s(
        (d, q) in (1_usize..9).prop_flat_map(|d| (proptest::strategy::Just(d), 0..=d)),
        numbers in proptest::collection::vec(-2.0_f64..2.0, 9 + 72 + 40),
        holes in proptest::collection::vec(proptest::bool::weighted(0.3), 40),
        noise in 0.01_f64..3.0,
    ) {
        let mean = Array1::from_vec(numbers[..d].to_vec());
        let model = Ppca::new(mean, Array2::from_shape_fn((d, q), |(i, j)| numbers[9 + i * 8 + j]), noise).unwrap();
        let n = 40 / d;
        let x = Array2::from_shape_fn((n, d), |(i, j)| if holes[i * d + j] { f64::NAN } else { 3.0 * numbers[81 + i * d + j] });
        let ours = model.log_evidence(&Rows::new(&x).missing_as_nan()).unwrap();
        // C formed here, and its condition number is at most 8 · 4 · 8 / 0.01: five digits of sixteen
        let covariance = model.loadings().dot(&model.loadings().t()) + noise * Array2::<f64>::eye(d);
        for i in 0..n {
            let naive = naive_log_density(model.mean().as_slice().unwrap(), &covariance, x.row(i).as_slice().unwrap());
            proptest::prop_assert!((ours[i] - naive).abs() <= 1e-10 * (1.0 + naive.abs()), "{} {naive}", ours[i]);
        }
    }
}
