//! Tables of numbers on their way out, and checks of where they go before any work is done.

use crate::args::TableOutArgs;
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::report::{self, Skipped};
use lvm_data::output;
use ndarray::Array2;
use serde::Serialize;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

/// A table of numbers with the names of its columns.
pub(crate) struct Numbers {
    pub(crate) columns: Vec<String>,
    /// (N, columns).
    pub(crate) x: Array2<f64>,
}

impl Numbers {
    /// Writes the table to a file in the format of its ending, or as CSV to standard output.
    pub(crate) fn write(&self, target: Option<&Path>) -> Outcome {
        let Some(path) = target else { return self.print() };
        output::write(path, &self.columns, &self.x).map_err(hint::data)
    }

    fn print(&self) -> Outcome {
        let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
        writeln!(out, "{}", self.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","))?;
        for row in self.x.rows() {
            for (j, value) in row.iter().enumerate() {
                if j > 0 {
                    out.write_all(b",")?;
                }
                output::write_number(&mut out, *value)?;
            }
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }
}

/// A name as a CSV field (RFC 4180).
fn quoted(name: &str) -> String {
    match name.contains([',', '"', '\n', '\r']) || name.trim() != name {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    }
}

/// `z0 … z(q-1)`.
pub(crate) fn latent_names(q: usize) -> Vec<String> {
    (0..q).map(|k| format!("z{k}")).collect()
}

/// How the result of a table command leaves the program.
pub(crate) struct Emit<'a> {
    /// What the table is, for the one line that says where it went.
    pub(crate) what: &'a str,
    pub(crate) out: &'a TableOutArgs,
    pub(crate) skipped: &'a [Skipped],
}

impl Emit<'_> {
    /// The file first, if there is one; then JSON, a line that names the file, or the table itself.
    pub(crate) fn emit(&self, numbers: &Numbers, report: &impl Serialize) -> Outcome {
        let target = self.out.output.as_deref();
        if target.is_some() || !self.out.json {
            numbers.write(target)?;
        }
        match (target, self.out.json) {
            (_, true) => report::print(report, true, |_| String::new()),
            (Some(path), false) => {
                let line = report::human::written(self.what, numbers.x.nrows(), &path.display().to_string(), self.skipped);
                report::print(report, false, |_| line.clone())
            }
            (None, false) => Ok(()),
        }
    }
}

/// Says before any work whether a model file can be written there, which must not be the place of the table it is fitted to.
pub(crate) fn check_model_target(target: Option<&Path>, data: &Path) -> Outcome {
    let Some(path) = target else { return Ok(()) };
    match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some(ending @ ("csv" | "tsv" | "txt" | "npy" | "npz" | "gz" | "mtx")) => {
            let shown = path.display();
            Err(Failure::usage(format!("{shown}: -o takes the model here, and .{ending} is the ending of a table; use .lvm, say")))
        }
        _ if path == Path::new("-") => Err(Failure::usage("-o -: a model is not text for standard output; name a file, such as model.lvm")),
        _ => check_free(path, &[Some(data)]).and_then(|()| check_folder(path)),
    }
}

/// Says before any work whether a table can be written there, and whether its ending names a format. `taken` are the files that it must
/// not take the place of.
pub(crate) fn check_table_target(target: Option<&Path>, taken: &[Option<&Path>]) -> Outcome {
    let Some(path) = target else { return Ok(()) };
    if path == Path::new("-") {
        return Err(Failure::usage("-o -: without -o the table goes to standard output; leave it out"));
    }
    check_free(path, taken)?;
    match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("csv" | "tsv" | "npy") => check_folder(path),
        _ => Err(Failure::usage(format!("{}: the ending says the format; use .csv, .tsv or .npy", path.display()))),
    }
}

fn check_free(path: &Path, taken: &[Option<&Path>]) -> Outcome {
    if taken.iter().flatten().any(|other| place(other) == place(path)) {
        let message = "this command has another use for that file, whose content would be lost; name another one";
        return Err(Failure::usage(format!("{}: {message}", path.display())));
    }
    Ok(())
}

/// One name for all the ways to name a file, which need not be there yet.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(named).unwrap_or_else(|| path.to_owned())
}

/// Says before any work whether a page can be written there.
pub(crate) fn check_page_target(target: Option<&Path>) -> Outcome {
    let Some(path) = target else { return Ok(()) };
    match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("html" | "htm") => check_folder(path),
        _ => Err(Failure::usage(format!("{}: a page ends in .html", path.display()))),
    }
}

/// Says before any work whether a file can be written there.
pub(crate) fn check_folder(path: &Path) -> Outcome {
    let shown = path.display();
    if path.is_dir() {
        return Err(Failure::fault(format!("{shown}: cannot write: it is a folder; name a file in it")));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if folder.is_file() {
        return Err(Failure::fault(format!("{shown}: cannot write: {} is a file, not a folder; name another place", folder.display())));
    }
    if !folder.is_dir() {
        return Err(Failure::fault(format!("{shown}: cannot write: there is no folder {}; make it first", folder.display())));
    }
    // A probe says more than permission bits do: it also meets read-only file systems and full disks.
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::fault(format!("{shown}: cannot write in {}: {error}", folder.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_are_quoted() {
        assert_eq!(quoted("a"), "a");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
