//! Options that choose another way to the same answer.

use crate::fit::npy;
use crate::harness::{Folder, csv, difference, faithful, iris, matrix, reference, table};
use std::io::Write;

fn number(fit: &serde_json::Value, key: &str) -> f64 {
    fit[key].as_f64().unwrap_or_else(|| panic!("{key}: {fit}"))
}

#[test]
fn every_method_of_ppca_ends_at_the_maximum() {
    let folder = iris();
    let exact = number(&folder.json("fit ppca iris.csv -q 2"), "log_likelihood");
    // closed forms agree to rounding; the range finder with its power iterations spans the axes of four columns whole
    for method in ["auto", "eigen", "gram", "randomized"] {
        let fit = folder.json(&format!("fit ppca iris.csv -q 2 --method {method} --seed 3"));
        assert!(difference(&[number(&fit, "log_likelihood")], &[exact]) < 1e-9, "{method}: {fit}");
        assert_eq!(fit["status"], "closed_form", "{method}");
    }
    for method in ["em", "px-em"] {
        let fit = folder.json(&format!("fit ppca iris.csv -q 2 --method {method}"));
        assert!(difference(&[number(&fit, "log_likelihood")], &[exact]) < 1e-9, "{method}: {fit}");
        assert_eq!(fit["status"], "converged", "{method}");
    }
}

#[test]
fn expanded_parameters_take_fewer_iterations() {
    let mut rows = matrix(&reference("ppca_iris_2")["data"]["rows"]);
    rows.iter_mut().enumerate().filter(|(i, _)| i % 7 == 0).for_each(|(i, row)| row[i % 4] = f64::NAN);
    let folder = Folder::new().with("x.npy", npy(&rows));
    let [em, px_em] =
        ["em", "px-em"].map(|method| folder.json(&format!("fit ppca x.npy -q 2 --missing --method {method} --tol 1e-11 --max-iter 50000")));
    // the slower one gains 1e-11 a row in its last of some hundred iterations
    assert!(difference(&[number(&em, "log_likelihood")], &[number(&px_em, "log_likelihood")]) < 1e-7);
    assert!(number(&px_em, "iterations") * 3.0 < number(&em, "iterations"), "{} {}", px_em["iterations"], em["iterations"]);
}

#[test]
fn every_method_of_factor_analysis_ends_at_the_maximum() {
    let folder = Folder::new().with("x.csv", table(&reference("fa_mtcars_2")));
    let best = number(&folder.json("fit fa x.csv -q 2"), "log_likelihood");
    for method in ["quasi-newton", "ecme", "em", "squarem"] {
        let stopping = if method == "quasi-newton" { "" } else { "--tol 1e-11 --max-iter 50000" };
        let fit = folder.json(&format!("fit fa x.csv -q 2 --method {method} --restarts 2 {stopping}"));
        // the slowest gains 1e-11 a row in its last of some hundred iterations
        assert!(difference(&[number(&fit, "log_likelihood")], &[best]) < 1e-6, "{method}: {} {best}", fit["log_likelihood"]);
    }
}

#[test]
fn long_forms_are_short_forms() {
    let folder = iris();
    let short = folder.json("fit fa iris.csv -q 1 -o short.lvm");
    let mut long = folder.json("fit fa iris.csv --factors 1 --output long.lvm");
    assert_eq!(folder.fine("info short.lvm"), folder.fine("info long.lvm"));
    long["output"] = short["output"].clone();
    assert_eq!(short, long);
    assert_eq!(folder.json("fit gmm iris.csv -k 2"), folder.json("fit gmm iris.csv --components 2"));
    assert_eq!(folder.json("fit ppca iris.csv -q 2"), folder.json("fit ppca iris.csv --components 2"));
    folder.fine("sample short.lvm -n 5 -o a.csv");
    folder.fine("sample short.lvm --rows 5 --output b.csv");
    assert_eq!(folder.read("a.csv"), folder.read("b.csv"));
}

#[test]
fn an_array_of_an_archive() {
    let rows = matrix(&reference("gmm_em_faithful_full")["data"]["rows"]);
    let other: Vec<Vec<f64>> = (0..30).map(|i| vec![f64::from(i), f64::from(i * i % 7), f64::from(i * 5 % 11)]).collect();
    let folder = faithful().with("two.npz", npz(&[("x", &rows), ("other", &other)])).with("one.npz", npz(&[("x", &rows)]));
    let expected = &folder.json("fit gmm faithful.csv -k 2")["parameters"];
    assert_eq!(&folder.json("fit gmm two.npz --array x -k 2")["parameters"], expected);
    assert_eq!(&folder.json("fit gmm one.npz -k 2")["parameters"], expected);
    assert_eq!(folder.json("fit gmm two.npz --array other -k 1")["d"], 3);
    folder.refused("fit gmm two.npz -k 2", 1, &["two.npz", "x", "other", "--array"]);
    folder.refused("fit gmm two.npz --array lost -k 2", 1, &["two.npz", "lost", "x", "other"]);
}

#[test]
fn a_first_line_is_what_header_says() {
    let folder = Folder::new().with("x.csv", "1,2\n3,7\n5,1\n2,2\n8,4\n");
    assert_eq!(folder.json("fit gmm x.csv -k 1")["n"], 5);
    assert_eq!(folder.json("fit gmm x.csv -k 1 --header no")["n"], 5);
    let named = folder.json("fit gmm x.csv -k 1 --header yes");
    assert_eq!((named["n"].as_u64(), named["columns"][1].as_str()), (Some(4), Some("2")));
    let folder = Folder::new().with("x.csv", csv(&["a", "b"], &[vec![1.0, 2.0], vec![3.0, 5.0], vec![4.0, 1.0]]));
    folder.refused("fit gmm x.csv -k 1 --header no --columns 1,2", 1, &["line 1", "\"a\"", "--header no"]);
}

#[test]
fn folds_of_a_held_out_criterion() {
    let folder = iris();
    for family in ["gmm", "ppca"] {
        let five = folder.json(&format!("select {family} iris.csv --max 2 --criterion held-out"));
        let three = folder.json(&format!("select {family} iris.csv --max 2 --criterion held-out --folds 3"));
        assert_ne!(five["candidates"], three["candidates"], "{family}");
        assert_eq!(
            five["candidates"],
            folder.json(&format!("select {family} iris.csv --max 2 --criterion held-out --folds 5"))["candidates"]
        );
    }
    folder.refused("select gmm iris.csv --max 2 --criterion held-out --folds 1", 2, &["at least 2"]);
    folder.refused("select gmm iris.csv --max 2 --criterion held-out --folds 151", 1, &["--folds"]);
}

/// An archive as numpy's `savez` writes it.
fn npz(arrays: &[(&str, &[Vec<f64>])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, rows) in arrays {
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        archive.write_all(&npy(rows)).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
