//! Data that can't be used, or only just: a clear error or a right answer, never a panic, never half a file.

use crate::harness::{Folder, csv, faithful, flat, iris, list};

const FAMILIES: [&str; 3] = ["gmm x.csv -k 2", "ppca x.csv -q 1", "fa x.csv -q 1"];

/// Every family refuses the table, with exit code 1 and these words, although it was told where to write.
fn all_refuse(text: &str, options: &str, words: &[&str]) {
    let folder = Folder::new().with("x.csv", text);
    for family in FAMILIES {
        folder.refused(&format!("fit {family} {options} -o m.lvm"), 1, &[&["x.csv"], words].concat());
        folder.refused(&format!("fit {family} {options} -o m.lvm --json"), 1, words);
    }
}

/// Rows of six columns that vary, and not together.
pub(crate) fn rows(n: usize) -> Vec<Vec<f64>> {
    (0..n).map(|i| (0..6).map(|j| ((i * (7 + 4 * j)) % 31) as f64 + 0.1 * ((i * i) % 17) as f64).collect()).collect()
}

pub(crate) const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[test]
fn an_empty_file() {
    all_refuse("", "", &["empty"]);
    all_refuse("\n\n", "", &["empty"]);
}

#[test]
fn a_header_and_no_row() {
    all_refuse("a,b,c\n", "", &["header", "--header no"]);
}

#[test]
fn one_row() {
    all_refuse("a,b,c,d\n1,2,3,5\n", "", &["1 row is too few", "hint: ", "more rows"]);
    // One row is enough for nothing: its covariance is zero.
    Folder::new().with("x.csv", "a,b\n1,2\n").refused("fit gmm x.csv -k 1", 1, &["x.csv", "all rows are equal", "rows that differ"]);
}

#[test]
fn a_ragged_file() {
    all_refuse("a,b,c\n1,2,3\n4,5\n6,7,8\n", "", &["line 3", "2", "3"]);
}

#[test]
fn text_in_a_column_of_numbers() {
    let folder = Folder::new().with("x.csv", "a,b\n1,2\n3,x\n5,6\n2,9\n");
    folder.refused("fit gmm x.csv -k 1 --columns a,b -o m.lvm", 1, &["line 3", "\"b\"", "\"x\"", "--columns"]);
}

#[test]
fn a_column_of_text_only() {
    all_refuse("a,b\nx,y\nu,v\n", "", &["no column", "\"a\", \"b\""]);
}

#[test]
fn missing_and_infinite_cells() {
    let folder = Folder::new().with("x.csv", "a,b\n1,2\n3,\n5,6\n2,9\n").with("i.csv", "a,b\n1,2\n3,inf\n5,6\n2,9\n");
    for family in ["gmm DATA -k 1", "ppca DATA -q 1", "fa DATA -q 1"] {
        folder.refused(&format!("fit {} -o m.lvm", family.replace("DATA", "x.csv")), 1, &["line 3", "\"b\"", "--missing"]);
        folder.refused(&format!("fit {} -o m.lvm", family.replace("DATA", "i.csv")), 1, &["line 3", "\"b\"", "infinite"]);
        folder.refused(&format!("fit {} --missing -o m.lvm", family.replace("DATA", "i.csv")), 1, &["line 3", "\"b\"", "infinite"]);
    }
}

#[test]
fn nan_in_an_npy_file() {
    let mut x = rows(20);
    x[7][2] = f64::NAN;
    let folder = Folder::new().with("x.npy", crate::fit::npy(&x));
    for option in ["", "--stream"] {
        let error = folder.refused(&format!("fit gmm x.npy -k 1 {option} -o m.lvm"), 1, &["x.npy", "row 7", "--missing"]);
        assert!(error.contains("x3"), "{error}");
        folder.json(&format!("fit gmm x.npy -k 1 --missing {option}"));
    }
}

#[test]
fn missing_cells_where_a_model_is_applied() {
    let mut x = rows(20);
    for (name, line) in [("m.lvm", "gmm x.csv -k 1"), ("p.lvm", "ppca x.csv -q 1"), ("f.lvm", "fa x.csv -q 1")] {
        x[7][2] = 5.0;
        let folder = Folder::new().with("x.csv", csv(&NAMES, &x));
        folder.fine(&format!("fit {line} -o {name}"));
        x[7][2] = f64::NAN;
        let folder = folder.with("n.csv", csv(&NAMES, &x).replace("NaN", "")).with("n.npy", crate::fit::npy(&x));
        for command in ["score", "posterior", "map", "infer --method exact", "verify"] {
            folder.refused(&format!("{command} {name} n.csv"), 1, &["n.csv", "line 9", "row 7", "\"c\"", "--missing"]);
            folder.refused(&format!("{command} {name} n.npy"), 1, &["n.npy", "row 7", "\"x3\"", "--missing"]);
        }
        for command in ["score", "posterior", "map"] {
            folder.fine(&format!("{command} {name} n.csv --missing"));
        }
    }
}

#[test]
fn a_row_or_a_column_with_everything_missing() {
    let mut x = rows(20);
    x[4] = vec![f64::NAN; 6];
    let folder = Folder::new().with("row.csv", csv(&NAMES, &x).replace("NaN", ""));
    let mut x = rows(20);
    x.iter_mut().for_each(|row| row[1] = f64::NAN);
    let folder = folder.with("column.csv", csv(&NAMES, &x).replace("NaN", ""));
    for family in ["gmm DATA -k 1", "ppca DATA -q 1", "fa DATA -q 1"] {
        folder.refused(&format!("fit {} --missing -o m.lvm", family.replace("DATA", "column.csv")), 1, &["column.csv", "\"b\"", "missing"]);
        folder.refused(&format!("fit {} --missing -o m.lvm", family.replace("DATA", "row.csv")), 1, &["row.csv", "row 4", "missing"]);
    }
}

#[test]
fn constant_and_duplicated_columns() {
    let mut constant = rows(60);
    constant.iter_mut().for_each(|row| row[1] = 3.0);
    let mut twice = rows(60);
    twice.iter_mut().for_each(|row| row[1] = row[0]);
    let folder = Folder::new().with("constant.csv", csv(&NAMES, &constant)).with("twice.csv", csv(&NAMES, &twice));
    for name in ["constant.csv", "twice.csv"] {
        for family in
            ["gmm DATA -k 2", "gmm DATA -k 2 --covariance tied", "gmm DATA -k 2 --covariance diag", "ppca DATA -q 2", "fa DATA -q 1"]
        {
            let ran = folder.lvm(&format!("fit {} --json", family.replace("DATA", name)));
            match ran.code {
                // A finite answer …
                0 => {
                    let fit: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
                    assert!(fit["log_likelihood"].is_number() && ran.err.is_empty(), "{family} {name}: {ran:?}");
                }
                // … or the column by name.
                code => assert!(code == 1 && ran.out.is_empty() && ran.err.contains("\"b\""), "{family} {name}: {ran:?}"),
            }
        }
    }
    // A full covariance is singular there: the floor acts, and says so.
    let fit = folder.json("fit gmm twice.csv -k 2");
    assert!(!fit["repairs"].as_array().unwrap().is_empty());
    for family in ["gmm constant.csv -k 2", "fa constant.csv -q 1"] {
        folder.refused(&format!("fit {family}"), 1, &["constant.csv", "column \"b\" is constant", "--without b"]);
    }
}

#[test]
fn all_constant_columns_are_named_with_the_way_out() {
    let mut x: Vec<Vec<f64>> = (0..60).map(|i| (0..40).map(|j| ((i * (7 + j)) % 53) as f64).collect()).collect();
    for row in &mut x {
        [2, 5, 39].into_iter().for_each(|j| row[j] = 3.0);
    }
    let names: Vec<String> = (0..40).map(|j| format!("c{j}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder = Folder::new().with("x.csv", csv(&names, &x)).with("x.npy", crate::fit::npy(&x));
    for family in ["gmm x.csv -k 2", "fa x.csv -q 1"] {
        let error = folder.refused(&format!("fit {family} -o m.lvm"), 1, &["columns \"c2\", \"c5\", \"c39\" are constant"]);
        let (_, ready) = error.trim().split_once("hint: ").expect("a hint");
        assert_eq!(ready, "--without c2,c5,c39");
        let fit = folder.json(&format!("fit {family} {ready}"));
        assert_eq!((fit["d"].as_u64(), fit["skipped_columns"][2]["name"].as_str()), (Some(37), Some("c39")));
    }
    let by_number = folder.json("fit gmm x.npy -k 2 --covariance diag --without 3,6,40");
    folder.refused("fit gmm x.npy -k 2", 1, &["--without x3,x6,x40"]);
    assert_eq!(by_number["d"], 37);
    // twelve of them are not all listed, but the hint has all
    for row in &mut x {
        (20..32).for_each(|j| row[j] = -1.0);
    }
    let folder = folder.with("x.csv", csv(&names, &x));
    let error = folder.refused("fit gmm x.csv -k 2", 1, &["and 5 more (15 in all)", "--without c2,c5,c20,"]);
    folder.json(&format!("fit gmm x.csv -k 2 --covariance diag {}", error.trim().split_once("hint: ").unwrap().1));
}

#[test]
fn columns_left_out() {
    let folder = iris();
    let without = folder.json("fit gmm iris.csv -k 2 --without Sepal.Width,4 -o m.lvm");
    assert_eq!(without["columns"], serde_json::json!(["Sepal.Length", "Petal.Length"]));
    assert_eq!(without["parameters"], folder.json("fit gmm iris.csv -k 2 --columns 1,3")["parameters"]);
    folder.refused("fit gmm iris.csv -k 2 --without Sepal.Wdth", 1, &["\"Sepal.Wdth\"", "Sepal.Width"]);
    folder.refused("fit gmm iris.csv -k 2 --without 2 --columns 1,2", 2, &["--without", "--columns"]);
    folder.refused("fit gmm iris.csv -k 2 --without 2 --weights 2", 1, &["both asked for and left out"]);
    folder.refused("fit gmm iris.csv -k 2 --without 1,2,3,4", 1, &["no column"]);
    folder.refused("score m.lvm iris.csv --without Sepal.Length", 1, &["Sepal.Length", "leaves out", "needs the column"]);
    folder.fine("score m.lvm iris.csv --without Sepal.Width");
}

#[test]
fn errors_about_rows_name_the_line() {
    let mut x = rows(20);
    x[9][2] = 1e200;
    let folder = Folder::new().with("bare.csv", csv(&[], &x[5..]));
    let mut x = rows(20);
    x[4] = vec![f64::NAN; 6];
    // an empty line counts as a line and not as a row
    let text = csv(&NAMES, &x).replace("NaN", "").replacen('\n', "\n\n", 1);
    let folder = folder.with("x.csv", &text);
    folder.refused("fit gmm x.csv -k 1 --missing", 1, &["line 7, row 4 (from 0)", "every cell is missing"]);
    folder.refused("fit gmm bare.csv -k 1", 1, &["line 5, row 4 (from 0), column \"x3\"", "overflows", "--without x3"]);
    let ran = folder.piped("fit gmm - -k 1 --missing", &text);
    assert!(ran.code == 1 && ran.err.contains("standard input: line 7, row 4"), "{ran:?}");
}

#[test]
fn hints_name_the_options_of_the_family() {
    let folder = Folder::new().with("x.csv", csv(&NAMES, &rows(3)));
    assert!(!folder.refused("fit gmm x.csv -k 5", 1, &["(-k)"]).contains("-q"));
    assert!(!folder.refused("fit fa x.csv -q 2", 1, &["(-q)", "3 rows are too few"]).contains("-k"));
    let folder = Folder::new().with("x.csv", csv(&NAMES, &rows(1)));
    assert!(!folder.refused("fit ppca x.csv -q 2", 1, &["(-q)", "1 row is too few"]).contains("-k"));
    assert!(!folder.refused("fit ppca x.csv -q 6", 1, &["set with -q"]).contains("-k"));
}

#[test]
fn a_row_without_an_observed_cell_scores_zero() {
    let folder = iris().with("empty.csv", "Sepal.Length,Sepal.Width,Petal.Length,Petal.Width\n,,,\n5,3,4,1\n");
    for line in ["gmm iris.csv -k 1", "ppca iris.csv -q 2", "fa iris.csv -q 1"] {
        folder.fine(&format!("fit {line} -o m.lvm"));
        assert_eq!(folder.fine("score m.lvm empty.csv --missing -o -").lines().nth(1), Some("0"), "{line}");
    }
}

#[test]
fn two_columns_of_one_name() {
    let folder = Folder::new().with("x.csv", csv(&["a", "a"], &[vec![1.0, 2.0], vec![3.0, 5.0], vec![4.0, 1.0]]));
    folder.refused("fit gmm x.csv -k 1", 1, &["\"a\"", "rename"]);
}

#[test]
fn fewer_rows_than_components_and_as_many() {
    let folder = Folder::new().with("x.csv", "a,b\n1,2\n3,7\n5,1\n");
    folder.refused("fit gmm x.csv -k 4 -o m.lvm", 1, &["x.csv", "3 rows", "4", "-k"]);
    let ran = folder.lvm("fit gmm x.csv -k 3 --json");
    match ran.code {
        // Each row a component: only the floor keeps the likelihood finite, and it says so.
        0 => {
            let fit: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
            assert!(!fit["repairs"].as_array().unwrap().is_empty() && fit["log_likelihood"].is_number());
        }
        code => assert!(code == 1 && ran.err.contains("3") && ran.out.is_empty(), "{ran:?}"),
    }
}

#[test]
fn one_column() {
    let folder = Folder::new().with("x.csv", "a\n1\n2\n4\n9\n11\n10\n");
    let fit = folder.json("fit gmm x.csv -k 1");
    // Mean and maximum-likelihood variance of six numbers.
    assert!((flat(&fit["parameters"]["means"])[0] - 37.0 / 6.0).abs() < 1e-14);
    assert!((flat(&fit["parameters"]["covariances"])[0] - (323.0 / 6.0 - (37.0f64 / 6.0).powi(2))).abs() < 1e-12);
    folder.json("fit gmm x.csv -k 2");
    folder.refused("fit ppca x.csv -q 1 -o m.lvm", 1, &["x.csv"]);
    folder.refused("fit fa x.csv -q 1 -o m.lvm", 1, &["x.csv"]);
}

#[test]
fn more_latent_dimensions_than_columns() {
    let folder = iris();
    folder.refused("fit ppca iris.csv -q 9 -o m.lvm", 1, &["iris.csv", "9 latent dimensions asked for", "4 columns", "-q"]);
    folder.refused("fit fa iris.csv -q 9 -o m.lvm", 1, &["iris.csv", "9"]);
}

#[test]
fn all_rows_equal() {
    let text = "a,b,c,d\n1,2,3,4\n1,2,3,4\n1,2,3,4\n1,2,3,4\n1,2,3,4\n1,2,3,4\n";
    all_refuse(text, "", &["all rows are equal", "hint: ", "rows that differ"]);
    all_refuse(text, "--missing", &["all rows are equal", "hint: ", "rows that differ"]);
}

#[test]
fn a_far_outlier() {
    let mut x = rows(60);
    x[30] = vec![1e9; 6];
    let folder = Folder::new().with("x.csv", csv(&NAMES, &x));
    for family in ["gmm x.csv -k 2", "gmm x.csv -k 2 --covariance spherical", "ppca x.csv -q 1", "fa x.csv -q 1"] {
        let ran = folder.lvm(&format!("fit {family} --json"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{family}: {ran:?}");
        let fit: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert!(list(&fit["trace"]).iter().all(|v| v.is_finite()), "{family}");
    }
    x[30] = vec![1e200; 6];
    let folder = Folder::new().with("x.csv", csv(&NAMES, &x));
    folder.refused("fit gmm x.csv -k 2 -o m.lvm", 1, &["row 30", "rescale"]);
}

#[test]
fn weights_that_are_no_weights() {
    let folder = Folder::new()
        .with("negative.csv", "a,w\n1,1\n2,-1\n4,1\n")
        .with("zero.csv", "a,w\n1,0\n2,0\n4,0\n")
        .with("text.csv", "a,w\n1,1\n2,heavy\n4,1\n");
    folder.refused("fit gmm negative.csv -k 1 --weights w -o m.lvm", 1, &["line 3", "\"w\"", "-1", "negative"]);
    folder.refused("fit gmm zero.csv -k 1 --weights w -o m.lvm", 1, &["\"w\"", "zero"]);
    folder.refused("fit gmm text.csv -k 1 --weights w -o m.lvm", 1, &["line 3", "heavy"]);
    folder.refused("fit gmm zero.csv -k 1 --weights w --columns w -o m.lvm", 1, &["twice"]);
}

#[test]
fn a_model_file_that_is_not_whole_or_not_ours() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    let bytes = std::fs::read(folder.path("m.lvm")).unwrap();
    for length in [0, 1, 7, 8, 50, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(folder.path("cut.lvm"), &bytes[..length]).unwrap();
        for line in ["info cut.lvm", "score cut.lvm faithful.csv", "sample cut.lvm -n 2"] {
            folder.refused(line, 1, &["cut.lvm"]);
        }
    }
    // One digit of the version in the header turned into another.
    let text: Vec<u8> = bytes.clone();
    let at = find(&text, b"version").expect("the header names its version");
    let digit = at + text[at..].iter().position(u8::is_ascii_digit).unwrap();
    let mut other = text;
    other[digit] = b'9';
    std::fs::write(folder.path("other.lvm"), other).unwrap();
    for line in ["info other.lvm", "score other.lvm faithful.csv", "sample other.lvm -n 2", "fit gmm faithful.csv --init other.lvm"] {
        folder.refused(line, 1, &["other.lvm", "of version 9", "reads version 1", "use the program that wrote it"]);
    }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[test]
fn the_wrong_number_of_columns_at_scoring() {
    let folder = faithful().with("one.csv", "eruptions\n3.6\n").with("three.csv", "1,2,3\n4,5,6\n7,8,10\n");
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    for command in ["score m.lvm", "posterior m.lvm", "map m.lvm", "impute m.lvm"] {
        folder.refused(&format!("{command} one.csv"), 1, &["one.csv", "waiting", "m.lvm"]);
        folder.refused(&format!("{command} three.csv"), 1, &["three.csv", "3 columns", "2", "--columns"]);
    }
    folder.fine("score m.lvm three.csv --columns 1,2");
}

#[test]
fn a_failed_fit_leaves_the_old_model_as_it_was() {
    let folder = faithful().with("bad.csv", "a,b\n1,2\n3\n");
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    let before = std::fs::read(folder.path("m.lvm")).unwrap();
    folder.refused("fit gmm bad.csv -k 1 -o m.lvm", 1, &["line 3"]);
    assert_eq!(std::fs::read(folder.path("m.lvm")).unwrap(), before);
}

#[test]
fn responsibilities_that_do_not_fit() {
    let folder = faithful().with("short.csv", "1,0\n0,1\n").with("text.csv", "a\nb\n");
    folder.refused("fit gmm faithful.csv -k 2 --init short.csv", 1, &["272", "2"]);
    folder.refused("fit gmm faithful.csv -k 3 --init r0.csv", 1, &["3", "2"]);
    folder.refused("fit gmm faithful.csv -k 2 --init text.csv", 1, &["text.csv"]);
    folder.refused("fit gmm faithful.csv -k 2 --init lost.csv", 1, &["lost.csv"]);
}
