//! What a newcomer types wrongly: exit code 2 when the command line is at fault, 1 when a file is, always with a way out.

use crate::harness::{Folder, iris};

#[test]
fn nothing_at_all_shows_the_commands() {
    let ran = Folder::new().lvm("");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    for command in ["fit", "select", "score", "posterior", "map", "sample", "impute", "info"] {
        assert!(ran.err.contains(command));
    }
}

#[test]
fn help_and_version_are_answers() {
    let folder = Folder::new();
    assert!(folder.fine("--help").contains("lvm fit gmm iris.csv -k 3"));
    assert!(folder.fine("fit gmm --help").contains("kmeans++"));
    assert!(folder.fine("--version").starts_with("lvm 0."));
    // each under its heading
    let samples = folder.fine("plot samples --help");
    let at = |words: &str| samples.find(words).unwrap_or_else(|| panic!("no {words:?} in {samples}"));
    let order =
        ["Arguments:", "A table to compare the samples with", "Options:", "Seed of the random numbers", "Picture:", "--image", "Output:"];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{samples}");
    let neural = samples.find("Neural models:").unwrap_or(samples.len());
    assert!(at("Seed of the random numbers") < neural, "{samples}");
}

#[test]
fn draws_that_are_too_many_or_too_far() {
    let folder = iris();
    folder.fine("fit gmm iris.csv -k 2 -o m.lvm");
    folder.fine("fit ppca iris.csv -q 2 -o p.lvm");
    for n in ["18446744073709551615", "9223372036854775807", "1000000000000000"] {
        folder.refused(&format!("sample m.lvm -n {n}"), 1, &[n, "no room in memory", "draw fewer"]);
        folder.refused(&format!("sample p.lvm -n {n}"), 1, &[n, "no room in memory"]);
    }
    folder.refused("sample m.lvm -n 99999999999999999999", 2, &["at most 18446744073709551615"]);
    folder.refused("sample m.lvm -n 3 --component -1", 2, &["--component", "at least 0 is needed"]);
    folder.refused("fit gmm iris.csv -k 2 --columns -1", 1, &["there is no column \"-1\""]);
    for z in ["1,nan", "inf,0", "-inf,0"] {
        folder.refused(&format!("sample p.lvm -n 3 --latent {z}"), 2, &["--latent", "a finite number is needed"]);
    }
    folder.refused("sample p.lvm -n 3 --latent 1.79e308,1.79e308", 1, &["too large", "--latent"]);
    assert!(folder.fine("sample p.lvm -n 3 --latent -1,2").lines().count() == 4);
}

#[test]
fn a_file_in_place_of_a_model() {
    let folder = iris();
    folder.refused("fit iris.csv", 2, &["lvm fit gmm iris.csv -k 3", "lvm fit ppca iris.csv -q 2"]);
    folder.refused("select iris.csv", 2, &["lvm select gmm iris.csv --max"]);
    folder.refused("iris.csv", 2, &["lvm fit gmm iris.csv"]);
}

#[test]
fn misspelt_words() {
    let folder = iris();
    folder.refused("fitt gmm iris.csv", 2, &["fit"]);
    folder.refused("fit gnm iris.csv -k 3", 2, &["gmm"]);
    folder.refused("fit gmm iris.csv -k 3 --covarience full", 2, &["--covariance"]);
    folder.refused("fit gmm iris.csv -k 3 --covariance diagonal", 2, &["diag", "spherical"]);
    folder.refused("fit fa iris.csv -q 1 --rotation varimx", 2, &["varimax"]);
    folder.refused("fit gmm iris.csv -k 3 --init kmeans", 2, &["kmeans++", "random"]);
}

#[test]
fn numbers_out_of_range() {
    let folder = iris();
    folder.refused("fit gmm iris.csv -k 0", 2, &["'0'", "at least 1"]);
    folder.refused("fit gmm iris.csv -k abc", 2, &["'abc'", "whole number"]);
    folder.refused("fit gmm iris.csv -k 2.5", 2, &["whole number"]);
    folder.refused("fit gmm iris.csv -k 2 --tol -1", 2, &[]);
    folder.refused("fit gmm iris.csv -k 2 --tol=-1", 2, &["at least 0"]);
    folder.refused("fit gmm iris.csv -k 2 --max-iter 0", 2, &["at least 1"]);
    folder.refused("fit gmm iris.csv -k 2 --reg=-3", 2, &["at least 0"]);
    folder.refused("fit ppca iris.csv -q 0", 2, &["at least 1"]);
    folder.refused("select gmm iris.csv --max 2 --min 3", 2, &["--min 3", "--max 2"]);
    folder.refused("--threads 0 fit gmm iris.csv -k 2", 2, &["at least 1"]);
}

#[test]
fn something_left_out() {
    let folder = iris();
    folder.refused("fit gmm iris.csv", 2, &["-k K", "lvm select gmm"]);
    folder.refused("fit ppca iris.csv", 2, &["--components <Q>"]);
    folder.refused("fit gmm -k 3", 2, &["DATA", "hint: DATA is the table", "Usage: lvm fit gmm"]);
    folder.refused("score iris.csv", 2, &["hint: the model comes first and the table after it", "Usage: lvm score"]);
    folder.refused("score", 2, &["hint: MODEL is a file that lvm fit or lvm select wrote", "DATA is the table"]);
    folder.refused("info", 2, &["hint: MODEL is a file"]);
    folder.refused("infer m.lvm iris.csv", 2, &["--method", "hint: METHOD is exact, mean-field"]);
    let ran = folder.lvm("fit");
    assert!(ran.code == 2 && ["gmm", "ppca", "fa", "lda"].iter().all(|name| ran.err.contains(name)), "{ran:?}");
    folder.refused("select gmm iris.csv", 2, &["--max"]);
    folder.refused("sample m.lvm", 2, &["--rows <N>"]);
}

#[test]
fn options_that_do_not_go_together() {
    let folder = iris();
    folder.refused("fit ppca iris.csv -q 2 --max-iter 10", 2, &["--max-iter", "--method em"]);
    folder.refused("fit ppca iris.csv -q 2 --method eigen --missing", 2, &["--missing", "--method em"]);
    folder.refused("fit ppca iris.csv -q 1 --method gram --tol 1e-3", 2, &["--tol"]);
    folder.refused("fit fa iris.csv -q 1 --method quasi-newton --missing", 2, &["--method squarem or em"]);
    folder.refused("fit fa iris.csv -q 1 --tol 1e-3", 2, &["--tol", "ecme"]);
    folder.refused("select gmm iris.csv --max 2 --folds 3", 2, &["--criterion held-out"]);
    folder.refused("select gmm iris.csv --max 2 --min 0", 2, &["--min 0"]);
    folder.refused("score m.lvm iris.csv -o - --json", 2, &["--json"]);
    folder.refused("fit gmm iris.csv --init r.csv -k 2 --restarts 3", 1, &["r.csv"]);
}

#[test]
fn files_that_are_not_there_or_not_tables() {
    let folder = iris().with("notes.lvm", "these are notes");
    folder.refused("fit gmm irsi.csv -k 3", 1, &["irsi.csv", "cannot open", "did you mean iris.csv?"]);
    folder.refused("fit gmm . -k 3", 1, &["cannot read", "hint: name a file in that folder"]);
    folder.refused("score . iris.csv", 1, &["cannot read", "hint: name a file in that folder"]);
    folder.refused("info .", 1, &["hint: name a file in that folder"]);
    folder.refused("score nowhere.lvm iris.csv", 1, &["nowhere.lvm"]);
    folder.refused("info notes.lvm", 1, &["notes.lvm"]);
    folder.refused("score iris.csv iris.csv", 1, &["iris.csv", "lvm fit"]);
}

#[test]
fn a_column_that_is_not_there() {
    let folder = iris();
    folder.refused("fit gmm iris.csv -k 2 --columns Sepal.Lenght", 1, &["\"Sepal.Lenght\"", "did you mean Sepal.Length?"]);
    folder.refused("fit gmm iris.csv -k 2 --without Petal.Wdth", 1, &["\"Petal.Wdth\"", "did you mean Petal.Width?"]);
    folder.refused("fit gmm iris.csv -k 2 --weights w", 1, &["\"w\"", "Petal.Width"]);
    folder.refused("fit gmm iris.csv -k 2 --columns 7", 1, &["\"7\"", "Sepal.Length"]);
}

#[test]
fn endings_name_formats() {
    let folder = iris();
    folder.fine("fit gmm iris.csv -k 2 -o m.lvm");
    folder.refused("sample m.lvm -n 3 -o out.xlsx", 2, &["out.xlsx", ".csv"]);
    folder.refused("map m.lvm iris.csv -o out", 2, &[".npy"]);
}

#[test]
fn options_of_another_family() {
    let folder = iris();
    folder.fine("fit gmm iris.csv -k 2 -o g.lvm");
    folder.fine("fit ppca iris.csv -q 2 -o p.lvm");
    folder.refused("sample p.lvm -n 3 --component 0", 2, &["--latent"]);
    folder.refused("sample g.lvm -n 3 --latent 0,0", 2, &["--component"]);
    folder.refused("sample g.lvm -n 3 --component 2", 1, &["no component 2", "from 0 to 1"]);
    folder.refused("sample p.lvm -n 3 --latent 1,2,3", 2, &["3 numbers", "2 latent"]);
    folder.refused("posterior g.lvm iris.csv --covariance", 2, &["PPCA"]);
    folder.refused("map p.lvm iris.csv --bartlett", 2, &["factor analysis"]);
    folder.refused("fit gmm iris.csv -k 2 --init p.lvm", 1, &["p.lvm", "family ppca", "Gaussian mixture", "hint: --init goes on"]);
    folder.refused("score g.lvm iris.csv --without Sepal.Width", 1, &["--without leaves out Sepal.Width", "g.lvm", "needs the column"]);
    folder.refused("score g.lvm iris.csv --columns Sepal.Width", 1, &["1 column of numbers", "g.lvm needs 4"]);
}

#[test]
fn options_of_another_command() {
    let folder = iris();
    folder.refused(
        "fit ppca iris.csv -q 2 --covariance full",
        2,
        &["'--covariance'", "an option of lvm fit gmm, lvm fit bgmm, not of lvm fit ppca"],
    );
    folder.refused("fit gmm iris.csv -k 2 --rotation=varimax", 2, &["an option of lvm fit fa, not of lvm fit gmm"]);
    folder.refused("fit gmm iris.csv -k 2 --max 5", 2, &["lvm select gmm", "not of lvm fit gmm"]);
    folder.refused("fit gmm iris.csv --factors 2", 2, &["'--factors'", "-k is the number of components"]);
    folder.refused("fit fa iris.csv --components 2", 2, &["'--components'", "-q is the number of latent dimensions or factors"]);
    folder.refused("score g.lvm iris.csv --bartlett", 2, &["an option of lvm map, not of lvm score"]);
    folder.refused("doctor iris.csv", 2, &["'iris.csv'", "takes no file"]);
}

#[test]
fn model_and_table_in_each_others_place() {
    let folder = iris().with("notes", "some words\nin lines\n");
    folder.fine("fit gmm iris.csv -k 2 -o g.lvm");
    folder.refused("fit gmm g.lvm -k 2", 1, &["g.lvm", "a model file", "a table of rows belongs here"]);
    folder.refused("score g.lvm g.lvm", 1, &["a table of rows belongs here", ".csv, .tsv or .npy"]);
    folder.refused("compare g.lvm g.lvm", 1, &["g.lvm", "a table of rows belongs here"]);
    folder.refused("plot latent iris.csv g.lvm -o z.svg", 1, &["iris.csv", "the model comes first"]);
    folder.refused("score iris.csv g.lvm", 1, &["the model comes first"]);
    folder.refused("info notes", 1, &["this is a table"]);
    folder.refused("sample g.lvm iris.csv -n 3", 2, &["'iris.csv'", "no table"]);
    folder.refused("sample g.lvm 10", 2, &["-n"]);
    folder.refused("fit gmm iris.csv iris.csv -k 3", 2, &["one table at a time"]);
    folder.refused("fit gmm iris.csv -k 2 -o -", 2, &["-o -", "name a file"]);
    folder.refused("posterior g.lvm iris.csv -o -", 2, &["leave it out"]);
    folder.refused("select lda iris.csv --max 3", 2, &["'lda'", "lvm fit lda DATA"]);
}

#[test]
fn hints_that_fit_the_case() {
    let words = "a,b\nx,1\ny,2\n";
    let folder =
        iris().with("words.csv", words).with("short.csv", "a,b\n1,0\n0,1\n").with("matrix.csv", "a,b,c\n1,0.5,0.1\n0.4,1,0.2\n0.1,0.2,1\n");
    folder.refused("fit gmm iris.csv -k 2 --header no", 1, &["line 1", "leave out --header no"]);
    folder.refused("fit gmm iris.csv -k 2 --columns 0", 1, &["numbered from 1"]);
    folder.refused("fit gmm iris.csv -k 2 --separator ;", 1, &["--separator"]);
    folder.refused("fit gmm words.csv -k 2 --separator ;", 1, &["no column holds numbers", "--separator"]);
    folder.fine("fit gmm iris.csv -k 2 --separator ,");
    folder.refused("fit gmm iris.csv -k 2 --init short.csv", 1, &["expected 150, found 2", "a row for each row of DATA"]);
    let asymmetric = folder.refused("fit fa matrix.csv -q 1 --covariance-of 50", 1, &["matrix.csv", "symmetric"]);
    assert!(!asymmetric.contains("--covariance"), "{asymmetric}");
    folder.fine("fit ppca iris.csv -q 2 -o p.lvm");
    folder.refused("map p.lvm iris.csv --bartlett", 2, &["p.lvm", "family ppca"]);
}

#[test]
fn verbs_and_models_of_other_programs() {
    let folder = iris();
    for (line, meant) in [
        ("gmm iris.csv -k 3", "lvm fit gmm"),
        ("train iris.csv", "lvm fit gmm|ppca|fa DATA"),
        ("predict m.lvm iris.csv", "lvm map MODEL DATA"),
        ("transform m.lvm iris.csv", "lvm posterior MODEL DATA"),
        ("generate m.lvm -n 3", "lvm sample MODEL -n N"),
        ("fit mixture iris.csv -k 3", "gmm is the Gaussian mixture"),
        ("fit pca iris.csv -q 2", "ppca"),
    ] {
        folder.refused(line, 2, &[meant]);
    }
}

#[test]
fn sizes_with_the_wrong_letter_or_none() {
    let folder = iris();
    folder.refused("fit gmm iris.csv -q 3", 2, &["'-q'", "-k is the number of components"]);
    folder.refused("fit gmm iris.csv -K 3", 2, &["-k is the number of components"]);
    folder.refused("fit ppca iris.csv -q 1 -k 2", 2, &["'-k'", "-q is the number"]);
    folder.refused("fit gmm iris.csv 3", 2, &["'3'", "goes with -k"]);
    folder.refused("fit fa iris.csv 2 -q 1", 2, &["goes with -q"]);
    folder.refused("select gmm iris.csv -k 5", 2, &["--max"]);
    folder.refused("fit gmm iris.csv -k 1-5", 2, &["'1-5'", "lvm select"]);
    folder.refused("fit gmm iris.csv -k 3 --seed -1", 2, &["'-1'", "at least 0"]);
}

#[test]
fn lists_with_blanks_and_words_in_capitals() {
    let folder = iris();
    folder.refused("fit gmm iris.csv -k 2 --columns Sepal.Length Sepal.Width", 2, &["'Sepal.Width'", "commas", "--columns a,b"]);
    folder.refused("select gmm iris.csv --max 2 --covariance full diag", 2, &["'diag'", "commas"]);
    folder.fine("fit gmm iris.csv -k 2 --covariance FULL");
}

#[test]
fn a_model_is_not_written_over_a_table() {
    let folder = iris();
    let before = folder.read("iris.csv");
    folder.refused("fit gmm iris.csv -k 2 -o iris.csv", 2, &["iris.csv", "ending of a table", ".lvm"]);
    folder.refused("select ppca iris.csv --max 2 -o best.npy", 2, &["ending of a table"]);
    assert_eq!(folder.read("iris.csv"), before);
}

#[test]
fn a_name_without_its_ending() {
    let folder = iris();
    folder.refused("fit gmm iris -k 2", 1, &["did you mean iris.csv?"]);
    folder.refused("score nothing.lvm iris.csv", 1, &["check the name"]);
}
