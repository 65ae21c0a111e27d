//! Benchmarks: ours by criterion, and side by side with peers.

use crate::Outcome;
use xshell::{Shell, cmd};

const PYTHON: &str = ".venv/bin/python";

/// `bench [FILTER]` or `bench --peers [FLAGS]`.
pub(crate) fn run(shell: &Shell, arguments: &[String]) -> Outcome {
    match arguments.split_first() {
        Some((flag, flags)) if flag == "--peers" => peers(shell, flags),
        _ => {
            cmd!(shell, "cargo bench --package lvm-bench -- {arguments...}").run()?;
            Ok(())
        }
    }
}

/// The same data, starts and iteration counts by scikit-learn and NumPyro and by us, in one session.
fn peers(shell: &Shell, flags: &[String]) -> Outcome {
    if !shell.path_exists(PYTHON) {
        cmd!(shell, "python3 -m venv .venv").run()?;
    }
    cmd!(shell, "{PYTHON} -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.* numpy numpyro==0.22.* jax[cpu]").run()?;
    cmd!(shell, "cargo run --release --package lvm-bench --bin peers -- --python {PYTHON} {flags...}").run()?;
    Ok(())
}
