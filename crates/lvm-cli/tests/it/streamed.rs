//! `--stream` on data that can't be used: the same words as for a table in memory.

use crate::bad_input::{NAMES, rows};
use crate::fit::npy;
use crate::harness::{Folder, csv};

const FAMILIES: [&str; 3] = ["gmm DATA -k 2", "ppca DATA -q 1", "fa DATA -q 1"];

/// Each line is refused with these words, from memory and from disk in the same way.
fn refused(folder: &Folder, name: &str, options: &str, words: &[&str]) {
    for family in FAMILIES {
        let line = format!("fit {} {options} -o m.lvm", family.replace("DATA", name));
        let memory = folder.refused(&line, 1, &[&[name], words].concat());
        let streamed = folder.refused(&format!("{line} --stream"), 1, &[]);
        assert_eq!(memory, streamed, "{line}");
    }
}

/// A table as text and as numbers.
fn both(x: &[Vec<f64>]) -> Folder {
    Folder::new().with("x.csv", csv(&NAMES, x).replace("NaN", "")).with("x.npy", npy(x))
}

#[test]
fn empty_and_header_only() {
    let folder = Folder::new().with("x.csv", "").with("h.csv", "a,b\n").with("x.npy", "");
    refused(&folder, "x.csv", "", &["empty"]);
    refused(&folder, "x.npy", "", &["empty"]);
    refused(&folder, "h.csv", "", &["header", "--header no"]);
}

#[test]
fn ragged_and_text() {
    let folder = Folder::new().with("ragged.csv", "a,b,c\n1,2,3\n4,5\n6,7,8\n").with("text.csv", "a,b\n1,2\n3,x\n5,6\n2,9\n");
    refused(&folder, "ragged.csv", "", &["line 3", "2", "3", "--separator"]);
    refused(&folder, "text.csv", "--columns a,b", &["line 3", "\"b\"", "\"x\"", "--columns"]);
}

#[test]
fn missing_and_infinite_cells() {
    let mut x = rows(20);
    x[7][2] = f64::NAN;
    let folder = both(&x);
    refused(&folder, "x.csv", "", &["line 9", "row 7", "\"c\"", "--missing"]);
    refused(&folder, "x.npy", "", &["row 7", "\"x3\"", "--missing"]);
    x[7][2] = f64::INFINITY;
    let folder = both(&x);
    refused(&folder, "x.csv", "", &["line 9", "row 7", "\"c\"", "infinite", "remove or replace"]);
    refused(&folder, "x.csv", "--missing", &["line 9", "row 7", "\"c\"", "infinite", "remove or replace"]);
    // what stands in the cell is known where the table is read whole
    for option in ["", "--missing", "--stream", "--missing --stream"] {
        for family in FAMILIES {
            let line = format!("fit {} {option} -o m.lvm", family.replace("DATA", "x.npy"));
            folder.refused(&line, 1, &["x.npy: row 7", "\"x3\"", "infinite; remove or replace it"]);
        }
    }
}

#[test]
fn constant_columns() {
    let mut x = rows(20);
    x.iter_mut().for_each(|row| row[1] = 3.0);
    let folder = both(&x);
    for (name, column) in [("x.csv", "b"), ("x.npy", "x2")] {
        // a constant column is no fault for probabilistic PCA
        for family in ["gmm DATA -k 2", "fa DATA -q 1"] {
            let line = format!("fit {} -o m.lvm", family.replace("DATA", name));
            let memory = folder.refused(&line, 1, &[name, "is constant", &format!("--without {column}")]);
            assert_eq!(memory, folder.refused(&format!("{line} --stream"), 1, &[]));
        }
        let line = format!("fit ppca {name} -q 1");
        assert_eq!(folder.json(&line), folder.json(&format!("{line} --stream")));
    }
}

#[test]
fn a_row_or_a_column_with_everything_missing() {
    let mut x = rows(20);
    x[4] = vec![f64::NAN; 6];
    let folder = both(&x);
    refused(&folder, "x.csv", "--missing", &["line 6", "row 4", "every cell is missing", "remove the row"]);
    refused(&folder, "x.npy", "--missing", &["row 4", "every cell is missing", "remove the row"]);
    let mut x = rows(20);
    x.iter_mut().for_each(|row| row[1] = f64::NAN);
    let folder = both(&x);
    refused(&folder, "x.csv", "--missing", &["\"b\"", "missing", "--without b"]);
    refused(&folder, "x.npy", "--missing", &["\"x2\"", "missing", "--without x2"]);
}

#[test]
fn weights_that_are_no_weights() {
    let weighted = |w: &dyn Fn(usize) -> f64| {
        let mut x = rows(20);
        x.iter_mut().enumerate().for_each(|(i, row)| row[5] = w(i));
        both(&x)
    };
    for (name, column) in [("x.csv", "f"), ("x.npy", "x6")] {
        let by = format!("--weights {column}");
        refused(&weighted(&|_| 0.0), name, &by, &[column, "zero"]);
        refused(&weighted(&|i| if i == 3 { -1.0 } else { 1.0 }), name, &by, &["row 3", column, "-1", "negative"]);
        refused(&weighted(&|i| if i == 3 { f64::INFINITY } else { 1.0 }), name, &by, &["row 3", column, "finite"]);
    }
}
