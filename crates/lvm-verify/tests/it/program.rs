//! The binary: exit codes and the reports it writes.

use std::process::{Command, Output};

fn program(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lvm-verify")).current_dir(folder).args(arguments).output().unwrap()
}

#[test]
fn a_passing_part_ends_with_zero_and_writes_both_reports() {
    let folder = tempfile::tempdir().unwrap();
    let out = program(folder.path(), &["--layer", "C", "--case", "gmm_em_faithful_full"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("PASSED") && text.contains("log-likelihood of 20 iterations"));
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("verify-report/report.json")).unwrap()).unwrap();
    let check = &json["checks"][0];
    for field in [
        "layer",
        "id",
        "case",
        "quantity",
        "ours",
        "truth",
        "source",
        "difference",
        "tolerance",
        "reason",
        "verdict",
        "seconds",
        "reproduce",
    ] {
        assert!(!check[field].is_null(), "{field}");
    }
    let html = std::fs::read_to_string(folder.path().join("verify-report/report.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("http"), "a page that needs nothing from outside");
    assert_eq!(html.matches("<table").count(), html.matches("<div class=\"scroll\"><table").count(), "a wide table scrolls, not the page");
    if !cfg!(feature = "oracle") {
        assert!(text.contains("NOT RUN") && text.contains("to run it"));
    }
}

#[test]
fn nothing_checked_is_not_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(program(folder.path(), &["--case", "no such case"]).status.code(), Some(1));
    assert_eq!(program(folder.path(), &["--dir", "nowhere"]).status.code(), Some(1));
    assert_eq!(program(folder.path(), &["--layer", "Z"]).status.code(), Some(2));
}

#[test]
fn a_listing_writes_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = program(folder.path(), &["--list", "--layer", "C", "--case", "iris"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.lines().any(|l| l == "C C1  gmm_em_iris_tied"), "{text}");
    assert!(!folder.path().join("verify-report").exists());
}
