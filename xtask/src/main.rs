//! Tasks of the lvm workspace. `cargo xtask` without arguments lists them.
//!
//! Builds in seconds and links nothing: it must run on a machine that has Rust, a C compiler and python3, and nothing else yet.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod checks;
mod libtorch;
mod mutants;
mod packages;
mod setup;
mod tidy;

use std::process::ExitCode;
use xshell::{Shell, cmd};

/// What every task returns; the message says what failed.
type Outcome = Result<(), Box<dyn std::error::Error>>;

const USAGE: &str = "\
cargo xtask verify [FLAGS]   install what is missing, then judge the models against exact truths (flags go to lvm-verify: see --help there)
cargo xtask verify --no-deep  the same without the neural models and libtorch
cargo xtask verify --mutants [NAME …]   plant every known fault in a separate build and print which check finds which
cargo xtask test             everything that must pass
cargo xtask ci               format, tidy, clippy, rustdoc, the book, test, the lapack leg, examples, packages, licences, faults, quick verify
cargo xtask ci --without-test   the same, for after `cargo xtask test`
cargo xtask bench [FILTER]   criterion benches
cargo xtask bench --peers    the same work by scikit-learn, NumPyro, PyTorch and by us, with ratios (--only neural: PyTorch's alone)
cargo xtask docs             rustdoc of all crates, and the book if mdbook is there
cargo xtask packages         every published package, built from its own contents
cargo xtask setup            install what is missing and say what can't be
cargo xtask tidy             checks of the tree itself";

fn main() -> ExitCode {
    if let Some(code) = mutants::compile() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    match run(task, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask {task}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str, rest: &[String]) -> Outcome {
    let shell = Shell::new()?;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask must lie in the workspace")?;
    let called_from = shell.current_dir();
    shell.change_dir(root);
    match task {
        "verify" if rest.iter().any(|f| f == "--mutants") => mutants::run(&shell, rest),
        "neural" => match rest {
            [file] => neural(&shell, std::path::Path::new(file)),
            _ => Err("is called by `verify` with a file".into()),
        },
        "verify" => verify(&shell, &called_from, rest, false),
        "test" => none(rest).and_then(|()| checks::test(&shell)),
        "ci" => match rest {
            [] => checks::ci(&shell, true),
            [flag] if flag == "--without-test" => checks::ci(&shell, false),
            _ => Err("the only flag is --without-test".into()),
        },
        "bench" => bench::run(&shell, rest),
        "packages" => none(rest).and_then(|()| packages::package(&shell, true)),
        "docs" => none(rest).and_then(|()| docs(&shell)),
        "setup" => none(rest).and_then(|()| setup::run(&shell)),
        "tidy" => none(rest).and_then(|()| tidy::run(&shell)),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("there is no task `{other}`; these are:\n{USAGE}").into()),
    }
}

/// Refuses arguments of a task that takes none.
fn none(rest: &[String]) -> Outcome {
    match rest.first() {
        None => Ok(()),
        Some(argument) => Err(format!("takes no arguments, but got `{argument}`").into()),
    }
}

/// Says to the program that provides layer V in which way to build it.
const DEVELOPMENT: &str = "LVM_XTASK_DEVELOPMENT";

/// Builds lvm-verify, with the LAPACK oracle where OpenBLAS is or can be had, and runs it where the user stands. In a `development` build, which is
/// optimised too, nothing is compiled that the tests have compiled already.
fn verify(shell: &Shell, called_from: &std::path::Path, flags: &[String], development: bool) -> Outcome {
    let oracle = setup::openblas(shell);
    if let Err(reason) = &oracle {
        eprintln!("{reason}\nGoing on without it: checks that need the LAPACK oracle will be marked NOT RUN.\n");
    }
    // the checks of neural models run beside the others where an earlier run has provided all that they need; else `xtask neural FILE`
    // provides it when everything else is printed. They are built first: in development builds that leaves an lvm-verify without the oracle
    let ready = if wants_neural(flags) && libtorch::is_there(shell) { built_before(shell, development) } else { None };
    println!("building lvm-verify (the first time takes some minutes) …");
    let program = match (development, oracle.is_ok()) {
        (true, _) => built_for_tests(shell, "lvm-verify", checks::FEATURES)?,
        (false, true) => build(shell, "lvm-verify", &["--features", "oracle"])?,
        (false, false) => build(shell, "lvm-verify", &[])?,
    };
    let (neural, beside) = match ready {
        Some(program) => (program.display().to_string(), Some("--deep-beside")),
        None => (format!("{}\u{1f}neural", std::env::current_exe()?.display()), None),
    };
    let mut command = std::process::Command::new(program);
    if development {
        command.env(DEVELOPMENT, "1");
    }
    // the summary above already says what failed
    let status = command.args(flags).args(["--deep", &neural]).args(beside).current_dir(called_from).status()?;
    if status.success() { Ok(()) } else { Err(format!("lvm-verify ended with {status}").into()) }
}

/// Provides libtorch, builds lvm-verify-deep, and has it answer the request in a file.
fn neural(shell: &Shell, file: &std::path::Path) -> Outcome {
    libtorch::provide(shell)?;
    println!("building the checks of the neural models (the first time takes some minutes) …");
    let program = neural_checks(shell, std::env::var_os(DEVELOPMENT).is_some())?;
    cmd!(shell, "{program} {file}").quiet().run()?;
    Ok(())
}

/// Builds lvm-verify-deep; where it lies.
fn neural_checks(shell: &Shell, development: bool) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    match development {
        true => built_for_tests(shell, "lvm-verify-deep", checks::NEURAL_FEATURES),
        false => build(shell, "lvm-verify-deep", &["--features", "deep"]),
    }
}

/// lvm-verify-deep, brought up to date, where it has been built before; where that fails, the other way says why.
fn built_before(shell: &Shell, development: bool) -> Option<std::path::PathBuf> {
    let folder = target_directory(shell).ok()?.join(if development { "debug" } else { "release" });
    let program = folder.join(format!("lvm-verify-deep{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        return None;
    }
    println!("bringing the checks of the neural models up to date …");
    neural_checks(shell, development).ok()
}

/// Whether flags of lvm-verify ask for checks of layer V.
fn wants_neural(flags: &[String]) -> bool {
    const WITHOUT: [&str; 9] = ["--no-deep", "--list", "--help", "-h", "--version", "-V", "--self-test", "--renew-golden", "--mutants"];
    let given = |f: &String| f.split('=').next().is_some_and(|name| WITHOUT.contains(&name));
    let layers = flags.iter().enumerate().filter_map(|(i, f)| match f.strip_prefix("--layer")? {
        "" => flags.get(i + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    });
    let layers: Vec<&str> = layers.flat_map(|l| l.split(',')).collect();
    !flags.iter().any(given) && (layers.is_empty() || layers.iter().any(|l| l.eq_ignore_ascii_case("v")))
}

/// Builds a program of lvm-verify for use; where it lies.
fn build(shell: &Shell, name: &str, features: &[&str]) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    cmd!(shell, "cargo build --quiet --release --package lvm-verify --bin {name} {features...}").quiet().run()?;
    Ok(target_directory(shell)?.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// The same as the tests build it: with all packages and their development dependencies chosen, dependencies have the features that they have
/// there, and nothing is compiled twice.
fn built_for_tests(shell: &Shell, name: &str, features: &str) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    cmd!(shell, "cargo test --quiet --no-run --workspace --test program --features {features}").quiet().run()?;
    Ok(target_directory(shell)?.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// Where cargo puts its output.
fn target_directory(shell: &Shell) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let metadata = cmd!(shell, "cargo metadata --format-version 1 --no-deps --offline").quiet().ignore_stderr().read()?;
    let key = "\"target_directory\":\"";
    let start = metadata.find(key).ok_or("cargo metadata names no target directory")? + key.len();
    let end = start + metadata[start..].find('"').ok_or("cargo metadata is cut short")?;
    Ok(metadata[start..end].replace("\\\\", "\\").into())
}

fn docs(shell: &Shell) -> Outcome {
    cmd!(shell, "cargo doc --workspace --no-deps").run()?;
    packages::book(shell)
}

#[cfg(test)]
mod tests {
    use super::wants_neural;

    #[test]
    fn neural_checks_are_built_for_those_who_ask_for_them() {
        let of = |flags: &str| wants_neural(&flags.split(' ').filter(|f| !f.is_empty()).map(str::to_owned).collect::<Vec<_>>());
        assert!(of("") && of("--quick --layer N,V") && of("--layer=v"));
        assert!(!of("--no-deep") && !of("--layer N --quick") && !of("--layer=N,C") && !of("--renew-golden=why") && !of("--list"));
    }
}
