//! The tests, and what CI runs besides.

use crate::{Outcome, libtorch, packages, setup, tidy};
use std::path::Path;
use xshell::{Shell, cmd};

/// Features beyond the default ones that the tests and the tools see, where OpenBLAS is.
pub(crate) const FEATURES: &str = "lvm-vi/nuts,lvm-verify/oracle";

/// Features for the neural models in all programs. Not with the oracle: libtorch exports a LAPACK, which would take the place of the one that
/// judges. All packages are always named, so that their dependencies keep the features with which they were built before.
pub(crate) const NEURAL_FEATURES: &str = "lvm-vi/nuts,lvm-verify/deep,lvm-cli/deep";

/// Everything that must pass: unit, integration and documentation tests of all crates, with the reference sampler, lvm-deep where
/// libtorch can be had, and the LAPACK oracle where OpenBLAS can.
pub(crate) fn test(shell: &Shell) -> Outcome {
    let features = match setup::openblas(shell) {
        Ok(()) => FEATURES,
        Err(reason) => {
            eprintln!("{reason}\nGoing on without it: tests of the LAPACK oracle are left out.\n");
            "lvm-vi/nuts"
        }
    };
    // nets as small as those of the tests gain nothing from more threads
    let _threads = shell.push_env("OMP_NUM_THREADS", "1");
    let without = without_libtorch(shell);
    cmd!(shell, "cargo test --workspace {without...} --features {features}").run()?;
    if without.is_empty() {
        // the program with neural models is another one: its tests have their name
        cmd!(shell, "cargo test --workspace --features {NEURAL_FEATURES} --bin lvm --test it neural").run()?;
    }
    Ok(())
}

/// What leaves out the crates that need libtorch, where it can't be had.
fn without_libtorch(shell: &Shell) -> &'static [&'static str] {
    match libtorch::provide(shell) {
        Ok(_) => &[],
        Err(reason) => {
            eprintln!("{reason}\nGoing on without it: lvm-deep is left out, and what the features `deep` bring.\n");
            &["--exclude", "lvm-deep"]
        }
    }
}

/// All of CI.
pub(crate) fn ci(shell: &Shell, with_test: bool) -> Outcome {
    step("format");
    cmd!(shell, "cargo fmt --all --check").run()?;
    step("tidy");
    tidy::run(shell)?;
    setup::openblas(shell)?;
    let without = without_libtorch(shell);
    step("clippy");
    // what stands in the place of other code by a feature is seen in a run of its own
    for selection in selections(without.is_empty()) {
        cmd!(shell, "cargo clippy {selection...} --all-targets -- --deny warnings").run()?;
    }
    step("rustdoc");
    {
        let _flags = shell.push_env("RUSTDOCFLAGS", "--deny warnings");
        cmd!(shell, "cargo doc --workspace {without...} --no-deps --document-private-items").run()?;
    }
    step("book");
    packages::book(shell)?;
    if with_test {
        step("test");
        test(shell)?;
    }
    // what is likeliest to find something first
    if due("quick verify") {
        crate::verify(shell, &shell.current_dir(), &["--quick".into()], true)?;
    }
    if due("faults that verify must find") {
        crate::mutants::run(shell, &["--mutants".into()])?;
    }
    if due("test with LAPACK") {
        // the crate whose decompositions change; libtorch, which has a LAPACK of its own, is not among what it is linked with
        cmd!(shell, "cargo test --package lvm-core --features lapack").run()?;
    }
    if due("examples") {
        examples(shell, without)?;
    }
    if due("packages") {
        packages::package(shell, false)?;
    }
    if without.is_empty() && due("a package that depends on lvm-deep") {
        packages::downstream(shell)?;
    }
    if due("licences and advisories") {
        packages::deny(shell)?;
    }
    Ok(())
}

/// Begins a step, unless the time of the run is up: a machine that gives CI so many minutes says by `LVM_CI_UNTIL` (seconds since 1970) until when a
/// step may begin. What is left out is said.
fn due(name: &str) -> bool {
    let until = std::env::var("LVM_CI_UNTIL").ok().and_then(|until| until.parse::<u64>().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let late = until.is_some_and(|until| now > until);
    if late {
        println!("\n== {name}: NOT RUN, the time of this run is up; `cargo xtask ci` runs it");
    } else {
        step(name);
    }
    !late
}

/// Packages and features that together show a tool every line: everything at once, which can be checked though not linked, all but the neural
/// models, and the LAPACK back end.
fn selections(libtorch: bool) -> Vec<Vec<&'static str>> {
    let mut found = Vec::new();
    if libtorch {
        found.push(vec!["--workspace", "--features", "lvm-vi/nuts,lvm-verify/oracle,lvm-verify/deep,lvm-cli/deep"]);
    }
    found.push(vec!["--workspace", "--exclude", "lvm-deep", "--features", FEATURES]);
    found.push(vec!["--package", "lvm-core", "--features", "lapack"]);
    found
}

/// Examples that need no data and take seconds, with their arguments. The others of lvm-deep want data sets and minutes.
const NEURAL_EXAMPLES: [(&str, &str); 1] = [("series", "--quick")];

/// Runs every example of lvm-vi, and those of lvm-deep that take seconds; each must end with exit code 0.
fn examples(shell: &Shell, without: &'static [&'static str]) -> Outcome {
    // as in `test`, so that nothing is built twice
    cmd!(shell, "cargo build --workspace {without...} --features {FEATURES} --examples").run()?;
    let folder = crate::target_directory(shell)?.join("debug").join("examples");
    let run = |name: &str, arguments: &[&str]| -> Outcome {
        let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let start = std::time::Instant::now();
        cmd!(shell, "{program} {arguments...}").quiet().ignore_stdout().run()?;
        println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    };
    let mut names: Vec<String> = shell
        .read_dir(Path::new("crates/lvm-vi/examples"))?
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    for name in &names {
        run(name, &[])?;
    }
    if without.is_empty() {
        for (name, argument) in NEURAL_EXAMPLES {
            run(name, &[argument])?;
        }
    }
    Ok(())
}

fn step(name: &str) {
    println!("\n== {name}");
}
