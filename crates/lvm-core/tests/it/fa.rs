//! Factor analysis against the reference cases, its limits, and what it must refuse.

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
fn golden_optimum_from_default_settings() {
    for Case { x, factors, file } in cases() {
        let truth = &file["truth"];
        let n = x.nrows() as f64;
        let fitted = fit(factors, &x);
        let model = &fitted.model;
        assert_eq!(fitted.status, Status::Converged);
        assert!(fitted.repairs.is_empty());
        // The reference is the optimum to 1e-13; a gradient of 1e-9 a row leaves 1e-17 of the likelihood and 1e-8 of ψ. What remains is
        // rounding of sums of N D terms of size up to |log p|, far inside the file's own 1e-6 and 1e-4.
        let log_likelihood = truth["log_likelihood"].as_f64().unwrap();
        assert_close("log-likelihood", [fitted.objective() * n], [log_likelihood], 1e-9 * log_likelihood.abs());
        assert_close("evidence", [model.log_evidence(&x).unwrap().sum()], [log_likelihood], 1e-9 * log_likelihood.abs());
        assert_close("uniqueness", model.uniquenesses(), vector(&truth["uniquenesses"]), 1e-7);
        assert_close("communality", model.communalities(), vector(&truth["communalities"]), 1e-7);
        let relative = model.noise_variances() / &vector(&truth["psi"]);
        assert_close("psi", relative, Array1::ones(x.ncols()), 1e-7);
        let sd = moments(&x).unwrap().covariance.diag().mapv(f64::sqrt);
        let w = model.loadings() / &sd.clone().insert_axis(Axis(1));
        assert_close("WWt", w.dot(&w.t()), matrix(&truth["WWt_correlation_scale"]), 1e-7);
        // canonical frame: Wᵀ Ψ⁻¹ W is diagonal
        let scaled = model.loadings() / &model.noise_variances().mapv(f64::sqrt).insert_axis(Axis(1));
        let mut gram = scaled.t().dot(&scaled);
        let mut strengths = gram.diag().to_vec();
        strengths.sort_by(|a, b| b.total_cmp(a));
        assert_close("eigenvalue", strengths, vector(&truth["eigenvalues_of_scaled_loadings"]), 1e-5);
        gram.diag_mut().fill(0.0);
        assert!(gram.iter().all(|v| v.abs() < 1e-9));
        let free = truth["n_covariance_parameters"].as_u64().unwrap() as usize;
        assert_eq!(model.n_parameters(), free + x.ncols());

        let rows: Vec<usize> = vector(&truth["posterior"]["rows_0based"]).iter().map(|r| *r as usize).collect();
        let posterior = model.infer(&x).unwrap();
        let wz = posterior.mean().select(Axis(0), &rows).dot(&model.loadings().t());
        let reference = matrix(&truth["posterior"]["W_times_mean"]);
        assert_close("W E[z|x]", (&wz - &reference) / &sd, Array1::zeros(reference.len()), 1e-6);
        let (mut eigenvalues, _) = lvm_core::linalg::eigh(posterior.covariance(0)).unwrap();
        eigenvalues.invert_axis(Axis(0));
        assert_close("posterior covariance", eigenvalues, vector(&truth["posterior"]["covariance_eigenvalues"]), 1e-7);

        // Bartlett-corrected likelihood ratio from the reference's discrepancy
        let test = LikelihoodRatio::of(model, moments(&x).unwrap().covariance.view(), n).unwrap();
        let (d, q) = (x.ncols() as f64, factors as f64);
        let f = truth["discrepancy_F"].as_f64().unwrap();
        assert_close("likelihood ratio", [test.statistic], [(n - 1.0 - (2.0 * d + 5.0) / 6.0 - 2.0 * q / 3.0) * f], 1e-6);
        assert!(test.p_value > 0.0 && test.p_value < 1.0);
    }
}

#[test]
fn golden_em_trajectory() {
    for Case { x, factors, file } in cases() {
        let (n, d) = x.dim();
        let z = standardised(&x);
        let w = Array2::from_shape_fn((d, factors), |(j, k)| if j % factors == k { 0.7 } else { 0.0 });
        let start = FactorAnalysis::new(Array1::zeros(d), w, Array1::from_elem(d, 0.5)).unwrap();
        let stopping = Stopping { max_iterations: 20, tolerance: 0.0 };
        let em = FaMl { factors, method: Method::Em, start: Start::Parameters(start), stopping, ..Default::default() };
        let fitted = em.fit(&z, 0).unwrap();
        let reference = vector(&file["em"]["log_likelihood_first_20"]);
        assert_eq!(fitted.trace.len(), 20);
        assert_eq!(fitted.status, Status::MaxIterations);
        // 20 updates of sums of N D terms
        assert_close("EM trajectory", fitted.trace.iter().map(|v| v * n as f64), reference.to_vec(), 1e-10 * reference[0].abs());
        // the parameters returned are those of the last entry
        assert_close("objective", [fitted.model.log_evidence(&z).unwrap().sum()], [reference[19]], 1e-10 * reference[0].abs());
    }
}

/// Tables whose best solution is improper: the likelihood at ψ_j = 0⁺, by L-BFGS-B from ten starts in SciPy 1.15 with ψ ≥ 1e-9 (1/N
/// scale, without the constant ½ N D log 2π; its eigenvalues carry rounding of 1e-7 a row).
#[test]
fn improper_solutions_are_found_and_reported() {
    for (name, factors, best) in [
        ("fa_mtcars_2", 4, 62.61507),
        ("fa_mtcars_2", 5, 68.26920),
        ("fa_statex77_1", 2, -106.82067),
        ("fa_statex77_1", 3, -93.80798),
        ("fa_statex77_1", 4, -85.60549),
    ] {
        let z = standardised(&case(name).x);
        let (n, d) = (z.nrows() as f64, z.ncols() as f64);
        let fitted = fit(factors, &z);
        let log_likelihood = fitted.objective() * n + 0.5 * n * d * std::f64::consts::TAU.ln();
        assert_close(name, [log_likelihood], [best], 2e-5);
        assert_eq!(fitted.status, Status::Converged);
        let heywood: Vec<usize> = fitted
            .repairs
            .iter()
            .map(|r| match r.kind {
                RepairKind::Heywood { variable, floor } => {
                    assert_eq!(floor, 1e-9);
                    variable
                }
                _ => panic!("{r}"),
            })
            .collect();
        assert!(!heywood.is_empty());
        let u = fitted.model.uniquenesses();
        for j in 0..z.ncols() {
            assert_eq!(heywood.contains(&j), u[j] < 1e-6, "variable {j} has uniqueness {}", u[j]);
        }
        // the model as it is returned has this likelihood, in spite of a noise variance of 1e-9
        let evidence = fitted.model.log_evidence(&z).unwrap().sum() / n;
        assert_close("evidence", [evidence], [fitted.objective()], 1e-10);
        assert!(fitted.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
        // at a constrained maximum nothing is gained by lifting the floor's variables or moving the others
        assert!(is_constrained_maximum(&fitted.model, &z, &heywood));
    }
}

/// ∂ log p / ∂ψ_j = ½ [Σ⁻¹ (S − Σ) Σ⁻¹]_jj is zero where ψ_j is free and negative at the floor.
fn is_constrained_maximum(model: &FactorAnalysis, z: &Array2<f64>, floor: &[usize]) -> bool {
    let lower = lvm_core::linalg::cholesky(model.covariance().view()).unwrap();
    let inverse = lvm_core::linalg::cholesky_inverse(lower.view());
    let s = moments(z).unwrap().covariance;
    let slope = inverse.dot(&s).dot(&inverse) - &inverse;
    // condition numbers of these correlation matrices times 1e-9 of floor: seven digits of slopes of size 1 to 100
    (0..z.ncols()).all(|j| if floor.contains(&j) { slope[[j, j]] < 0.0 } else { (slope[[j, j]] * model.noise_variances()[j]).abs() < 1e-6 })
}

#[test]
fn a_higher_floor_is_held() {
    let z = standardised(&case("fa_statex77_1").x);
    let fitted = FaMl { factors: 2, floor: 0.005, ..Default::default() }.fit(&z, 1).unwrap();
    assert_eq!(fitted.repairs.len(), 1);
    assert_eq!(fitted.status, Status::Converged);
    let u = fitted.model.uniquenesses();
    let least = u.iter().cloned().fold(1.0, f64::min);
    // ψ is the floor exactly; Σ_jj of the model differs from S_jj at a bound, by less than the floor
    assert!((least - 0.005).abs() < 1e-4);
    assert!(fitted.objective() < fit(2, &z).objective());
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
    let from_covariance = ml.fit_covariance(m.covariance.view(), m.weight).unwrap();
    assert_close("objective", [from_covariance.objective()], [from_rows.objective()], 1e-12);
    let from_correlation = ml.fit_covariance(correlation.view(), m.weight).unwrap();
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
    assert_eq!((fitted.status, fitted.trace.len(), calls), (Status::Cancelled, 2, 2));
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
    let three = FaMl { factors: 1, ..Default::default() }.fit_covariance(r.view(), 50.0).unwrap();
    assert_close("just identified", three.model.communalities(), [0.49, 0.36, 0.25], 1e-8);
    assert_close("saturated", three.model.covariance(), r.clone(), 1e-8);
    assert!(LikelihoodRatio::of(&three.model, r.view(), 50.0).unwrap().p_value.is_nan());

    // equal noise is PPCA: with an equicorrelated S both have the same optimum
    let d = 6;
    let s = Array2::from_shape_fn((d, d), |(i, j)| if i == j { 2.0 } else { 1.2 });
    let fa = FaMl { factors: 1, ..Default::default() }.fit_covariance(s.view(), 100.0).unwrap();
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
    assert!(error.contains("1 factors are not determined by 2 columns; at most 0"), "{error}");
    assert!(kind(ml(1).fit(&x.select(Axis(1), &[0]), 1)).starts_with("Config"));
    assert!(kind(ml(7).fit(&x, 1)).starts_with("Config"));
    assert!(kind(ml(2).fit(&x.select(Axis(0), &[0, 1, 2]), 1)).starts_with("TooFewRows"));
    let mut constant = x.clone();
    constant.column_mut(3).fill(0.1);
    assert!(matches!(ml(2).fit(&constant, 1).unwrap_err().kind(), ErrorKind::ConstantColumn { column: 3, .. }));
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
    assert!(kind(ml(1).fit_covariance(array![[1.0, 0.5, 0.2], [0.4, 1.0, 0.3], [0.2, 0.3, 1.0]].view(), 9.0)).contains("symmetric"));
    assert!(fit(2, &x).model.log_evidence(&two).is_err());

    // two equal columns: the likelihood has no bound, and says so
    let mut twins = x.clone();
    let copy = twins.column(0).to_owned();
    twins.column_mut(1).assign(&copy);
    let fitted = fit(2, &twins);
    let named: Vec<String> = fitted.repairs.iter().map(ToString::to_string).collect();
    assert!(named.iter().any(|r| r.contains("variable 0")) && named.iter().any(|r| r.contains("variable 1")), "{named:?}");
}

/// mtcars with every fifth entry or so missing.
fn with_holes(x: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(x.dim(), |(i, j)| if (i * 7 + j * 3) % 5 == 0 && (i + j) % 2 == 0 { f64::NAN } else { x[[i, j]] })
}

#[test]
fn missing_entries_are_integrated_out() {
    let x = standardised(&case("fa_mtcars_2").x);
    let holes = with_holes(&x);
    let rows = Rows::new(&holes).missing_as_nan();
    let stopping = Stopping { max_iterations: 20_000, tolerance: 1e-14 };
    let fitted = FaMl { factors: 2, stopping, restarts: 2, ..Default::default() }.fit(&rows, 1).unwrap();
    let model = &fitted.model;
    assert_eq!(fitted.status, Status::Converged);
    let objective = |m: &FactorAnalysis| m.log_evidence(&rows).unwrap().mean().unwrap();
    assert_close("objective", [objective(model)], [fitted.objective()], 1e-12);
    assert!(fitted.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
    // the gradient of the likelihood of the observed entries vanishes: central differences in each parameter
    let step = 1e-4;
    for j in 0..11 {
        for parameter in 0..4 {
            let moved = |s: f64| {
                let (mut mean, mut w, mut psi) = (model.mean().clone(), model.loadings().clone(), model.noise_variances().clone());
                match parameter {
                    0 => mean[j] += s,
                    1 => psi[j] *= s.exp(),
                    k => w[[j, k - 2]] += s,
                }
                objective(&FactorAnalysis::new(mean, w, psi).unwrap())
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            // EM stopped at a change of 1e-14 a step: slopes of about √1e-14 · rate; differences add step² times a third derivative
            assert!(slope.abs() < 2e-6, "variable {j} parameter {parameter}: {slope:e}");
        }
    }
    // resumed is the same fit
    let steps = |n, start| {
        let stopping = Stopping { max_iterations: n, tolerance: 0.0 };
        FaMl { factors: 2, start, restarts: 1, stopping, ..Default::default() }.fit(&rows, 1).unwrap()
    };
    let first = steps(3, Start::default());
    let second = steps(4, Start::Parameters(first.model));
    assert_eq!(steps(7, Start::default()).trace[3..], second.trace[..]);
    // nothing missing: the answer of the complete method
    let complete = FaMl { factors: 2, ..Default::default() }.fit(&Rows::new(&x).missing_as_nan(), 1).unwrap();
    assert_close("complete", [complete.objective()], [fit(2, &x).objective()], 1e-13);
    // one row with a hole among complete ones: nearly that answer, through the other code
    let mut one = x.clone();
    one[[31, 10]] = f64::NAN;
    let nearly = FaMl { factors: 2, stopping, restarts: 1, ..Default::default() }.fit(&Rows::new(&one).missing_as_nan(), 1).unwrap();
    assert_close("nearly complete", nearly.model.uniquenesses(), complete.model.uniquenesses(), 0.05);
    // weights are repetitions here too
    let weights = Array1::from_shape_fn(32, |i| (i % 3) as f64);
    let repeated: Vec<usize> = (0..32).flat_map(|i| std::iter::repeat_n(i, i % 3)).collect();
    let ml = FaMl { factors: 1, restarts: 1, ..Default::default() };
    let weighted = ml.fit(&rows.weighted(weights.view()).unwrap(), 1).unwrap();
    let copies = holes.select(Axis(0), &repeated);
    let plain = ml.fit(&Rows::new(&copies).missing_as_nan(), 1).unwrap();
    assert_close("weighted", [weighted.objective()], [plain.objective()], 1e-9);
    // no factors: means and variances of the observed entries
    let none = FaMl { factors: 0, ..Default::default() }.fit(&rows, 1).unwrap();
    let observed: Vec<f64> = holes.column(0).iter().copied().filter(|v| !v.is_nan()).collect();
    assert_close("mean", [none.model.mean()[0]], [observed.iter().sum::<f64>() / observed.len() as f64], 1e-14);
    assert_close("objective", [none.objective()], [objective(&none.model)], 1e-12);
}

#[test]
fn imputation_is_the_conditional_of_the_joint() {
    let x = standardised(&case("fa_mtcars_2").x);
    let model = fit(2, &x).model.rotated(Rotation::oblimin()).unwrap();
    let holes = with_holes(&x);
    let imputed = model.impute(&Rows::new(&holes).missing_as_nan()).unwrap();
    let sigma = model.covariance();
    let block = &imputed.blocks[1];
    let observed: Vec<usize> = (0..11).filter(|j| !block.columns.contains(j)).collect();
    let part = |a: &[usize], b: &[usize]| sigma.select(Axis(0), a).select(Axis(1), b);
    let lower = lvm_core::linalg::cholesky(part(&observed, &observed).view()).unwrap();
    let k = part(&block.columns, &observed).dot(&lvm_core::linalg::cholesky_inverse(lower.view()));
    let residual = holes.row(block.row).select(Axis(0), &observed) - model.mean().select(Axis(0), &observed);
    assert_close("mean", k.dot(&residual) + model.mean().select(Axis(0), &block.columns), block.mean.clone(), 1e-12);
    let covariance = part(&block.columns, &block.columns) - k.dot(&part(&observed, &block.columns));
    assert_close("covariance", covariance, block.covariance.clone(), 1e-12);
    assert_eq!(imputed.x[[block.row, block.columns[0]]], block.mean[0]);
}

/// Covariances of six ability tests of 112 people (R datasets::ability.cov; Smith & Stanley 1983).
fn ability() -> Array2<f64> {
    array![
        [24.641, 5.991, 33.520, 6.023, 20.755, 29.701],
        [5.991, 6.700, 18.137, 1.782, 4.936, 7.204],
        [33.520, 18.137, 149.831, 19.424, 31.430, 50.753],
        [6.023, 1.782, 19.424, 12.711, 4.757, 9.075],
        [20.755, 4.936, 31.430, 4.757, 52.604, 66.762],
        [29.701, 7.204, 50.753, 9.075, 66.762, 135.292]
    ]
}

/// λ_jk = loadings in units of the columns' standard deviations.
fn standardised_loadings(model: &FactorAnalysis) -> Array2<f64> {
    model.loadings() / &model.covariance().diag().mapv(f64::sqrt).insert_axis(Axis(1))
}

#[test]
fn published_rotations_of_the_ability_tests() {
    // What R prints for `factanal(factors = 2, covmat = ability.cov)`, three decimals, and with rotation = "promax". R's varimax stops
    // when its criterion changes by 1e-5 of itself, which leaves the angle, and with it the loadings, uncertain by √1e-5 = 3.2e-3.
    let angle = 3.2e-3 + 5e-4;
    let fitted =
        FaMl { factors: 2, rotation: Some(Rotation::varimax()), ..Default::default() }.fit_covariance(ability().view(), 112.0).unwrap();
    let model = &fitted.model;
    assert_close("uniqueness", model.uniquenesses(), [0.455, 0.589, 0.218, 0.769, 0.052, 0.334], 5.1e-4);
    let varimax = array![[0.499, 0.543], [0.156, 0.622], [0.206, 0.860], [0.109, 0.468], [0.956, 0.182], [0.785, 0.225]];
    let ours = standardised_loadings(model);
    // R does not order the factors as we do
    let order = if ours[[4, 0]] > 0.9 { [0, 1] } else { [1, 0] };
    assert_close("varimax", ours.select(Axis(1), &order), varimax, angle);
    let test = LikelihoodRatio::of(model, ability().view(), 112.0).unwrap();
    assert_close("chi square", [test.statistic, test.p_value], [6.11, 0.191], 5.1e-3);
    assert_eq!(test.degrees_of_freedom, 4);
    let promax = standardised_loadings(&model.rotated(Rotation::promax()).unwrap());
    let order = if promax[[4, 0]] > 0.9 { [0, 1] } else { [1, 0] };
    // small loadings are left blank in R's print
    let promax = promax.select(Axis(1), &order);
    assert_close("promax", promax.row(0).to_vec(), [0.364, 0.470], angle);
    assert_close("promax", promax.column(1).iter().skip(1).take(3).copied().collect::<Vec<_>>(), [0.671, 0.932, 0.508], angle);
    assert_close("promax", [promax[[4, 0]], promax[[5, 0]]], [1.023, 0.811], angle);
}

#[test]
fn rotations_agree_with_factor_analyzer() {
    // factor_analyzer 0.5 on the reference optimum: first two rows, columns ordered and signed as ours.
    let Case { x, factors, .. } = case("fa_bfi_5");
    let model = fit(factors, &x).model;
    let check = |rotation, rows: Array2<f64>, tolerance| {
        let rotated = model.rotated(rotation).unwrap();
        assert!(rotated.rotation().unwrap().converged);
        let lambda = standardised_loadings(&rotated);
        assert_close(&rotation.to_string(), lambda.select(Axis(0), &[0, 1]), rows, tolerance);
        rotated
    };
    // six digits printed; its iterations stop at a relative change of 1e-12 of the criterion, whose square root moves the loadings
    check(
        Rotation::varimax(),
        array![[-0.032133, 0.005033, 0.021179, -0.523798, -0.161968], [-0.217684, -0.066346, 0.189625, 0.664264, 0.039733]],
        2e-5,
    );
    check(
        Rotation::Quartimax { normalization: Normalization::None },
        array![[0.096014, -0.086345, -0.034506, -0.510111, -0.155005], [-0.140843, -0.162321, -0.163372, 0.675720, 0.033138]],
        2e-5,
    );
    let oblimin = check(
        Rotation::oblimin(),
        array![[0.112570, 0.071375, -0.206325, -0.521424, -0.122601], [-0.093434, 0.113493, -0.011417, 0.675400, -0.011684]],
        2e-5,
    );
    assert_close("Φ", oblimin.factor_correlations().row(0).to_vec(), [1.000000, -0.243252, 0.202805, -0.113681, -0.043943], 2e-5);
}

#[test]
fn rotated_loadings_are_stationary() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let model = fit(factors, &x).model;
    let plain = standardised_loadings(&model);
    for (gamma, normalization) in
        [(1.0, Normalization::Kaiser), (1.0, Normalization::None), (0.0, Normalization::Kaiser), (0.0, Normalization::None)]
    {
        let rotation = if gamma == 1.0 { Rotation::Varimax { normalization } } else { Rotation::Quartimax { normalization } };
        let rotated = model.rotated(rotation).unwrap();
        let t = &rotated.rotation().unwrap().matrix;
        assert_close("orthogonal", t.t().dot(t), Array2::eye(factors), 1e-13);
        assert_close("Λ = W T", plain.dot(t), standardised_loadings(&rotated), 1e-13);
        let mut lambda = plain.dot(t);
        if normalization == Normalization::Kaiser {
            let lengths: Array1<f64> = lambda.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect();
            lambda /= &lengths.insert_axis(Axis(1));
        }
        // at a maximum over orthogonal matrices Λᵀ ∂f/∂Λ is symmetric, with ∂f/∂λ_jk ∝ λ_jk³ − γ λ_jk Σ_i λ_ik² / D
        let means = lambda.mapv(|v| v * v).mean_axis(Axis(0)).unwrap() * gamma;
        let gradient = lambda.mapv(|v| v.powi(3)) - &lambda * &means;
        let s = lambda.t().dot(&gradient);
        // D products of numbers below 1
        assert_close("stationary", s.to_owned(), s.t().to_owned(), 1e-12);
    }
    for (gamma, normalization) in [(0.0, Normalization::None), (-1.0, Normalization::Kaiser), (-0.5, Normalization::None)] {
        let rotated = model.rotated(Rotation::Oblimin { gamma, normalization }).unwrap();
        assert!(rotated.rotation().unwrap().converged);
        let t = rotated.rotation().unwrap().matrix.clone();
        let value = |t: &Array2<f64>| {
            // Λ = W T⁻ᵀ: solve T Λᵀ = Wᵀ by normal equations of a well-conditioned T
            let gram = lvm_core::linalg::cholesky(t.t().dot(t).view()).unwrap();
            let mut lambda = plain.dot(t).dot(&lvm_core::linalg::cholesky_inverse(gram.view()));
            if normalization == Normalization::Kaiser {
                lambda /= &plain.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect::<Array1<f64>>().insert_axis(Axis(1));
            }
            let l2 = lambda.mapv(|v| v * v);
            let d = l2.nrows() as f64;
            let (mut f, sums) = (0.0, l2.sum_axis(Axis(0)));
            for k in 0..factors {
                for l in (0..factors).filter(|l| *l != k) {
                    f += 0.25 * (l2.column(k).dot(&l2.column(l)) - gamma / d * sums[k] * sums[l]);
                }
            }
            f
        };
        let least = value(&t);
        for i in 0..factors {
            for k in 0..factors {
                let moved = |step: f64| {
                    let mut t = t.clone();
                    t[[i, k]] += step;
                    let length = t.column(k).dot(&t.column(k)).sqrt();
                    t.column_mut(k).mapv_inplace(|v| v / length);
                    value(&t)
                };
                let step = 1e-4;
                // rounding 1e-16 / step and truncation step² f‴
                assert!(((moved(step) - moved(-step)) / (2.0 * step)).abs() < 1e-6);
                assert!(moved(1e-2) > least && moved(-1e-2) > least);
            }
        }
    }
}

#[test]
fn rotation_keeps_the_model_and_turns_the_scores() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let model = fit(factors, &x).model;
    let evidence = model.log_evidence(&x).unwrap();
    let posterior = model.infer(&x).unwrap();
    let bartlett = model.bartlett_scores(&x).unwrap();
    for name in ["varimax", "quartimax", "promax", "oblimin"] {
        let rotation: Rotation = name.parse().unwrap();
        let rotated = model.rotated(rotation).unwrap();
        assert_eq!(rotated.log_evidence(&x).unwrap(), evidence);
        assert_eq!(rotated.uniquenesses(), model.uniquenesses());
        let (t, phi) = (rotated.rotation().unwrap().matrix.clone(), rotated.factor_correlations());
        assert_close("Φ", t.t().dot(&t), phi.clone(), 1e-12);
        assert_close("W = Λ Tᵀ", rotated.loadings().dot(&t.t()), model.loadings().clone(), 1e-12);
        let common = rotated.loadings().dot(&phi).dot(&rotated.loadings().t());
        assert_close("common covariance", common, model.loadings().dot(&model.loadings().t()), 1e-12);
        assert_close("explained", [rotated.explained_variance().sum()], [model.communalities().sum()], 1e-12);
        let explained = rotated.explained_variance();
        let lambda = standardised_loadings(&rotated);
        for k in 0..factors {
            assert!(k == 0 || explained[k] <= explained[k - 1]);
            let column = lambda.column(k);
            assert!(column.iter().cloned().fold(f64::MIN, f64::max) >= -column.iter().cloned().fold(f64::MAX, f64::min));
        }
        let q = rotated.infer(&x).unwrap();
        assert_close("regression scores", q.mean().clone(), posterior.mean().dot(&t), 1e-12);
        assert_close("map", rotated.map_z(&x).unwrap(), q.mean().clone(), 0.0);
        assert_close("covariance", q.covariance(0).to_owned(), t.t().dot(&posterior.covariance(0)).dot(&t), 1e-13);
        // KL to the prior N(0, Φ) does not depend on the axes
        assert_close("KL", q.kl_from_prior(), posterior.kl_from_prior(), 1e-11);
        let b = rotated.bartlett_scores(&x).unwrap();
        assert_close("Bartlett", b.scores.clone(), bartlett.scores.dot(&t), 1e-12);
        // Cov f̂ given f in the rotated axes is (Λᵀ Ψ⁻¹ Λ)⁻¹
        let scaled = rotated.loadings() / &rotated.noise_variances().mapv(f64::sqrt).insert_axis(Axis(1));
        assert_close("Bartlett covariance", b.covariance.dot(&scaled.t().dot(&scaled)), Array2::eye(factors), 1e-11);
        // a model read back from its parts is the same model
        let again = model.with_rotation(rotated.rotation().unwrap().clone()).unwrap();
        assert_eq!(again, rotated);
        // fitting with the rotation is rotating the fit
        let direct = FaMl { factors, rotation: Some(rotation), ..Default::default() }.fit(&x, 7).unwrap();
        assert_eq!(direct.model, rotated);
    }
    // one factor has nothing to turn
    let one = fit(1, &x).model;
    assert_close("one factor", one.rotated(Rotation::oblimin()).unwrap().loadings().clone(), one.loadings().clone(), 1e-15);
}

#[test]
fn bartlett_scores_are_unbiased_and_know_missing_entries() {
    let x = standardised(&case("fa_mtcars_2").x);
    let model = fit(2, &x).model;
    // without noise, x = μ + W z, they return z exactly
    let z = array![[0.3, -1.2], [2.0, 0.7]];
    let clean = model.mean_given(&z).unwrap();
    assert_close("noise-free", model.bartlett_scores(&clean).unwrap().scores, z.clone(), 1e-12);
    let mut holes = clean.clone();
    holes[[1, 4]] = f64::NAN;
    let scores = model.bartlett_scores(&Rows::new(&holes).missing_as_nan()).unwrap();
    assert_close("with a hole", scores.scores.clone(), z, 1e-12);
    assert_eq!(scores.incomplete.len(), 1);
    assert!(scores.covariance_of(1)[[0, 0]] > scores.covariance_of(0)[[0, 0]]);
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
    density::integrates_to_one(&line, &[0.5], 10.0, 400).unwrap();
    density::draws_agree_with_evidence(&line, 0.5, 10.0, &mut rng).unwrap();
}
