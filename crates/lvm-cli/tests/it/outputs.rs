//! Places that can't be written: refused before any work where that can be known, and never half a file.

use crate::harness::{Folder, faithful};

/// Old Faithful, a mixture and a PPCA of it.
fn with_models() -> Folder {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    folder.fine("fit ppca faithful.csv -q 1 -o p.lvm");
    folder
}

#[test]
fn a_folder_that_is_not_there() {
    let folder = with_models();
    for line in [
        "fit gmm faithful.csv -k 2 -o nowhere/x.lvm",
        "select gmm faithful.csv --max 2 -o nowhere/x.lvm",
        "score m.lvm faithful.csv -o nowhere/x.csv",
        "posterior m.lvm faithful.csv -o nowhere/x.csv",
        "map m.lvm faithful.csv -o nowhere/x.csv",
        "infer m.lvm faithful.csv --method exact -o nowhere/x.csv",
        "sample m.lvm -n 3 -o nowhere/x.csv",
        "impute m.lvm faithful.csv -o nowhere/x.csv",
        "impute m.lvm faithful.csv --sd nowhere/x.csv",
        "verify m.lvm faithful.csv --html nowhere/x.html",
        "plot trace m.lvm -o nowhere/x.svg",
        "plot latent m.lvm faithful.csv -o nowhere/x.png",
    ] {
        folder.refused(line, 1, &["nowhere/x.", "no folder nowhere", "make it first"]);
    }
    folder.refused("map m.lvm faithful.csv -o r0.csv/x.csv", 1, &["r0.csv is a file, not a folder"]);
    folder.refused("map m.lvm r0.csv/x.csv", 1, &["r0.csv/x.csv", "hint: a part of this path is a file"]);
}

#[test]
fn a_folder_where_a_file_belongs() {
    let folder = with_models();
    for name in ["folder", "folder.csv", "folder.html", "folder.svg"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    for line in [
        "fit gmm faithful.csv -k 2 -o folder",
        "map m.lvm faithful.csv -o folder.csv",
        "infer m.lvm faithful.csv --method exact -o folder.csv",
        "impute m.lvm faithful.csv --sd folder.csv",
        "verify m.lvm faithful.csv --html folder.html",
        "plot trace m.lvm -o folder.svg",
    ] {
        folder.refused(line, 1, &["folder", "cannot write", "name a file in it"]);
    }
}

#[test]
fn a_table_that_is_read_is_not_written_over() {
    let folder = with_models();
    let before = folder.read("faithful.csv");
    for line in [
        "score m.lvm faithful.csv -o faithful.csv",
        "posterior m.lvm faithful.csv -o ./faithful.csv",
        "map m.lvm ./faithful.csv -o faithful.csv",
        "infer m.lvm faithful.csv --method exact -o faithful.csv",
        "impute m.lvm faithful.csv -o faithful.csv",
        "impute m.lvm faithful.csv --sd faithful.csv",
        "impute m.lvm faithful.csv -o new.csv --sd ./new.csv",
    ] {
        folder.refused(line, 2, &[".csv: this command has another use for that file", "name another one"]);
    }
    assert_eq!(folder.read("faithful.csv"), before);
    // nor by a model, whatever the name of the table
    let folder = folder.with("table.dat", &before).with("table", &before);
    #[cfg(unix)]
    std::os::unix::fs::symlink("table", folder.path("link")).unwrap();
    for line in [
        "fit gmm table.dat -k 2 -o table.dat",
        "fit ppca table -q 1 -o ./table",
        #[cfg(unix)]
        "fit bgmm table -k 2 -o link",
        "select gmm table.dat --max 2 -o table.dat",
        "select ppca table.dat --max 1 -o table.dat",
    ] {
        folder.refused(line, 2, &["this command has another use for that file", "name another one"]);
    }
    assert_eq!((folder.read("table.dat"), folder.read("table")), (before.clone(), before));
}

#[test]
fn what_is_there_is_replaced() {
    let folder = with_models().with("x.csv", "old\n").with("old.lvm", "old");
    let before = folder.files();
    folder.fine("map m.lvm faithful.csv -o x.csv");
    folder.fine("fit ppca faithful.csv -q 1 -o old.lvm");
    assert!(folder.read("x.csv").starts_with("component\n") && folder.read("x.csv").lines().count() == 273);
    assert_eq!((folder.fine("info old.lvm"), folder.files()), (folder.fine("info p.lvm"), before));
}

#[test]
fn an_ending_that_names_no_format() {
    let folder = with_models();
    for line in
        ["map m.lvm faithful.csv -o x.xlsx", "infer m.lvm faithful.csv --method exact -o x.xlsx", "impute m.lvm faithful.csv --sd x.xlsx"]
    {
        folder.refused(line, 2, &["x.xlsx", ".csv, .tsv or .npy"]);
    }
    folder.refused("verify m.lvm faithful.csv --html x.pdf", 2, &["x.pdf", ".html"]);
}

/// Every way to print an answer: clap's own, people's, JSON, tables.
const PRINTED: [&str; 21] = [
    "--help",
    "--version",
    "help fit",
    "fit --help",
    "fit gmm --help",
    "fit gmm faithful.csv -k 2",
    "fit gmm faithful.csv -k 2 --json",
    "select gmm faithful.csv --max 2",
    "score m.lvm faithful.csv",
    "score m.lvm faithful.csv -o -",
    "posterior m.lvm faithful.csv",
    "map m.lvm faithful.csv",
    "infer m.lvm faithful.csv --method exact",
    "infer p.lvm faithful.csv --method mean-field --json",
    "sample m.lvm -n 100000",
    "impute m.lvm faithful.csv",
    "info m.lvm",
    "compare m.lvm p.lvm faithful.csv",
    "verify m.lvm faithful.csv",
    "plot trace m.lvm -o t.svg --json",
    "doctor",
];

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_standard_output() {
    let folder = with_models();
    for line in PRINTED {
        let ran = folder.full(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        for word in ["error: standard output", "No space left", "free some"] {
            assert!(ran.err.contains(word), "{line}: no {word:?} in {}", ran.err);
        }
    }
    assert_eq!(folder.files(), ["faithful.csv", "m.lvm", "p.lvm", "r0.csv", "t.svg"]);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = with_models();
    for line in PRINTED {
        let ran = folder.unread(line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
    // what is wrong is still said
    let ran = folder.unread("fit gmm");
    assert!(ran.code == 2 && ran.err.starts_with("error: "), "{ran:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_a_file() {
    let folder = with_models();
    for name in ["full.lvm", "full.csv", "full.npy", "full.html"] {
        std::os::unix::fs::symlink("/dev/full", folder.path(name)).unwrap();
    }
    for line in [
        "fit gmm faithful.csv -k 2 -o full.lvm",
        "fit gmm faithful.csv -k 2 -o full.lvm --json",
        "select gmm faithful.csv --max 2 -o full.lvm",
        "score m.lvm faithful.csv -o full.csv",
        "posterior m.lvm faithful.csv -o full.npy",
        "map m.lvm faithful.csv -o full.csv",
        "infer m.lvm faithful.csv --method exact -o full.csv",
        "sample m.lvm -n 3 -o full.npy",
        "impute m.lvm faithful.csv -o full.csv",
        "impute m.lvm faithful.csv --sd full.csv",
        "verify m.lvm faithful.csv --html full.html",
    ] {
        folder.refused(line, 1, &["full.", "No space left", "free some"]);
    }
}
