//! What a file is: by its first bytes, which are surer than its name.

use crate::error::{Error, Result};
use crate::table::{ReadOptions, Table, numbered_names};
use crate::{delimited, idx, matrix_market, numpy};
use flate2::bufread::MultiGzDecoder;
use lvm_core::rows::Missing;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

/// Bytes read from a file at a time.
const BUFFER: usize = 1 << 18;

/// As many first bytes as are needed to know a format.
const START: u64 = 64;

pub(crate) fn table(path: &Path, options: &ReadOptions) -> Result<Table> {
    dispatch(path, opened(path)?, options, Whole)
}

pub(crate) fn table_from_bytes(name: &Path, bytes: &[u8], options: &ReadOptions) -> Result<Table> {
    dispatch(name, Cursor::new(bytes), options, Whole)
}

/// The names of all columns of a file, whether the options would read them or not: those of the header, or x1 … xD.
///
/// ```
/// use lvm_data::{ReadOptions, column_names};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("flowers.csv");
/// std::fs::write(&path, "length,width,species\n5.1,3.5,setosa\n6.2,2.9,virginica\n")?;
/// assert_eq!(column_names(&path, &ReadOptions::default())?, ["length", "width", "species"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file can't be read or its first lines can't be made out. Its cells are not looked at, as far as its format allows.
pub fn column_names(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    dispatch(path, opened(path)?, &all_columns(options), Names)
}

/// As [`column_names()`], of bytes in memory.
///
/// # Errors
/// As [`column_names()`].
pub fn column_names_of_bytes(name: impl AsRef<Path>, bytes: &[u8], options: &ReadOptions) -> Result<Vec<String>> {
    dispatch(name.as_ref(), Cursor::new(bytes), &all_columns(options), Names)
}

/// The line of a text file, from 1, in which a row of its table, from 0, starts; none if the format has no lines, or so many rows
/// there are not. Passes over the file up to that row: it is for the words of an error.
///
/// ```
/// use lvm_data::{ReadOptions, line_of_row_in_bytes};
/// let text = b"length,width\n5.1,3.5\n6.2,2.9\n";
/// assert_eq!(line_of_row_in_bytes("flowers.csv", text, &ReadOptions::default(), 1)?, Some(3));
/// # Ok::<(), lvm_data::Error>(())
/// ```
///
/// # Errors
/// As [`column_names()`].
pub fn line_of_row(path: impl AsRef<Path>, options: &ReadOptions, row: usize) -> Result<Option<u64>> {
    let path = path.as_ref();
    dispatch(path, opened(path)?, options, Line(row))
}

/// As [`line_of_row`], of bytes in memory.
///
/// # Errors
/// As [`line_of_row`].
pub fn line_of_row_in_bytes(name: impl AsRef<Path>, bytes: &[u8], options: &ReadOptions, row: usize) -> Result<Option<u64>> {
    dispatch(name.as_ref(), Cursor::new(bytes), options, Line(row))
}

fn opened(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(|file| BufReader::with_capacity(BUFFER, file)).map_err(|e| Error::io(path, "open", e))
}

/// The same options without a choice of columns.
fn all_columns(options: &ReadOptions) -> ReadOptions {
    let ReadOptions { header, separator, array, .. } = options.clone();
    ReadOptions { header, separator, array, missing: Missing::Integrate, ..ReadOptions::default() }
}

/// What is to be learned from a file whose format is known.
trait Wanted {
    type Output;
    fn of_text(self, path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Self::Output>;
    fn of_npy(self, path: &Path, input: impl Read, options: &ReadOptions) -> Result<Self::Output>;
    /// Of a format that is read whole or not at all.
    fn of_table(self, read: impl FnOnce() -> Result<Table>) -> Result<Self::Output>;
}

/// All of it.
struct Whole;

impl Wanted for Whole {
    type Output = Table;
    fn of_text(self, path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Table> {
        delimited::read(path, input, options)
    }
    fn of_npy(self, path: &Path, input: impl Read, options: &ReadOptions) -> Result<Table> {
        numpy::read(path, input, options)
    }
    fn of_table(self, read: impl FnOnce() -> Result<Table>) -> Result<Table> {
        read()
    }
}

/// The names of the columns.
struct Names;

impl Wanted for Names {
    type Output = Vec<String>;
    fn of_text(self, path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Vec<String>> {
        delimited::column_names(path, input, options)
    }
    fn of_npy(self, path: &Path, input: impl Read, _: &ReadOptions) -> Result<Vec<String>> {
        Ok(numbered_names(numpy::columns(path, input)?))
    }
    fn of_table(self, read: impl FnOnce() -> Result<Table>) -> Result<Vec<String>> {
        Ok(read()?.columns)
    }
}

/// The line of a row.
struct Line(usize);

impl Wanted for Line {
    type Output = Option<u64>;
    fn of_text(self, path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Option<u64>> {
        delimited::line_of_row(path, input, options, self.0)
    }
    fn of_npy(self, _: &Path, _: impl Read, _: &ReadOptions) -> Result<Option<u64>> {
        Ok(None)
    }
    fn of_table(self, _: impl FnOnce() -> Result<Table>) -> Result<Option<u64>> {
        Ok(None)
    }
}

fn dispatch<W: Wanted>(path: &Path, mut input: impl BufRead + Seek, options: &ReadOptions, wanted: W) -> Result<W::Output> {
    let start = input.fill_buf().map_err(|e| Error::io(path, "read", e))?;
    match format(start) {
        Format::Npz => numpy::with_array(path, input, options, |array| wanted.of_npy(path, array, options)),
        Format::Gzip => stream(path, BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input)), options, wanted),
        _ => stream(path, input, options, wanted),
    }
}

/// The formats, by first bytes.
enum Format {
    Npz,
    Gzip,
    Npy,
    MatrixMarket,
    Idx,
    Model,
    Text,
    Unsupported(&'static str),
}

fn format(start: &[u8]) -> Format {
    match start {
        s if s.starts_with(numpy::ZIP_MAGIC) => Format::Npz,
        s if s.starts_with(b"\x1f\x8b") => Format::Gzip,
        s if s.starts_with(numpy::MAGIC) => Format::Npy,
        s if s.starts_with(matrix_market::MAGIC) => Format::MatrixMarket,
        s if idx::is_idx(s) => Format::Idx,
        s if s.starts_with(b"PAR1") => Format::Unsupported("a Parquet file"),
        s if s.starts_with(b"\x89HDF") => Format::Unsupported("an HDF5 file"),
        s if s.starts_with(b"\xd0\xcf\x11\xe0") => Format::Unsupported("an old Excel file"),
        s if is_model(s) => Format::Model,
        s if [b"{".as_slice(), b"[[", b"[{"].iter().any(|open| s.starts_with(open)) => Format::Unsupported("JSON"),
        s if [b"<!doctype".as_slice(), b"<html"].iter().any(|tag| s.to_ascii_lowercase().starts_with(tag)) => {
            Format::Unsupported("a web page, perhaps in place of a download that failed")
        }
        _ => Format::Text,
    }
}

/// Whether this is how `.lvm` files start: the length of the header in eight bytes, the least first, and the header, which is JSON.
fn is_model(start: &[u8]) -> bool {
    start.get(8) == Some(&b'{') && start[4..8] == [0; 4]
}

/// Whether a file that starts like this is a text table that is not compressed.
pub(crate) fn is_plain_text(start: &[u8]) -> bool {
    matches!(format(start), Format::Text)
}

/// Reads the formats that need no way back in the file.
fn stream<W: Wanted>(path: &Path, mut input: impl BufRead, options: &ReadOptions, wanted: W) -> Result<W::Output> {
    let mut start = Vec::new();
    input.by_ref().take(START).read_to_end(&mut start).map_err(|e| Error::io(path, "read", e))?;
    let format = format(&start);
    let input = Cursor::new(start).chain(input);
    match format {
        Format::Npy => wanted.of_npy(path, input, options),
        Format::MatrixMarket => wanted.of_table(|| matrix_market::read(path, input, options)),
        Format::Idx => wanted.of_table(|| idx::read(path, input, options)),
        Format::Text => wanted.of_text(path, input, options),
        Format::Npz => Err(Error::format(path, "a compressed .npz file: unpack it first")),
        Format::Gzip => Err(Error::format(path, "it is compressed twice: unpack it first")),
        Format::Model => Err(Error::format(path, "this is a model file, and a table of rows belongs here: name a .csv, .tsv or .npy file")),
        Format::Unsupported(what) => Err(Error::format(path, format!("this is {what}, and a table belongs here; save it as .csv or .npy"))),
    }
}
