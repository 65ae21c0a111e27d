//! Tables out. A file is there whole or not at all: written beside its place, flushed to the disk, then moved.

use crate::error::{Error, Result};
use ndarray::{ArrayRef2, Axis};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file whole or not at all: `content` goes to a temporary file in the same folder, which then takes the place of `path`.
/// What is no regular file (a pipe, a terminal) is written to as it comes.
///
/// ```
/// use lvm_data::output::replace;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("note.txt");
/// replace(&path, |out| out.write_all(b"first"))?;
/// // what fails halfway leaves the file as it was
/// let failed = replace(&path, |out| out.write_all(b"sec").and_then(|()| Err(std::io::Error::other("no more"))));
/// assert!(failed.is_err());
/// assert_eq!(std::fs::read(&path)?, b"first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the folder is not there or can't be written to, or if `content` fails; `path` is then as it was.
pub fn replace(path: impl AsRef<Path>, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    write_whole(path, content).map_err(|e| Error::io(path, "write", e))
}

fn write_whole(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let target = resolved(path)?;
    if target.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        let mut out = BufWriter::new(OpenOptions::new().write(true).open(&target)?);
        content(&mut out)?;
        return out.flush();
    }
    if target.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display())));
    }
    let temporary = temporary_file(folder, &target)?;
    let mut out = BufWriter::with_capacity(1 << 18, temporary);
    content(&mut out)?;
    let temporary = out.into_inner().map_err(|e| e.into_error())?;
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|e| e.error)?;
    // The new name lasts through a power cut only once the folder is on the disk; where folders can't be opened there is no such call.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The file that `path` names, through symbolic links, so that a link stays a link.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    if path.is_symlink() && path.exists() { path.canonicalize() } else { Ok(path.to_path_buf()) }
}

/// A temporary file with the permissions of the file it is to replace, or of any new file.
fn temporary_file(folder: &Path, target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let existing = target.metadata().ok().map(|m| m.permissions());
    if existing.as_ref().is_some_and(|p| p.readonly()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is write-protected"));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lvm-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(existing.unwrap_or_else(|| std::fs::Permissions::from_mode(0o666)));
    }
    builder.tempfile_in(folder)
}

/// Writes a table by the ending of `path`: `.npy` (without names), `.tsv`, or CSV with a header for `.csv` and everything else.
///
/// ```
/// use lvm_data::{ReadOptions, Table, output};
/// use ndarray::array;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("scores.csv");
/// let x = array![[0.1, -2.0], [1e30, 3.0]];
/// output::write(&path, &["a".to_owned(), "b".to_owned()], &x)?;
/// assert_eq!(Table::read(&path, &ReadOptions::default())?.x, x);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the number of names is not that of the columns, or as [`replace`].
pub fn write(path: impl AsRef<Path>, columns: &[String], x: &ArrayRef2<f64>) -> Result<()> {
    let path = path.as_ref();
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("npy") => write_npy(path, x),
        Some("tsv") => write_delimited(path, columns, x, b'\t'),
        _ => write_csv(path, columns, x),
    }
}

/// Writes a CSV file with a header; every number in the fewest digits that read back as the same f64, missing cells as `NaN`.
///
/// # Errors
/// As [`write()`].
pub fn write_csv(path: impl AsRef<Path>, columns: &[String], x: &ArrayRef2<f64>) -> Result<()> {
    write_delimited(path.as_ref(), columns, x, b',')
}

fn write_delimited(path: &Path, columns: &[String], x: &ArrayRef2<f64>, separator: u8) -> Result<()> {
    if columns.len() != x.ncols() {
        return Err(Error::format(path, format!("{} names for {} columns", columns.len(), x.ncols())));
    }
    replace(path, |out| {
        for (j, name) in columns.iter().enumerate() {
            if j > 0 {
                out.write_all(&[separator])?;
            }
            write_name(out, name, separator)?;
        }
        out.write_all(b"\n")?;
        for row in x.axis_iter(Axis(0)) {
            for (j, value) in row.iter().enumerate() {
                if j > 0 {
                    out.write_all(&[separator])?;
                }
                write_number(out, *value)?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn write_name(out: &mut dyn Write, name: &str, separator: u8) -> io::Result<()> {
    let plain = !name.is_empty() && name.trim() == name && !name.bytes().any(|b| b == separator || matches!(b, b'"' | b'\n' | b'\r'));
    if plain { out.write_all(name.as_bytes()) } else { write!(out, "\"{}\"", name.replace('"', "\"\"")) }
}

/// Writes the shortest decimal number that reads back as the same f64.
///
/// # Errors
/// Those of `out`.
pub fn write_number(out: &mut dyn Write, value: f64) -> io::Result<()> {
    let size = value.abs();
    if value == 0.0 || (1e-5..1e16).contains(&size) || !value.is_finite() { write!(out, "{value}") } else { write!(out, "{value:e}") }
}

/// Writes a NumPy `.npy` file: version 1.0, little-endian f64, rows first.
///
/// # Errors
/// As [`replace`].
pub fn write_npy(path: impl AsRef<Path>, x: &ArrayRef2<f64>) -> Result<()> {
    replace(path, |out| {
        let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}", x.nrows(), x.ncols());
        // Magic, version and length take 10 bytes; the numbers start at a multiple of 64, after a line end.
        let total = (10 + header.len() + 1).next_multiple_of(64);
        while 10 + header.len() + 1 < total {
            header.push(' ');
        }
        header.push('\n');
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&(header.len() as u16).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for value in x.iter() {
            out.write_all(&value.to_le_bytes())?;
        }
        Ok(())
    })
}
