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
