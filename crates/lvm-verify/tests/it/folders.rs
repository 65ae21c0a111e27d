//! `--dir`: every supported kind is driven by the content of the file alone.

use lvm_verify::check::{Check, Verdict};
use lvm_verify::run::{Options, run};
use lvm_verify::subject::Library;
use lvm_verify::tables::reference_folder;
use serde_json::{Value, json};
use std::path::Path;

fn shipped(id: &str) -> Value {
    let text = std::fs::read_to_string(reference_folder().join("cases").join(format!("{id}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn check(folder: &Path) -> Vec<Check> {
    run(&Library, &Options { dir: Some(folder.to_owned()), ..Default::default() }, |_| {}).checks
}

fn write(folder: &Path, case: &Value) {
    std::fs::write(folder.join(format!("{}.json", case["id"].as_str().unwrap())), case.to_string()).unwrap();
}

fn failures(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|c| c.verdict == Verdict::Fail).map(|c| format!("{} {} {:?}", c.case, c.quantity, c.note)).collect()
}

#[test]
fn a_case_nobody_has_seen_passes_as_the_known_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    // The same mixture with its columns exchanged and its table in a file beside it.
    let mut case = shipped("gmm_em_faithful_full");
    case["id"] = json!("unseen_mixture");
    let rows: Vec<String> = case["data"]["rows"].as_array().unwrap().iter().map(|r| format!("{},{}", r[1], r[0])).collect();
    std::fs::write(folder.path().join("t.csv"), format!("waiting,eruptions\n{}\n", rows.join("\n"))).unwrap();
    case["data"] = json!({"file": "t.csv"});
    for place in ["1", "5", "20", ""] {
        let node = if place.is_empty() { &mut case["converged"] } else { &mut case["parameters_at_iteration"][place] };
        for mean in node["means"].as_array_mut().unwrap() {
            mean.as_array_mut().unwrap().reverse();
        }
        for covariance in node["covariances"].as_array_mut().unwrap() {
            let c = covariance.as_array_mut().unwrap();
            c.reverse();
            c.iter_mut().for_each(|row| row.as_array_mut().unwrap().reverse());
        }
    }
    write(folder.path(), &case);
    let mut case = shipped("fa_mtcars_2");
    case["id"] = json!("unseen_factors");
    write(folder.path(), &case);
    let checks = check(folder.path());
    assert!(failures(&checks).is_empty(), "{:#?}", failures(&checks));
    let passed = checks.iter().filter(|c| c.verdict == Verdict::Pass).count();
    // 40 without LAPACK, more with it
    assert!(passed >= 40, "{passed}");
}

#[test]
fn a_wrong_truth_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut case = shipped("ppca_iris_2");
    let truth = case["truth"]["sigma2"].as_f64().unwrap();
    case["truth"]["sigma2"] = json!(truth * (1.0 + 1e-8));
    write(folder.path(), &case);
    let found = failures(&check(folder.path()));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("sigma2"));
}

#[test]
fn malformed_content_is_a_failure_that_names_file_and_field() {
    for (id, field, broken) in [
        ("gmm_em_iris_tied", "initial_responsibilities", json!([[0.5, 0.5]])),
        ("gmm_em_iris_tied", "log_likelihood_first_20", json!("soon")),
        ("ppca_iris_2", "truth", json!({})),
        ("fa_mtcars_2", "model", json!({"factors": "two"})),
        ("fa_mtcars_2", "data", json!({"rows": [[1.0, 2.0], [3.0]]})),
        ("ppca_iris_2", "data", json!({"file": "shared/nowhere.csv"})),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut case = shipped(id);
        case[field] = broken;
        write(folder.path(), &case);
        let found = failures(&check(folder.path())).join("\n");
        assert!(found.contains(&format!("{id}.json")) && found.contains(field), "{field}: {found}");
    }
}

#[test]
fn kinds_without_checks_are_listed_and_never_passed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &json!({"schema": "lvm-reference/1", "id": "new", "kind": "of_another_world"}));
    std::fs::write(folder.path().join("broken.json"), "{").unwrap();
    std::fs::write(folder.path().join("index.json"), "[]").unwrap();
    let report = run(&Library, &Options { dir: Some(folder.path().to_owned()), ..Default::default() }, |_| {});
    let verdicts: Vec<Verdict> = report.checks.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::NotSupported]);
    assert!(!report.passed());
}

#[test]
fn a_folder_that_is_not_there_fails() {
    assert_eq!(check(Path::new("/no/such/folder")).len(), 1);
}

/// A posterior with other names for its columns, its rows in another order, one column in other units and another prior scale to match:
/// by exact invariances the log joint and the optima are those of the shipped case but for the Jacobian of the unit.
#[test]
fn a_regression_with_renamed_columns_permuted_rows_and_another_unit_passes() {
    let folder = tempfile::tempdir().unwrap();
    let mut case = shipped("mtcars_wt");
    case["id"] = json!("unseen_regression");
    let rows: Vec<Value> = case["data"]["rows"].as_array().unwrap().iter().rev().map(|r| json!([r[1], r[0]])).collect();
    case["data"] = json!({"columns": ["distance", "weight_of_car"], "rows": rows});
    case["model"]["design"] = json!("x_i = (1, weight_of_car_i), y_i = distance_i");
    write(folder.path(), &case);
    // the same in words that no form written by hand covers: compiled
    let mut case = case.clone();
    case["id"] = json!("unseen_words");
    let n = case["data"]["rows"].as_array().unwrap().len();
    let density = format!(
        "distance_i ~ Normal(intercept + slope weight_of_car_i, sigma) for i = 1..{n}; intercept ~ Normal(0, 100); slope ~ Normal(0, 10); sigma ~ half-Cauchy(0, 5.0)"
    );
    case["model"]["density"] = json!(density);
    case["model"].as_object_mut().unwrap().remove("design");
    write(folder.path(), &case);
    let checks = quickly(folder.path());
    assert!(failures(&checks).is_empty(), "{:#?}", failures(&checks));
    for id in ["unseen_regression", "unseen_words"] {
        assert!(checks.iter().filter(|c| c.case == id && c.verdict == Verdict::Pass).count() >= 20, "{id}");
    }
}

fn quickly(folder: &Path) -> Vec<Check> {
    let selection = lvm_verify::suite::Selection { budget: lvm_verify::suite::Budget::Quick, ..Default::default() };
    run(&Library, &Options { dir: Some(folder.to_owned()), selection, ..Default::default() }, |_| {}).checks
}

/// log Γ-free arithmetic of a test: log N(x; m, s).
fn log_normal(x: f64, m: f64, s: f64) -> f64 {
    -0.5 * ((x - m) / s).powi(2) - s.ln() - 0.5 * std::f64::consts::TAU.ln()
}

/// Models of which nothing is shipped: the log joint of the file is computed here, by formulas of this test, the gradient by differences.
#[test]
fn posteriors_of_forms_not_shipped_meet_log_joints_computed_here() {
    let (x, y) = ([0.5, 1.0, 2.0, 4.0, 7.0], [1.1, 0.3, 2.4, 3.1, 6.6]);
    let student = |r: f64, nu: f64, s: f64| {
        let half = |a: f64| lvm_core::special::lgamma(a);
        half(0.5 * (nu + 1.0))
            - half(0.5 * nu)
            - 0.5 * (nu * std::f64::consts::PI).ln()
            - s.ln()
            - 0.5 * (nu + 1.0) * (1.0 + (r / s).powi(2) / nu).ln()
    };
    type LogJoint<'a> = Box<dyn Fn(&[f64]) -> f64 + 'a>;
    let robust: LogJoint<'_> = Box::new(move |u| {
        let likelihood: f64 = x.iter().zip(y).map(|(x, y)| student(y - u[0] - u[1] * x, 4.0, u[2].exp())).sum();
        let laplace = -(2.0_f64 * 3.0).ln() - u[1].abs() / 3.0;
        likelihood + log_normal(u[0], 0.0, 5.0) + laplace + (0.5_f64.ln() - 0.5 * u[2].exp()) + u[2]
    });
    let autoregression: LogJoint<'_> = Box::new(move |u| {
        let (s, phi) = (u[1].exp(), 1.0 / (1.0 + (-u[0]).exp()));
        let steps: f64 = (1..5).map(|t| log_normal(y[t], phi * y[t - 1], s)).sum();
        steps + u[0] - 2.0 * (1.0 + u[0].exp()).ln() + (2.0 * (2.0_f64).ln() - 3.0 * u[1] - 2.0 / s) + u[1]
    });
    let cases: [(&str, Value, &str, usize, LogJoint<'_>); 2] = [
        (
            "robust",
            json!([{"name": "a", "support": "real"}, {"name": "b", "support": "real"}, {"name": "s", "support": "positive"}]),
            "y_i ~ Student-t(4, a + b x_i, s); a ~ Normal(0, 5); b ~ Laplace(0, 3); s ~ Exponential(rate 0.5)",
            3,
            robust,
        ),
        (
            "autoregression",
            json!([{"name": "phi", "support": "(0, 1)"}, {"name": "s", "support": "positive"}]),
            "y_t ~ Normal(phi y_{t-1}, s), t = 2..5; phi ~ Uniform(0, 1); s ~ InverseGamma(2, scale 2)",
            2,
            autoregression,
        ),
    ];
    for (name, parameters, density, d, log_joint) in cases {
        let points = [0.3, -0.7].map(|shift| (0..d).map(|i| shift + 0.2 * i as f64).collect::<Vec<f64>>());
        let at = |u: &[f64]| {
            let slope = |i: usize| {
                let moved = |h: f64| {
                    let mut u = u.to_vec();
                    u[i] += h;
                    log_joint(&u)
                };
                let d = |h: f64| (moved(h) - moved(-h)) / (2.0 * h);
                let (a, b, c) = (d(2e-2), d(1e-2), d(5e-3));
                let (ab, bc) = (b + (b - a) / 3.0, c + (c - b) / 3.0);
                bc + (bc - ab) / 15.0
            };
            json!({"u": u, "log_joint": log_joint(u), "gradient": (0..d).map(slope).collect::<Vec<f64>>()})
        };
        let folder = tempfile::tempdir().unwrap();
        let mut case = json!({
            "schema": "lvm-reference/1", "id": name, "kind": "posterior", "data": {"x": x, "y": y},
            "model": {"parameters": parameters, "density": density, "unconstrained": "u"},
            "truth": {"unconstrained": {"sd": vec![0.5; d]}},
            "tolerance": {"gradient_relative": 1e-7},
            "log_joint_checks": points.iter().map(|u| at(u)).collect::<Vec<Value>>()
        });
        write(folder.path(), &case);
        let of = |layer| lvm_verify::suite::Selection { layers: vec![layer], ..Default::default() };
        let layer_l = |folder: &Path| {
            run(
                &Library,
                &Options { dir: Some(folder.to_owned()), selection: of(lvm_verify::check::Layer::L), ..Default::default() },
                |_| {},
            )
            .checks
        };
        let checks = layer_l(folder.path());
        assert!(failures(&checks).is_empty() && checks.len() >= 5, "{name}: {:#?}", failures(&checks));
        // and a log joint off by half a nat is found
        let value = case["log_joint_checks"][0]["log_joint"].as_f64().unwrap();
        case["log_joint_checks"][0]["log_joint"] = json!(value + 0.5);
        write(folder.path(), &case);
        assert!(!failures(&layer_l(folder.path())).is_empty(), "{name}");
    }
}

/// A model whose words are not understood fails the run, and says which words.
#[test]
fn a_posterior_not_understood_fails_and_names_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut case = shipped("mtcars_wt");
    case["id"] = json!("unread");
    case["model"]["density"] = json!("y_i ~ Tweedie(x_i . beta, sigma); intercept, slope, sigma ~ Exponential(1)");
    write(folder.path(), &case);
    let report = run(&Library, &Options { dir: Some(folder.path().to_owned()), ..Default::default() }, |_| {});
    assert!(!report.passed());
    let found = failures(&report.checks).join("");
    assert!(found.contains("Tweedie") && found.contains("unread.json"), "{found}");
}

/// The other kinds with their columns exchanged, their entries in another order, or all data in other units.
#[test]
fn other_kinds_permuted_or_renamed_pass() {
    let folder = tempfile::tempdir().unwrap();
    // a Gaussian with its latents in the opposite order
    let mut case = shipped("gaussian_target_ar1");
    case["id"] = json!("unseen_gaussian");
    reverse(&mut case["target"]["mean"]);
    for matrix in ["covariance", "precision"] {
        reverse(&mut case["target"][matrix]);
        case["target"][matrix].as_array_mut().unwrap().iter_mut().for_each(reverse);
    }
    for (place, field) in [("meanfield_optimum", "mean"), ("meanfield_optimum", "variances"), ("forward_kl_diagonal", "variances")] {
        reverse(&mut case[place][field]);
    }
    write(folder.path(), &case);
    // a list of cases in another order, and one of them alone
    for id in ["conjugate_a", "psis_a"] {
        let mut case = shipped(id);
        case["id"] = json!(format!("unseen_{id}"));
        reverse(&mut case["cases"]);
        write(folder.path(), &case);
    }
    // log weights shifted by a constant: k and smoothed normalised weights are the same
    let mut case = shipped("psis_a");
    case["id"] = json!("unseen_shift");
    for c in case["cases"].as_array_mut().unwrap() {
        c["log_weights"].as_array_mut().unwrap().iter_mut().for_each(|w| *w = json!(w.as_f64().unwrap() + 8.0));
    }
    write(folder.path(), &case);
    for id in ["special_a", "numerics_a"] {
        let mut case = shipped(id);
        case["id"] = json!(format!("unseen_{id}"));
        for (_, list) in case
            .as_object_mut()
            .unwrap()
            .iter_mut()
            .filter(|(k, v)| v.is_array() && ["functions", "densities", "divergences", "cases"].contains(&k.as_str()))
        {
            reverse(list);
        }
        write(folder.path(), &case);
    }
    // the rows of a Bayesian mixture in the opposite order
    let mut case = shipped("vbgmm_k1_iris_is_exact");
    case["id"] = json!("unseen_bayesian_mixture");
    if case["data"]["rows"].is_array() {
        reverse(&mut case["data"]["rows"]);
        reverse(&mut case["initial_responsibilities"]);
    }
    write(folder.path(), &case);
    // all but the trajectory of coordinate ascent (C6), which goes through the latents in the order of the file
    let ids = ["N1", "N2", "S2", "S3", "S4", "S6", "O1", "O6", "P3", "P5", "C3", "C7"].map(String::from).into();
    let selection = lvm_verify::suite::Selection { budget: lvm_verify::suite::Budget::Quick, ids, ..Default::default() };
    let checks = run(&Library, &Options { dir: Some(folder.path().to_owned()), selection, ..Default::default() }, |_| {}).checks;
    assert!(failures(&checks).is_empty(), "{:#?}", failures(&checks));
    for id in [
        "unseen_gaussian",
        "unseen_conjugate_a",
        "unseen_psis_a",
        "unseen_shift",
        "unseen_special_a",
        "unseen_numerics_a",
        "unseen_bayesian_mixture",
    ] {
        assert!(checks.iter().any(|c| c.case == id && c.verdict == Verdict::Pass), "{id}");
    }
}

fn reverse(list: &mut Value) {
    list.as_array_mut().unwrap().reverse();
}
