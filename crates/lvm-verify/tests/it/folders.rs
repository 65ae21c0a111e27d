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
