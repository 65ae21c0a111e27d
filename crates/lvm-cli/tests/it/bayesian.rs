//! `lvm fit bgmm|bppca|multinomial-mixture|lda`, and what is done with their files.

use crate::harness::{Folder, faithful, flat, iris, list};
use serde_json::Value;
use std::fmt::Write as _;

/// 60 documents of 12 words in three groups of four words, with a little of each in all.
fn documents() -> Folder {
    let mut text = (0..12).map(|w| format!("w{w}")).collect::<Vec<_>>().join(",") + "\n";
    for d in 0..60usize {
        let counts: Vec<String> = (0..12usize).map(|w| if w / 4 == d % 3 { 3 + (d + w) % 4 } else { (d * w) % 2 }.to_string()).collect();
        writeln!(text, "{}", counts.join(",")).unwrap();
    }
    Folder::new().with("counts.csv", text)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn the_json_contract_with_the_bound() {
    let folder = faithful();
    for (fit, name) in [("bgmm faithful.csv -k 6 --seed 1", "bgmm"), ("bppca faithful.csv -q 1", "bppca")] {
        let report = folder.json(&format!("fit {fit} -o m.lvm"));
        assert_eq!((report["model"].as_str(), report["n"].as_u64(), report["d"].as_u64()), (Some(name), Some(272), Some(2)));
        let trace = list(&report["trace"]);
        assert_eq!((trace.len() as u64, *trace.last().unwrap()), (report["iterations"].as_u64().unwrap(), number(&report["mean_elbo"])));
        assert!((number(&report["elbo"]) / 272.0 - number(&report["mean_elbo"])).abs() < 1e-12);
        assert!(report["in_use"].as_u64().unwrap() >= 1 && report.get("bic").is_none());
        let info = folder.json("info m.lvm");
        for key in ["model", "d", "columns", "elbo", "mean_elbo", "trace", "parameters", "in_use", "seed", "status"] {
            assert_eq!(info[key], report[key], "{key}");
        }
        let score = folder.json("score m.lvm faithful.csv");
        assert_eq!(list(&score["log_evidence"]).len(), 272);
        // the evidence integrates over parameters: its bound is below the fit's own score of the rows
        assert!(number(&score["log_likelihood"]) > number(&report["elbo"]));
        assert_eq!(folder.json("sample m.lvm -n 3")["x"].as_array().unwrap().len(), 3);
        folder.fine("map m.lvm faithful.csv -o map.csv");
        let text = folder.fine("info m.lvm");
        assert!(text.contains("ELBO") && text.contains("in use"), "{text}");
    }
}

#[test]
fn superfluous_components_empty() {
    let folder = faithful();
    for prior in ["dirichlet --concentration 0.001", "dp --concentration 0.01"] {
        let report = folder.json(&format!("fit bgmm faithful.csv -k 5 --weights-prior {prior} --tol 1e-10 --max-iter 5000 -o m.lvm"));
        assert_eq!(report["in_use"], 2, "{prior}");
        let r = flat(&folder.json("posterior m.lvm faithful.csv")["responsibilities"]);
        assert_eq!(r.len(), 272 * 5);
        assert!(r.chunks(5).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    }
    let report = iris().json("fit bppca iris.csv -q 3");
    assert!(report["in_use"].as_u64().unwrap() <= 3);
}

#[test]
fn documents_by_mixtures_and_topics() {
    let folder = documents();
    let words: f64 = folder.read("counts.csv").lines().skip(1).flat_map(|l| l.split(',').map(|c| c.parse::<f64>().unwrap())).sum();
    for (fit, key) in [
        ("multinomial-mixture counts.csv -k 3 --seed 3", "responsibilities"),
        ("lda counts.csv -k 3 --seed 3 --restarts 3", "topics"),
        ("lda counts.csv -k 3 --seed 3 --online --batch 25", "topics"),
    ] {
        let report = folder.json(&format!("fit {fit} -o m.lvm"));
        assert!((number(&report["elbo_per_word"]) * words - number(&report["elbo"])).abs() < 1e-8, "{fit}");
        let shares = flat(&folder.json("posterior m.lvm counts.csv")[key]);
        assert_eq!(shares.len(), 180);
        let labels = folder.json("map m.lvm counts.csv")["component"].clone();
        let labels: Vec<u64> = labels.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
        if fit.contains("online") {
            // the same from disk, of which a batch is read at a time
            let streamed = folder.json(&format!("fit {fit} --stream"));
            for key in ["trace", "parameters", "elbo_per_word", "status"] {
                assert_eq!(streamed[key], report[key], "{key}");
            }
        } else {
            assert!((3..60).all(|d| labels[d] == labels[d % 3]) && labels[0] != labels[1] && labels[1] != labels[2], "{fit}: {labels:?}");
        }
        let score = folder.json("score m.lvm counts.csv");
        assert_eq!((score["lower_bound"].as_bool().unwrap_or(false), score["n"].as_u64()), (fit.starts_with("lda"), Some(60)));
        assert!(number(&score["log_likelihood_per_word"]) < 0.0);
        let text = folder.fine(&format!("fit {fit}"));
        assert!(text.contains("most probable words") && text.contains("nats per word"), "{text}");
        folder.refused("sample m.lvm -n 3", 1, &["how long a document is"]);
        folder.refused("impute m.lvm counts.csv", 1, &["a word not counted is 0"]);
        folder.refused("infer m.lvm counts.csv --method exact", 1, &["lvm posterior"]);
    }
}

#[test]
fn variational_fits_are_verified() {
    let folder = documents();
    std::fs::write(folder.path("faithful.csv"), faithful().read("faithful.csv")).unwrap();
    for (fit, data) in [
        ("bgmm faithful.csv -k 4 --tol 1e-12 --max-iter 20000", "faithful.csv"),
        ("bgmm faithful.csv -k 3 --covariance diag --weights-prior dirichlet --tol 1e-12 --max-iter 20000", "faithful.csv"),
        ("bppca faithful.csv -q 1", "faithful.csv"),
        ("multinomial-mixture counts.csv -k 3 --tol 1e-10", "counts.csv"),
        ("lda counts.csv -k 3", "counts.csv"),
    ] {
        folder.fine(&format!("fit {fit} -o m.lvm"));
        let report = folder.json(&format!("verify m.lvm {data}"));
        assert_eq!(report["objective"].as_str(), Some("ELBO"), "{fit}: {report}");
        let checks = report["checks"].as_array().unwrap();
        let named: Vec<&str> = checks.iter().map(|c| c["check"].as_str().unwrap()).collect();
        let expected: &[&str] = match fit.split(' ').next() {
            Some("bgmm") => &["record", "trace", "iteration", "restart", "one-component", "pareto"],
            Some("bppca") => &["record", "trace", "iteration"],
            _ => &["record", "trace", "iteration", "restart", "one-component"],
        };
        assert_eq!(named, expected, "{fit}");
        // what q or the start can't help may warn: overlapping components, another optimum
        for check in checks {
            let may_warn = ["restart", "pareto"].contains(&check["check"].as_str().unwrap());
            assert!(check["verdict"] == "pass" || may_warn && check["verdict"] == "warn", "{fit}: {check}");
        }
    }
    folder.fine("fit bgmm faithful.csv -k 4 -o m.lvm");
    let changed = folder.read("faithful.csv").replacen("79", "80", 1);
    let folder = folder.with("changed.csv", changed);
    assert_eq!(folder.lvm("verify m.lvm changed.csv").code, 1);
}

#[test]
fn what_a_newcomer_types_wrongly() {
    let folder = documents().with("negative.csv", "a,b\n1,-2\n3,4\n").with("empty_row.csv", "a,b\n1,2\n0,0\n");
    let folder = folder.with("same.csv", "a,b\n1,2\n1,2\n1,2\n").with("holes.csv", "a,b\n1,2\n,4\n5,1\n");
    let folder = folder.with("few.csv", "a,b\n1,2\n3,1\n2,5\n8,7\n9,3\n");
    folder.refused("fit bgmm counts.csv", 2, &["--components <K>"]);
    folder.refused("fit bgmm counts.csv -k 0", 2, &["at least 1"]);
    folder.refused("fit bgmm counts.csv -k 2 --covariance spherical", 2, &["full", "diag"]);
    folder.refused("fit bgmm counts.csv -k 2 --concentration 0", 2, &["above 0"]);
    folder.refused("fit bgmm counts.csv -k 2 --concentration -1", 2, &["above 0"]);
    folder.refused("fit bgmm counts.csv -k 2 --weights-prior uniform", 2, &["dirichlet", "dp"]);
    folder.refused("fit bgmm counts.csv -k 2 --missing", 2, &["--missing", "no place"]);
    folder.refused("fit bgmm counts.csv -k 2", 1, &["singular", "--covariance diag"]);
    folder.refused("fit bgmm few.csv -k 9", 1, &["few.csv", "9"]);
    folder.refused("fit bgmm same.csv -k 2", 1, &["same.csv"]);
    let told = folder.refused("fit bgmm holes.csv -k 1", 1, &["line 3", "no place for missing", "lvm impute"]);
    assert!(!told.contains("says that cells may be missing"), "{told}");
    folder.refused("fit bppca counts.csv -q 12", 1, &["counts.csv"]);
    folder.refused("fit bppca same.csv -q 1", 1, &["same.csv"]);
    folder.refused("fit lda counts.csv -k 2 --batch 10", 2, &["--online"]);
    folder.refused("fit lda counts.csv -k 2 --online --batch 61", 1, &["61", "60 documents"]);
    folder.refused("fit lda counts.csv -k 2 --online --batch 0", 2, &["at least 1"]);
    folder.refused("fit lda counts.csv -k 2 --online --restarts 2", 2, &["one start"]);
    folder.refused("fit lda negative.csv -k 2", 1, &["negative.csv", "-2", "not negative"]);
    folder.refused("fit lda empty_row.csv -k 2", 1, &["document 1", "no words"]);
    folder.refused("fit multinomial-mixture negative.csv -k 2", 1, &["not negative"]);
    folder.refused("fit multinomial-mixture empty_row.csv -k 3", 1, &["no words"]);
    folder.refused("fit gmm counts.csv -k 2 --concentration 1", 2, &["--concentration"]);
    folder.refused("fit lda counts.csv -q 3", 2, &["-k"]);
    folder.fine("fit bgmm few.csv -k 1 -o b.lvm");
    folder.refused("fit gmm few.csv -k 1 --init b.lvm", 1, &["bgmm", "Gaussian mixture"]);
    folder.refused("posterior b.lvm few.csv --covariance", 2, &["--covariance"]);
    folder.refused("infer b.lvm few.csv --method exact", 1, &["of family bgmm", "lvm posterior"]);
    folder.refused("map b.lvm few.csv --bartlett", 2, &["factor analysis"]);
}
