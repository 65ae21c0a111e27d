//! A folder of its own for each test, and the program run in it.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder that goes away with the test.
pub(crate) struct Folder(tempfile::TempDir);

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Ran {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns the folder, for chains.
    pub(crate) fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names of all files, hidden ones too.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvm"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs `lvm` in the folder; `line` is split at blanks.
    pub(crate) fn lvm(&self, line: &str) -> Ran {
        Ran::of(self.command(line).output().unwrap())
    }

    /// Runs `lvm` with `text` on standard input.
    pub(crate) fn piped(&self, line: &str, text: &str) -> Ran {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs `lvm` and closes its standard output after the first bytes; the exit code and standard error.
    pub(crate) fn cut_off(&self, line: &str) -> (i32, String) {
        let mut child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let ran = Ran::of(child.wait_with_output().unwrap());
        (ran.code, ran.err)
    }

    /// Runs `lvm` with a standard output that nobody reads any more.
    pub(crate) fn unread(&self, line: &str) -> Ran {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Ran::of(self.command(line).stdout(writer).output().unwrap())
    }

    /// Runs `lvm` with standard output on a disk that is full.
    #[cfg(target_os = "linux")]
    pub(crate) fn full(&self, line: &str) -> Ran {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        Ran::of(self.command(line).stdout(full).output().unwrap())
    }

    /// Runs `lvm … --json`, which must succeed and print one JSON object and nothing else.
    pub(crate) fn json(&self, line: &str) -> Value {
        let ran = self.lvm(&format!("{line} --json"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        let value: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(value.is_object() && ran.out.ends_with("}\n") && ran.out.lines().count() == 1);
        value
    }

    /// Runs `lvm`, which must succeed and keep standard error empty.
    pub(crate) fn fine(&self, line: &str) -> String {
        let ran = self.lvm(line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        ran.out
    }

    /// Runs `lvm`, which must fail with this exit code, say each of `words` on standard error, nothing on standard output, and leave
    /// no file behind.
    pub(crate) fn refused(&self, line: &str, code: i32, words: &[&str]) -> String {
        let before = self.files();
        let ran = self.lvm(line);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "lvm {line}: {ran:?}");
        assert!(ran.err.starts_with("error: ") && !ran.err.contains("panicked"), "lvm {line}: {}", ran.err);
        for word in words {
            assert!(ran.err.contains(word), "lvm {line}: no {word:?} in: {}", ran.err);
        }
        assert_eq!(self.files(), before, "lvm {line} left a file behind");
        ran.err
    }
}

/// CSV text with a header, numbers in full.
pub(crate) fn csv(columns: &[&str], rows: &[Vec<f64>]) -> String {
    let mut text = columns.join(",");
    if !columns.is_empty() {
        text.push('\n');
    }
    for row in rows {
        let cells: Vec<String> = row.iter().map(|v| format!("{v:?}")).collect();
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    text
}

/// A case of `tests/reference`.
pub(crate) fn reference(id: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{id}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A list of numbers.
pub(crate) fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// A list of rows.
pub(crate) fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

/// Every number in nested lists, in order.
pub(crate) fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// The table of a reference case as CSV.
pub(crate) fn table(case: &Value) -> String {
    let columns: Vec<&str> = case["data"]["columns"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    csv(&columns, &matrix(&case["data"]["rows"]))
}

/// Largest difference relative to max(1, |expected|).
pub(crate) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(f, e)| (f - e).abs() / e.abs().max(1.0)).fold(0.0, f64::max)
}

/// Iris: 150 rows, 4 columns.
pub(crate) fn iris() -> Folder {
    Folder::new().with("iris.csv", table(&reference("ppca_iris_2")))
}

/// Old Faithful: 272 rows, 2 columns, and the responsibilities of the golden start in `r0.csv`.
pub(crate) fn faithful() -> Folder {
    let case = reference("gmm_em_faithful_full");
    let r0 = csv(&["a", "b"], &matrix(&case["initial_responsibilities"]));
    Folder::new().with("faithful.csv", table(&case)).with("r0.csv", r0)
}
