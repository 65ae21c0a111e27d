//! The build with faults in it, and its run.
//!
//! The crates of the workspace are compiled with `--cfg lvm_mutant` by way of `RUSTC_WORKSPACE_WRAPPER`, which is this program: cargo keeps
//! what a wrapper makes apart from its other output and shares all dependencies, so that only our own crates are built twice.

use crate::{Outcome, libtorch};
use std::process::{Command, ExitCode};
use xshell::{Shell, cmd};

/// Says to this program that cargo calls it in the place of rustc.
const AS_COMPILER: &str = "LVM_XTASK_AS_COMPILER";

/// Where cargo calls this program in the place of rustc: `xtask RUSTC ARGUMENTS`. What rustc ended with; `None` otherwise.
pub(crate) fn compile() -> Option<ExitCode> {
    std::env::var_os(AS_COMPILER)?;
    let mut arguments = std::env::args_os().skip(1);
    let status = Command::new(arguments.next()?).args(arguments).args(["--cfg", "lvm_mutant"]).status();
    Some(match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What the names of faults in neural models begin with: they are in a build of their own.
const NEURAL: &str = "vae_";

/// Runs every fault, or those named after the flag; where libtorch can't be had, those of neural models are left out, and it is said. Nothing here
/// needs the oracle, so that one build with the neural models serves all.
pub(crate) fn run(shell: &Shell, flags: &[String]) -> Outcome {
    let names: Vec<&String> = flags.iter().filter(|f| *f != "--mutants").collect();
    let neural = names.is_empty() || names.iter().any(|f| f.starts_with(NEURAL));
    let features: &[&str] = match neural.then(|| libtorch::provide(shell)) {
        Some(Ok(_)) => &["--features", crate::checks::NEURAL_FEATURES],
        Some(Err(reason)) => {
            eprintln!("{reason}\nGoing on without it: faults of neural models are left out.\n");
            &["--exclude", "lvm-deep", "--features", "lvm-vi/nuts"]
        }
        None => &["--exclude", "lvm-deep", "--features", "lvm-vi/nuts"],
    };
    build_and_run(shell, features, &names)
}

/// Builds lvm-verify with faults in it, puts it aside, and runs it on every fault or those named. The development build is optimised, and its
/// dependencies are there where tests have been run: all packages are named so that features are the same.
fn build_and_run(shell: &Shell, features: &[&str], names: &[&String]) -> Outcome {
    println!("building lvm-verify with faults in it …");
    let wrapper = std::env::current_exe()?;
    cmd!(shell, "cargo test --quiet --no-run --workspace --test program {features...}")
        .quiet()
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env(AS_COMPILER, "1")
        .run()?;
    let target = crate::target_directory(shell)?;
    let name = format!("lvm-verify{}", std::env::consts::EXE_SUFFIX);
    let (built, aside) = (target.join("debug").join(&name), target.join("mutants"));
    std::fs::create_dir_all(&aside)?;
    let program = aside.join(&name);
    // Not left where it could be taken for the one without faults. A copy, since cargo links to its own output.
    std::fs::copy(&built, &program)?;
    std::fs::remove_file(&built)?;
    let status = Command::new(program).arg("--mutants").args(names).env("OMP_NUM_THREADS", "1").status()?;
    if status.success() { Ok(()) } else { Err("a fault survived, or a control is red: see the table".into()) }
}
