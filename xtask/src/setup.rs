//! What the tasks need from the machine, and how it is had.

use crate::Outcome;
use xshell::{Shell, cmd};

/// Installs what is missing.
pub(crate) fn run(shell: &Shell) -> Outcome {
    match openblas(shell) {
        Ok(()) => {
            println!("OpenBLAS: present");
            Ok(())
        }
        Err(reason) => Err(reason.into()),
    }
}

/// OpenBLAS with its LAPACK, for the oracle of `verify` and the `lapack` leg: present, installed now, or the reason why not.
pub(crate) fn openblas(shell: &Shell) -> Result<(), String> {
    if links(shell, "openblas") {
        return Ok(());
    }
    let command = "apt-get update && apt-get install -y libopenblas-dev";
    let by_hand = |why: &str| {
        format!(
            "OpenBLAS is missing and {why}. To install it, run\n    sudo sh -c '{command}'\nor, elsewhere than on Debian and Ubuntu, your system's package of OpenBLAS with headers."
        )
    };
    let apt = cmd!(shell, "apt-get --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if !apt {
        return Err(by_hand("this machine has no apt-get"));
    }
    if cmd!(shell, "id -u").quiet().read().map_err(|e| e.to_string())?.trim() != "0" {
        return Err(by_hand("installing it needs root"));
    }
    println!("installing libopenblas-dev …");
    let log = std::env::temp_dir().join("lvm-apt.log");
    let script = format!("({command}) >{} 2>&1", log.display());
    let installed = cmd!(shell, "sh -c {script}").quiet().env("DEBIAN_FRONTEND", "noninteractive").run();
    if installed.is_ok() && links(shell, "openblas") {
        Ok(())
    } else {
        Err(by_hand(&format!("apt-get could not install it (its words are in {})", log.display())))
    }
}

/// Whether the C compiler links a program with a library.
fn links(shell: &Shell, library: &str) -> bool {
    let program = std::env::temp_dir().join(format!("lvm-link-{}", std::process::id()));
    let flag = format!("-l{library}");
    let source = "void dgemm_(void); int main(void) { return dgemm_ == 0; }";
    let linked = cmd!(shell, "cc -x c - -x none {flag} -o {program}").quiet().stdin(source).ignore_stdout().ignore_stderr().run().is_ok();
    let _ = std::fs::remove_file(&program);
    linked
}
