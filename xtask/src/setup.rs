//! What the tasks need from the machine, and how it is had.

use crate::{Outcome, libtorch};
use xshell::{Shell, cmd};

/// Installs what is missing.
pub(crate) fn run(shell: &Shell) -> Outcome {
    let openblas = openblas(shell).map(|()| "present".to_owned());
    let mut missing = Vec::new();
    for (what, found) in [("OpenBLAS", openblas), ("libtorch", libtorch::provide(shell))] {
        match found {
            Ok(place) => println!("{what}: {place}"),
            Err(reason) => missing.push(reason),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

/// What installs OpenBLAS with its LAPACK.
const COMMAND: &str = "apt-get update && apt-get install -y libopenblas-dev";

/// What was found out about the machine.
#[derive(Debug, Clone, Copy)]
struct Machine {
    /// A program can be linked with OpenBLAS.
    links: bool,
    /// There is an apt-get.
    apt: bool,
    /// The user is root.
    root: bool,
}

/// What follows from it.
#[derive(Debug, PartialEq)]
enum Step {
    /// Nothing to do.
    Present,
    /// [`COMMAND`] can be run here and now.
    Install,
    /// Nothing can be done but to say why and which command does it.
    ByHand(String),
}

fn decide(machine: Machine) -> Step {
    match machine {
        Machine { links: true, .. } => Step::Present,
        Machine { apt: false, .. } => Step::ByHand(by_hand("this machine has no apt-get")),
        Machine { root: false, .. } => Step::ByHand(by_hand("installing it needs root")),
        _ => Step::Install,
    }
}

fn by_hand(why: &str) -> String {
    format!(
        "OpenBLAS is missing and {why}. To install it, run\n    sudo sh -c '{COMMAND}'\nor, elsewhere than on Debian and Ubuntu, your system's package of OpenBLAS with headers."
    )
}

/// OpenBLAS with its LAPACK, for the oracle of `verify` and the `lapack` leg: present, installed now, or the reason why not.
pub(crate) fn openblas(shell: &Shell) -> Result<(), String> {
    let links = links(shell, "openblas");
    let apt = links || cmd!(shell, "apt-get --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let root = links || cmd!(shell, "id -u").quiet().read().is_ok_and(|id| id.trim() == "0");
    match decide(Machine { links, apt, root }) {
        Step::Present => Ok(()),
        Step::ByHand(reason) => Err(reason),
        Step::Install => install(shell),
    }
}

fn install(shell: &Shell) -> Result<(), String> {
    println!("installing libopenblas-dev …");
    let log = std::env::temp_dir().join("lvm-apt.log");
    let script = format!("({COMMAND}) >{} 2>&1", log.display());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_there_is_not_installed_whoever_asks() {
        for (apt, root) in [(false, false), (false, true), (true, false), (true, true)] {
            assert_eq!(decide(Machine { links: true, apt, root }), Step::Present);
        }
    }

    #[test]
    fn only_root_with_apt_installs() {
        assert_eq!(decide(Machine { links: false, apt: true, root: true }), Step::Install);
        let Step::ByHand(text) = decide(Machine { links: false, apt: true, root: false }) else {
            panic!("nothing is installed without root")
        };
        assert!(text.contains("needs root"));
        assert!(text.lines().any(|l| l.trim() == "sudo sh -c 'apt-get update && apt-get install -y libopenblas-dev'"), "{text}");
        let Step::ByHand(text) = decide(Machine { links: false, apt: false, root: true }) else {
            panic!("there is nothing to install with")
        };
        assert!(text.contains("no apt-get"));
    }
}
