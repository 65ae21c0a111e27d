//! Benchmarks: ours by criterion, and side by side with peers.

use crate::{Outcome, libtorch};
use std::ffi::OsString;
use std::path::PathBuf;
use xshell::{Shell, cmd};

const PYTHON: &str = ".venv/bin/python";
/// The part that needs libtorch and PyTorch: `--only neural`.
const NEURAL: &str = "neural";
/// Images below the folder of data.
const IMAGES: &str = "fashion_mnist/train-images-idx3-ubyte.gz";
const TORCH: &str = "2.11.0";

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

/// Which parts `--only` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Parts {
    All,
    Neural,
    Others,
}

fn parts(flags: &[String]) -> Parts {
    match flags.iter().position(|f| f == "--only").and_then(|at| flags.get(at + 1)) {
        None => Parts::All,
        Some(only) if only == NEURAL => Parts::Neural,
        Some(_) => Parts::Others,
    }
}

/// The same work by peers and by us, in one session: mixtures, components, variational inference, then neural models.
fn peers(shell: &Shell, flags: &[String]) -> Outcome {
    if !shell.path_exists(PYTHON) {
        cmd!(shell, "python3 -m venv .venv").run()?;
    }
    let parts = parts(flags);
    if parts != Parts::Neural {
        cmd!(shell, "{PYTHON} -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.* numpy numpyro==0.22.* jax[cpu]")
            .run()?;
        let images = images();
        if images.is_empty() && parts == Parts::All && !flags.iter().any(|f| f == "--images") {
            println!(
                "NO FITS TO IMAGES: there is no {}, the training images of Fashion-MNIST as an idx file. Put it there, set LVM_DATA to the folder above fashion_mnist, or name images by --images FILE.",
                data().join(IMAGES).display()
            );
        }
        cmd!(shell, "cargo run --release --package lvm-bench --bin peers -- --python {PYTHON} {images...} {flags...}").run()?;
    }
    match parts {
        Parts::Others => Ok(()),
        Parts::Neural => neural(shell, &flags.iter().skip_while(|f| *f != NEURAL).skip(1).cloned().collect::<Vec<_>>()),
        Parts::All => match neural(shell, &[]) {
            Err(reason) => {
                println!("\nTHE NEURAL PART WAS NOT RUN: {reason}");
                Ok(())
            }
            done => done,
        },
    }
}

/// The folder of data that the repository does not hold.
fn data() -> PathBuf {
    std::env::var_os("LVM_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from)
}

/// The flag for the images that principal components and factor analysis are fitted to, where they are there.
fn images() -> Vec<OsString> {
    let file = data().join(IMAGES);
    if file.is_file() { vec!["--images".into(), file.into()] } else { Vec::new() }
}

/// Training steps by PyTorch and by lvm-deep in turns, with ratios and targets; flags go to the example `throughput`.
fn neural(shell: &Shell, flags: &[String]) -> Outcome {
    println!("\n## Neural models\n");
    let folder = data().join("mnist_static");
    let file = "train-bin-idx3-ubyte.gz";
    if !folder.join(file).is_file() {
        let folder = folder.display();
        return Err(format!(
            "there is no {folder}/{file}, the statically binarised MNIST of Larochelle as an idx file. Put it there, or set LVM_DATA to the folder above mnist_static, and run\n    cargo xtask bench --peers --only {NEURAL}"
        )
        .into());
    }
    println!("libtorch: {}", libtorch::provide(shell)?);
    let version = "import torch; print(torch.__version__.split('+')[0])";
    if !cmd!(shell, "{PYTHON} -c {version}").quiet().ignore_stderr().read().is_ok_and(|found| found.trim() == TORCH) {
        println!("installing PyTorch {TORCH} into .venv (its wheel for GPUs too: some gigabytes) …");
        let package = format!("torch=={TORCH}");
        cmd!(shell, "{PYTHON} -m pip install --quiet --disable-pip-version-check {package} numpy").run()?;
    }
    cmd!(shell, "cargo run --release --package lvm-deep --example throughput -- --peer {PYTHON} --data {folder} {flags...}").run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chooses_the_part() {
        let of = |flags: &[&str]| parts(&flags.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), Parts::All);
        assert_eq!(of(&["--rounds", "3"]), Parts::All);
        assert_eq!(of(&["--only", "neural", "--rounds", "3"]), Parts::Neural);
        assert_eq!(of(&["--rounds", "3", "--only", "full, N=100000"]), Parts::Others);
        assert_eq!(of(&["--only"]), Parts::All);
    }
}
