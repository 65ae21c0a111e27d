//! libtorch for lvm-deep: the user's own, or taken from pinned wheels into `.libtorch`.

use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// The folder of our own copy, in the root of the repository.
const FOLDER: &str = ".libtorch";
const VERSION: &str = "2.11.0";
/// What is fetched, with its hashes.
const REQUIREMENTS: &str = "xtask/libtorch.txt";
const FETCH: &str = include_str!("fetch.py");
const UNPACK: &str = include_str!("unpack.py");
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

/// Our own folder, another that `LIBTORCH` names, and where libtorch comes from.
fn found(shell: &Shell) -> (PathBuf, Option<PathBuf>, Origin) {
    let ours = shell.current_dir().join(FOLDER).join("torch");
    // cargo's configuration sets LIBTORCH to our own folder where the user has not set it
    let given = std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|p| !same(p, &ours));
    let known = Known {
        use_pytorch: std::env::var_os("LIBTORCH_USE_PYTORCH").is_some(),
        given: given.is_some(),
        unpacked: complete(&ours),
        linux_x86_64: cfg!(all(target_os = "linux", target_arch = "x86_64")),
    };
    let origin = origin(known);
    (ours, given, origin)
}

/// Whether libtorch can be had without fetching it.
pub(crate) fn is_there(shell: &Shell) -> bool {
    !matches!(found(shell).2, Origin::Fetch | Origin::Unknown)
}

/// Provides libtorch; says in words where it is, or why it can't be had and what to do.
pub(crate) fn provide(shell: &Shell) -> Result<String, String> {
    let (ours, given, origin) = found(shell);
    match origin {
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
        Origin::Fetch => fetch(shell, &shell.current_dir().join(FOLDER)).map(|()| ours.display().to_string()),
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
    cmd!(shell, "{python} -c {FETCH} {REQUIREMENTS} {wheels}")
        .quiet()
        .run()
        .map_err(|_| by_hand("the wheels could not be fetched (why stands above)."))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// A server of one file that closes the connection after so many bytes of it, and of the index page that names it.
    fn serve(content: &'static [u8], sha256: &'static str, cut: usize) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut request).unwrap() > 2 {}
                let from = request.to_lowercase().split("range: bytes=").nth(1).and_then(|r| r.split('-').next()?.parse().ok());
                if request.starts_with("GET /simple/") {
                    let page = format!("<a href=\"../../files/a-1.whl#sha256={sha256}\">a-1.whl</a>");
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len()).unwrap();
                    continue;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                let start = from.unwrap_or(0);
                let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
                let rest = &content[start..];
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len()).unwrap();
                stream.write_all(&rest[..rest.len().min(cut)]).unwrap();
            }
        });
        (port, asked)
    }

    /// Runs the script against an index at a port of this machine: its exit status and what it said.
    fn fetched(folder: &Path, port: u16, sha256: &str) -> (Option<i32>, String) {
        let requirements = folder.join("wanted.txt");
        std::fs::write(&requirements, format!("# a comment\na==1 --hash=sha256:{sha256}\n")).unwrap();
        let output = Command::new("python3")
            .args(["-c", FETCH])
            .args([&requirements, &folder.join("wheels")])
            .env("PIP_INDEX_URL", format!("http://127.0.0.1:{port}/simple"))
            .env("no_proxy", "*")
            .env("LVM_FETCH_PAUSE", "0")
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    }

    /// 4000 bytes, sha256sum of `yes 0123456 | head -n 500`.
    const CONTENT: [u8; 4000] = {
        let mut all = [b'\n'; 4000];
        let mut i = 0;
        while i < 4000 {
            if i % 8 < 7 {
                all[i] = b'0' + (i % 8) as u8;
            }
            i += 1;
        }
        all
    };
    const SHA256: &str = "d134bab32a40ff5b89bd5f7e949ff2e5e2fcc84a96e4161fcff237f86fdaeba1";

    #[test]
    fn a_download_that_is_cut_off_goes_on() {
        static FILE: [u8; 4000] = CONTENT;
        let folder = tempfile::tempdir().unwrap();
        let (port, asked) = serve(&FILE, SHA256, 1500);
        let (status, text) = fetched(folder.path(), port, SHA256);
        let wheel = folder.path().join("wheels/a-1.whl");
        assert_eq!((status, std::fs::read(&wheel).unwrap_or_default()), (Some(0), CONTENT.to_vec()), "{text}");
        // 1500 + 1500 + 1000 bytes
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert!(text.contains("100 %") && !folder.path().join("wheels/a-1.whl.part").exists(), "{text}");
        // what is there is kept, and what another run left behind is gone on with
        assert!(fetched(folder.path(), port, SHA256).1.contains("there already"));
        std::fs::rename(&wheel, folder.path().join("wheels/a-1.whl.part")).unwrap();
        std::fs::write(folder.path().join("wheels/a-1.whl.part"), &CONTENT[..3500]).unwrap();
        assert_eq!(fetched(folder.path(), port, SHA256).0, Some(0));
        assert_eq!(asked.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn another_file_is_thrown_away() {
        static FILE: [u8; 4000] = [7; 4000];
        let folder = tempfile::tempdir().unwrap();
        let (port, _) = serve(&FILE, SHA256, 4000);
        let (status, text) = fetched(folder.path(), port, SHA256);
        assert!(status == Some(3) && text.contains("thrown away"), "{text}");
        assert_eq!(std::fs::read_dir(folder.path().join("wheels")).unwrap().count(), 0);
    }

    #[test]
    fn without_a_network_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        // a port that was free a moment ago
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (status, text) = fetched(folder.path(), port, SHA256);
        assert!(status == Some(2) && text.contains("is the network there?"), "{text}");
    }

    fn wheels_version(text: &str) -> String {
        text.lines().find_map(|l| l.strip_prefix("torch==")).unwrap_or_default().to_owned()
    }
}
