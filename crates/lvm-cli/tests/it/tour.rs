//! The tours: every line that shows the program at work does what it shows.

use crate::harness::Folder;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of a page's code blocks that call the program, without its name and without comments.
fn calls(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let mut code = false;
    let mut calls = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if let (true, Some(call)) = (code, line.strip_prefix("lvm ")) {
            calls.push(call.split('#').next().unwrap_or_default().trim().to_owned());
        }
    }
    calls
}

/// Old Faithful where the README says it is, below the folder the program runs in.
fn clone_of_the_repository() -> Folder {
    let folder = Folder::new();
    let data = "crates/lvm-data/data";
    std::fs::create_dir_all(folder.path(data)).unwrap();
    std::fs::copy(root().join(data).join("old_faithful.csv"), folder.path(data).join("old_faithful.csv")).unwrap();
    folder
}

#[test]
fn every_line_of_the_readme_works() {
    let folder = clone_of_the_repository();
    let calls = calls("README.md");
    let verbs: Vec<&str> = calls.iter().filter_map(|call| call.split_whitespace().next()).collect();
    for verb in ["fit", "select", "score", "posterior", "sample", "info"] {
        assert!(verbs.contains(&verb), "the tour does not show lvm {verb}");
    }
    for call in &calls {
        folder.fine(call);
        let mut words = call.split_whitespace();
        if words.any(|word| word == "-o") {
            let file = words.next().unwrap();
            assert!(folder.path(file).is_file(), "lvm {call} wrote no {file}");
        }
    }
    // what the tour wrote is what it says: a score and two responsibilities a row, and as many draws as were asked for
    let lines = |name: &str| folder.read(name).lines().count();
    assert_eq!((lines("scores.csv"), lines("responsibilities.csv"), lines("draws.csv")), (273, 273, 1001));
}

#[test]
fn every_line_of_the_page_of_the_crate_works() {
    let holes = "sepal_length,sepal_width,petal_length,petal_width\n5.1,,1.4,0.2\n,,4.7,1.4\n6.3,3.3,6.0,NA\n";
    let folder = Folder::new().with("holes.csv", holes);
    std::fs::copy(root().join("crates/lvm-data/data/iris.csv"), folder.path("iris.csv")).unwrap();
    let calls = calls("crates/lvm-cli/README.md");
    assert!(calls.len() >= 8, "{calls:?}");
    calls.iter().for_each(|call| drop(folder.fine(call)));
}
