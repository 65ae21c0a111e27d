//! The tests, and what CI runs besides.

use crate::{Outcome, libtorch, setup, tidy};
use xshell::{Shell, cmd};

/// The crates that are published, in the order of their dependencies.
const PUBLISHED: [&str; 6] = ["lvm-core", "lvm-vi", "lvm-data", "lvm-deep", "lvm-verify", "lvm-cli"];

/// Everything that must pass: unit, integration and documentation tests of all crates, with the reference sampler, and the LAPACK oracle
/// where it can be had.
pub(crate) fn test(shell: &Shell) -> Outcome {
    let features = match setup::openblas(shell) {
        Ok(()) => "lvm-vi/nuts,lvm-verify/oracle",
        Err(reason) => {
            eprintln!("{reason}\nGoing on without it: tests of the LAPACK oracle are left out.\n");
            "lvm-vi/nuts"
        }
    };
    // nets as small as those of the tests gain nothing from more threads
    let _threads = shell.push_env("OMP_NUM_THREADS", "1");
    let without = without_libtorch(shell);
    cmd!(shell, "cargo test --workspace {without...} --features {features}").run()?;
    Ok(())
}

/// What leaves out the crates that need libtorch, where it can't be had.
fn without_libtorch(shell: &Shell) -> &'static [&'static str] {
    match libtorch::provide(shell) {
        Ok(_) => &[],
        Err(reason) => {
            eprintln!("{reason}\nGoing on without it: lvm-deep is left out.\n");
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
    step("clippy");
    setup::openblas(shell)?;
    let without = without_libtorch(shell);
    cmd!(shell, "cargo clippy --workspace {without...} --all-targets --features lvm-vi/nuts,lvm-verify/oracle -- --deny warnings").run()?;
    if without.is_empty() {
        cmd!(
            shell,
            "cargo clippy --package lvm-verify --package lvm-cli --all-targets --features lvm-verify/deep,lvm-cli/deep -- --deny warnings"
        )
        .run()?;
    }
    step("rustdoc");
    {
        let _flags = shell.push_env("RUSTDOCFLAGS", "--deny warnings");
        cmd!(shell, "cargo doc --workspace {without...} --no-deps --document-private-items").run()?;
    }
    if with_test {
        step("test");
        test(shell)?;
    }
    step("test with LAPACK");
    // libtorch has a LAPACK of its own, which would take the place of the one tested here
    cmd!(shell, "cargo test --workspace --exclude lvm-deep --features lvm-core/lapack,lvm-vi/nuts,lvm-verify/oracle").run()?;
    step("packages");
    package(shell)?;
    step("licences");
    deny(shell)?;
    step("faults that verify must find");
    crate::mutants::run(shell, &["--mutants".into()])?;
    step("quick verify");
    crate::verify(shell, &shell.current_dir(), &["--quick".into()])
}

fn step(name: &str) {
    println!("\n== {name}");
}

/// `cargo package` of every published crate: all files there, nothing that can't be published.
fn package(shell: &Shell) -> Outcome {
    let packages: Vec<&str> = PUBLISHED.iter().flat_map(|p| ["--package", p]).collect();
    cmd!(shell, "cargo package --allow-dirty --no-verify {packages...}").run()?;
    Ok(())
}

/// Licences, sources and bans of all dependencies; cargo-deny is built into the target directory where it is not installed.
fn deny(shell: &Shell) -> Outcome {
    let there = |program: &std::path::Path| cmd!(shell, "{program} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let mut program = std::path::PathBuf::from("cargo-deny");
    if !there(&program) {
        let tools = crate::target_directory(shell)?.join("tools");
        program = tools.join("bin").join("cargo-deny");
        if !there(&program) {
            println!("building cargo-deny (some minutes, once) …");
            cmd!(shell, "cargo install --quiet --locked --root {tools} cargo-deny").run()?;
        }
    }
    cmd!(shell, "{program} --all-features check licenses bans sources").run()?;
    Ok(())
}
