//! `lvm verify`: a right fit passes, a fit that is not what it says does not.

use crate::harness::{Folder, faithful, iris};
use serde_json::Value;

fn verdicts(report: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    report["checks"].as_array().unwrap().iter().map(|c| (text(&c["check"]), text(&c["verdict"]))).collect()
}

fn of<'a>(verdicts: &'a [(String, String)], check: &str) -> &'a str {
    &verdicts.iter().find(|(name, _)| name == check).unwrap_or_else(|| panic!("no {check} in {verdicts:?}")).1
}

#[test]
fn maximum_likelihood_fits_pass() {
    let folder = iris();
    for (fit, compared) in [
        ("ppca iris.csv -q 2", &["record", "bayes", "fisher", "mean field", "full rank", "maximum", "iteration"] as &[&str]),
        ("fa iris.csv -q 1", &["record", "bayes", "fisher", "mean field", "full rank", "maximum", "iteration"]),
        ("gmm iris.csv -k 2 --tol 1e-12 --max-iter 5000", &["record", "bayes", "responsibilities", "mean field", "fisher", "maximum"]),
        ("gmm iris.csv -k 3 --covariance tied --tol 1e-12 --max-iter 5000", &["maximum", "iteration"]),
        ("gmm iris.csv -k 3 --covariance diag --tol 1e-12 --max-iter 5000", &["maximum", "iteration"]),
        ("gmm iris.csv -k 3 --covariance spherical --tol 1e-12 --max-iter 5000", &["maximum", "iteration"]),
    ] {
        folder.fine(&format!("fit {fit} -o m.lvm"));
        let report = folder.json("verify m.lvm iris.csv");
        let found = verdicts(&report);
        compared.iter().for_each(|check| assert_eq!(of(&found, check), "pass", "{fit}: {report}"));
        assert_eq!((report["verdict"].as_str(), report["fitted_to_these_rows"].as_bool()), (Some("pass"), Some(true)), "{fit}: {report}");
        assert_eq!(report["n"], 150);
    }
}

#[test]
fn nearly_equal_columns_pass() {
    // log p(x) by way of moments is a small difference of large numbers there: what that leaves is allowed
    let mut text = String::from("a,b,c,d,e,f,g\n");
    for i in 0..60 {
        let x = |j: usize| ((i * (7 * j + 3) + j * j) as f64).sin() + ((i * 5) as f64).cos();
        let twin = x(1) + 1e-6 * ((i * 13) as f64).sin();
        text += &format!("{},{},{},{},{},{},{}\n", x(1), x(2), x(3), x(4), x(5), x(6), twin);
    }
    let folder = Folder::new().with("twins.csv", text);
    for q in 1..=3 {
        let fitted = folder.fine(&format!("fit fa twins.csv -q {q} -o m.lvm"));
        assert!(fitted.contains("the uniqueness of a goes to zero") && fitted.contains("nearly equal"), "{fitted}");
        assert_eq!(folder.json("verify m.lvm twins.csv")["verdict"], "pass", "{q} factors");
    }
}

#[test]
fn rotation_and_missing_cells_are_no_obstacle() {
    let folder = iris();
    let mut lines: Vec<String> = folder.read("iris.csv").lines().map(str::to_owned).collect();
    lines[3] = lines[3].replacen(lines[3].split(',').next().unwrap(), "", 1);
    lines[70] = format!("{},NA", lines[70].rsplit_once(',').unwrap().0);
    let folder = folder.with("holes.csv", lines.join("\n"));
    folder.fine("fit ppca holes.csv -q 1 --missing --tol 1e-13 --max-iter 5000 -o m.lvm");
    let report = folder.json("verify m.lvm holes.csv --missing");
    assert_eq!((report["verdict"].as_str(), verdicts(&report).len()), (Some("pass"), 7), "{report}");
    // one factor of these columns is a Heywood case, which EM approaches forever: the posterior is right, the maximum is not there yet
    folder.fine("fit fa holes.csv -q 1 --missing --max-iter 20 --tol 0 -o m.lvm");
    let report = folder.json("verify m.lvm holes.csv --missing");
    let found = verdicts(&report);
    assert_eq!((report["verdict"].as_str(), of(&found, "status"), of(&found, "maximum")), (Some("warn"), "warn", "warn"), "{report}");
    for check in ["record", "bayes", "fisher", "mean field", "full rank"] {
        assert_eq!(of(&found, check), "pass", "{report}");
    }
    folder.fine("fit gmm holes.csv -k 2 --missing --tol 1e-13 --max-iter 5000 -o m.lvm");
    let report = folder.json("verify m.lvm holes.csv --missing");
    assert_eq!(report["verdict"], "pass", "{report}");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../lvm-data/data/wine.csv"), folder.path("wine.csv")).unwrap();
    folder.fine("fit fa wine.csv -q 3 --rotation oblimin -o w.lvm");
    let report = folder.json("verify w.lvm wine.csv");
    assert_eq!(report["verdict"], "pass", "{report}");
    assert!(report["notes"][0].as_str().unwrap().contains("rotation"));
}

#[test]
fn a_fit_stopped_early_is_a_warning_and_other_rows_are_told() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 --max-iter 2 --tol 0 -o early.lvm");
    let report = folder.json("verify early.lvm faithful.csv");
    assert_eq!(report["verdict"], "warn");
    let found = verdicts(&report);
    assert_eq!((of(&found, "status"), of(&found, "record"), of(&found, "bayes")), ("warn", "pass", "pass"));
    let text = folder.fine("verify early.lvm faithful.csv");
    assert!(text.contains("warn: usable") && text.contains("--max-iter"), "{text}");

    let half: Vec<String> = folder.read("faithful.csv").lines().take(100).map(str::to_owned).collect();
    let folder = folder.with("half.csv", half.join("\n"));
    let report = folder.json("verify early.lvm half.csv");
    assert_eq!((report["verdict"].as_str(), report["fitted_to_these_rows"].as_bool()), (Some("pass"), Some(false)));
    assert!(report["notes"][0].as_str().unwrap().contains("272 then, 99 now"), "{report}");
}

#[test]
fn another_table_of_the_same_size_fails_the_record() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    let changed = folder.read("faithful.csv").replacen("79", "80", 1);
    let folder = folder.with("changed.csv", changed);
    let ran = folder.lvm("verify m.lvm changed.csv --json");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, report["verdict"].as_str(), of(&verdicts(&report), "record")), (1, Some("fail"), "fail"));
    assert!(ran.err.starts_with("error: m.lvm: 1 of ") && ran.out.lines().count() == 1, "{}", ran.err);
    let text = folder.lvm("verify m.lvm changed.csv");
    assert!(text.code == 1 && text.out.contains("--held-out"), "{}", text.out);
    let held_out = folder.json("verify m.lvm changed.csv --held-out");
    assert_eq!((held_out["verdict"].as_str(), held_out["fitted_to_these_rows"].as_bool()), (Some("pass"), Some(false)));
}

/// Maximum likelihood of other parameters than those in the file: they score the rows as they say, and are no maximum.
#[test]
fn a_fit_that_claims_to_have_converged_and_has_not_fails() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 --init random --restarts 1 --max-iter 1 --tol 0 -o early.lvm");
    let bytes = std::fs::read(folder.path("early.lvm")).unwrap();
    // the same length, so that the offsets of the file stay right
    let (from, to) = (b"\"max_iterations\"" as &[u8], b"\"converged\"     " as &[u8]);
    let mut forged = bytes.clone();
    let escaped = |text: &[u8]| text.iter().flat_map(|b| if *b == b'"' { vec![b'\\', b'"'] } else { vec![*b] }).collect::<Vec<u8>>();
    let (from, to) = (escaped(from), escaped(to));
    let at = bytes.windows(from.len()).position(|w| w == from).expect("the status is in the header");
    forged[at..at + to.len()].copy_from_slice(&to);
    std::fs::write(folder.path("forged.lvm"), forged).unwrap();
    let ran = folder.lvm("verify forged.lvm faithful.csv --json");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, report["verdict"].as_str()), (1, Some("fail")), "{report}");
    assert_eq!(of(&verdicts(&report), "iteration"), "fail");
}

#[test]
fn the_page_stands_alone() {
    let folder = iris();
    folder.fine("fit fa iris.csv -q 1 -o m.lvm");
    let text = folder.fine("verify m.lvm iris.csv --html verdict.html");
    assert!(text.contains("verdict.html") && text.contains("pass: the fit"));
    let page = folder.read("verdict.html");
    assert!(page.contains("<svg") && page.contains("pass: the fit") && !page.contains("http://") && !page.contains("https://"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = iris();
    folder.fine("fit ppca iris.csv -q 2 -o m.lvm");
    folder.refused("verify m.lvm", 2, &["DATA"]);
    folder.refused("verify iris.csv m.lvm", 1, &["the model comes first"]);
    folder.refused("verify m.lvm iris.csv --html verdict.csv", 2, &[".html"]);
    folder.refused("verify m.lvm iris.csv --html nowhere/verdict.html", 1, &["no folder nowhere"]);
    folder.refused("verify m.lvm absent.csv", 1, &["absent.csv"]);
    let folder: Folder = folder.with("narrow.csv", "a,b\n1,2\n3,4\n");
    folder.refused("verify m.lvm narrow.csv", 1, &["Sepal.Length"]);
}
