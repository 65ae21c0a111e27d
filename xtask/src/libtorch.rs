//! libtorch for lvm-deep: the user's own, or taken from pinned wheels into `.libtorch`.

use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// The folder of our own copy, in the root of the repository.
const FOLDER: &str = ".libtorch";
const VERSION: &str = "2.11.0";
/// What pip fetches, with its hashes.
const REQUIREMENTS: &str = "xtask/libtorch.txt";
const UNPACK: &str = include_str!("unpack.py");
/// Wheels of any of these platforms run on every Linux with glibc 2.28 (2018) or later.
const PLATFORMS: [&str; 5] =
    ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"];

/// Where libtorch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// `LIBTORCH_USE_PYTORCH` is set.
    PyTorch,
    /// `LIBTORCH` names another folder than ours.
    Given,
    /// Our own copy, there already.
    Unpacked,
    /// To be fetched.
    Fetch,
    /// Nothing is known to fetch for this machine.
    Unknown,
}

/// What is known about the machine.
#[derive(Debug, Clone, Copy)]
struct Known {
    use_pytorch: bool,
    given: bool,
    unpacked: bool,
    linux_x86_64: bool,
}

fn origin(known: Known) -> Origin {
    match known {
        Known { use_pytorch: true, .. } => Origin::PyTorch,
        Known { given: true, .. } => Origin::Given,
        Known { unpacked: true, .. } => Origin::Unpacked,
        Known { linux_x86_64: true, .. } => Origin::Fetch,
        _ => Origin::Unknown,
    }
}

/// Provides libtorch; says in words where it is, or why it can't be had and what to do.
pub(crate) fn provide(shell: &Shell) -> Result<String, String> {
    let root = shell.current_dir();
    let ours = root.join(FOLDER).join("torch");
    // cargo's configuration sets LIBTORCH to our own folder where the user has not set it
    let given = std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|p| !same(p, &ours));
    let known = Known {
        use_pytorch: std::env::var_os("LIBTORCH_USE_PYTORCH").is_some(),
        given: given.is_some(),
        unpacked: complete(&ours),
        linux_x86_64: cfg!(all(target_os = "linux", target_arch = "x86_64")),
    };
    match origin(known) {
        Origin::PyTorch => from_pytorch(shell),
        Origin::Given => {
            let folder = given.unwrap_or_default();
            match folder.join("lib").join("libtorch_cpu.so").exists() || folder.join("lib").join("libtorch_cpu.dylib").exists() {
                true => Ok(format!("LIBTORCH, {}", folder.display())),
                false => Err(format!(
                    "LIBTORCH is set to {}, but there is no lib/libtorch_cpu in it. Unset it to have libtorch {VERSION} fetched.",
                    folder.display()
                )),
            }
        }
        Origin::Unpacked => Ok(format!("{}", ours.display())),
        Origin::Fetch => fetch(shell, &root.join(FOLDER)).map(|()| ours.display().to_string()),
        Origin::Unknown => Err(format!(
            "libtorch is fetched for Linux on x86-64 alone. Install PyTorch {VERSION} (python3 -m pip install torch=={VERSION}) and set LIBTORCH_USE_PYTORCH=1, \
             or unpack libtorch {VERSION} and set LIBTORCH to its folder."
        )),
    }
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}

/// Whether our copy is whole: the version is written last.
fn complete(torch: &Path) -> bool {
    std::fs::read_to_string(torch.join("build-version")).is_ok_and(|v| v.trim() == VERSION)
}

fn from_pytorch(shell: &Shell) -> Result<String, String> {
    match cmd!(shell, "python3 -c 'import torch; print(torch.__version__, torch.__file__)'").quiet().ignore_stderr().read() {
        Ok(text) if text.starts_with(VERSION) => Ok(format!("the PyTorch of python3, {text}")),
        Ok(text) => Err(format!("LIBTORCH_USE_PYTORCH is set, but python3 has PyTorch {text}; {VERSION} is needed.")),
        Err(_) => Err("LIBTORCH_USE_PYTORCH is set, but python3 can't import torch.".into()),
    }
}

/// Fetches the wheels (those already there with the right hash are kept), unpacks what is needed, and puts it in its place at once.
fn fetch(shell: &Shell, folder: &Path) -> Result<(), String> {
    let by_hand = |why: &str| {
        format!(
            "libtorch {VERSION} could not be provided: {why}\nWhat was fetched so far is kept; `cargo xtask setup` goes on from there. Or install PyTorch {VERSION} yourself \
             and set LIBTORCH_USE_PYTORCH=1, or set LIBTORCH to the folder of a libtorch {VERSION}."
        )
    };
    let python = pip(shell).map_err(|e| by_hand(&e))?;
    let wheels = folder.join("wheels");
    std::fs::create_dir_all(&wheels).map_err(|e| by_hand(&format!("{}: {e}", wheels.display())))?;
    println!("fetching libtorch {VERSION} from the Python Package Index, once: 544 MB to fetch, 500 MB on disk …");
    let platforms = PLATFORMS.iter().flat_map(|p| ["--platform", p]);
    let retries: &[&str] = if resumes(shell, &python) { &["--resume-retries", "10"] } else { &[] };
    cmd!(
        shell,
        "{python} -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 --implementation cp --require-hashes {platforms...} {retries...} --dest {wheels} --requirement {REQUIREMENTS}"
    )
    .quiet()
    .run()
    .map_err(|_| by_hand("pip could not fetch the wheels (its words are above; is the network there?)."))?;
    println!("unpacking …");
    let unpacking = folder.join("unpacking");
    let _ = std::fs::remove_dir_all(&unpacking);
    cmd!(shell, "{python} -c {UNPACK} {wheels} {unpacking}")
        .quiet()
        .run()
        .map_err(|_| by_hand("the wheels could not be unpacked (is the disk full?)."))?;
    for part in ["nvidia", "torch"] {
        let place = folder.join(part);
        let _ = std::fs::remove_dir_all(&place);
        std::fs::rename(unpacking.join(part), &place).map_err(|e| by_hand(&format!("{}: {e}", place.display())))?;
    }
    let _ = std::fs::remove_dir_all(&unpacking);
    let _ = std::fs::remove_dir_all(&wheels);
    Ok(())
}

/// A python that has pip: python3 itself, or the one of a virtual environment made for it.
fn pip(shell: &Shell) -> Result<String, String> {
    let has_pip = |python: &str| cmd!(shell, "{python} -m pip --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if has_pip("python3") {
        return Ok("python3".into());
    }
    let own = format!("{FOLDER}/venv/bin/python");
    if has_pip(&own)
        || (cmd!(shell, "python3 -m venv {FOLDER}/venv").quiet().ignore_stdout().ignore_stderr().run().is_ok() && has_pip(&own))
    {
        return Ok(own);
    }
    Err("python3 has neither pip nor venv (on Debian and Ubuntu: apt-get install python3-venv).".into())
}

/// Whether this pip goes on with a download that broke off (25.1 and later).
fn resumes(shell: &Shell, python: &str) -> bool {
    cmd!(shell, "{python} -m pip download --help").quiet().ignore_stderr().read().is_ok_and(|help| help.contains("--resume-retries"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Known = Known { use_pytorch: false, given: false, unpacked: false, linux_x86_64: true };

    #[test]
    fn what_the_user_has_wins_over_our_copy() {
        assert_eq!(origin(BARE), Origin::Fetch);
        assert_eq!(origin(Known { unpacked: true, ..BARE }), Origin::Unpacked);
        assert_eq!(origin(Known { unpacked: true, given: true, ..BARE }), Origin::Given);
        assert_eq!(origin(Known { unpacked: true, given: true, use_pytorch: true, ..BARE }), Origin::PyTorch);
        assert_eq!(origin(Known { linux_x86_64: false, ..BARE }), Origin::Unknown);
    }

    #[test]
    fn every_wheel_is_pinned_by_version_and_hash() {
        let text = include_str!("../libtorch.txt");
        let wheels: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(wheels.len(), 3);
        for wheel in wheels {
            let (requirement, hash) = wheel.split_once(" --hash=sha256:").expect("a hash");
            assert!(requirement.contains("=="), "{wheel}");
            assert!(hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{wheel}");
        }
        assert!(wheels_version(text).contains(VERSION));
    }

    fn wheels_version(text: &str) -> String {
        text.lines().find_map(|l| l.strip_prefix("torch==")).unwrap_or_default().to_owned()
    }
}
