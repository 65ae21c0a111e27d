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
    if without.is_empty() {
        step("a package that depends on lvm-deep");
        downstream(shell)?;
    }
    step("packages");
    package(shell)?;
    step("licences");
    deny(shell)?;
    step("faults that verify must find");
    crate::mutants::run(shell, &["--mutants".into()])?;
    step("quick verify");
    crate::verify(shell, &shell.current_dir(), &["--quick".into()])
}

/// A package elsewhere that depends on lvm-deep by path builds, links and runs, with LIBTORCH in its own configuration and no other variable.
fn downstream(shell: &Shell) -> Outcome {
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
