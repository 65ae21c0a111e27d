//! What is given to others: packages, their licences, the book.

use crate::Outcome;
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// The crates that are published, in the order of their dependencies.
const PUBLISHED: [&str; 6] = ["lvm-core", "lvm-vi", "lvm-data", "lvm-deep", "lvm-verify", "lvm-cli"];

/// A package elsewhere that depends on lvm-deep by path builds, links and runs, with LIBTORCH in its own configuration and no other variable.
pub(crate) fn downstream(shell: &Shell) -> Outcome {
    const MAIN: &str = "fn main() { println!(\"{}\", lvm_deep::noise::Noise::new(1, lvm_core::random::Purpose::Noise, 0, lvm_deep::Kind::Double, tch::Device::Cpu).normal(&[2, 3]).numel()); }";
    let root = shell.current_dir();
    let target = crate::target_directory(shell)?;
    let folder = std::env::temp_dir().join(format!("lvm-downstream-{}", std::process::id()));
    let path = |krate: &str| root.join("crates").join(krate).display().to_string();
    // the same versions and profiles as here, so that nothing is built twice
    let workspace = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let profiles = workspace.find("[profile").map_or("", |at| &workspace[at..]).replace("[profile.dev.package.xtask]\nopt-level = 0\n", "");
    let manifest = format!(
        "[package]\nname = \"downstream\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\nlvm-deep = {{ path = \"{}\" }}\nlvm-core = {{ path = \"{}\" }}\ntch = \"=0.24.0\"\n{profiles}",
        path("lvm-deep"),
        path("lvm-core")
    );
    let libtorch = std::env::var("LIBTORCH").unwrap_or_else(|_| root.join(".libtorch").join("torch").display().to_string());
    let outcome = (|| -> Outcome {
        shell.write_file(folder.join("Cargo.toml"), manifest)?;
        shell.write_file(folder.join(".cargo").join("config.toml"), format!("[env]\nLIBTORCH = \"{libtorch}\"\n"))?;
        shell.write_file(folder.join("src").join("main.rs"), MAIN)?;
        shell.copy_file(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        let _there = shell.push_dir(&folder);
        let answer =
            cmd!(shell, "cargo run --quiet").env("CARGO_TARGET_DIR", target).env_remove("LIBTORCH").env_remove("LD_LIBRARY_PATH").read()?;
        if answer.trim() == "6" { Ok(()) } else { Err(format!("it printed {answer} in place of 6").into()) }
    })();
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

/// `cargo package` of every published crate: all files there, nothing that can't be published; with `build`, each package also builds from what is
/// in it, which takes as long as building everything anew (and needs libtorch).
pub(crate) fn package(shell: &Shell, build: bool) -> Outcome {
    let packages: Vec<&str> = PUBLISHED.iter().flat_map(|p| ["--package", p]).collect();
    let verify: &[&str] = if build { &[] } else { &["--no-verify"] };
    cmd!(shell, "cargo package --quiet --allow-dirty {verify...} {packages...}").run()?;
    if !build {
        println!("made of the files they need; `cargo xtask packages` also builds each from its contents");
    }
    Ok(())
}

/// Licences, sources, bans and known vulnerabilities of all dependencies.
pub(crate) fn deny(shell: &Shell) -> Outcome {
    let program = tool(shell, "cargo-deny")?;
    cmd!(shell, "{program} --all-features check licenses bans sources").run()?;
    let fetched = cmd!(shell, "{program} --all-features fetch db").quiet().ignore_status().output()?;
    if fetched.status.success() {
        cmd!(shell, "{program} --all-features check --disable-fetch advisories").run()?;
    } else {
        let why = String::from_utf8_lossy(&fetched.stderr);
        println!(
            "advisories NOT RUN: the database of RustSec could not be fetched from here. Where it can: cargo deny --all-features check advisories"
        );
        why.lines().filter(|l| !l.trim().is_empty()).take(3).for_each(|l| println!("  {}", l.trim()));
    }
    Ok(())
}

/// The book, where mdbook is installed; its links are among what `tidy` checks.
pub(crate) fn book(shell: &Shell) -> Outcome {
    if cmd!(shell, "mdbook --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        cmd!(shell, "mdbook build docs").run()?;
    } else {
        println!("the book was NOT BUILT: mdbook is not installed (cargo install mdbook)");
    }
    Ok(())
}

/// A program of cargo's registry: the user's own, or one built into the target directory.
fn tool(shell: &Shell, name: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let there = |program: &PathBuf| cmd!(shell, "{program} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let own = PathBuf::from(name);
    if there(&own) {
        return Ok(own);
    }
    let tools = crate::target_directory(shell)?.join("tools");
    let built = tools.join("bin").join(name);
    if !there(&built) {
        println!("building {name} (some minutes, once) …");
        cmd!(shell, "cargo install --quiet --locked --root {tools} {name}").run()?;
    }
    Ok(built)
}
