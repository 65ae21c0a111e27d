//! What a file is: by its first bytes, which are surer than its name.

use crate::error::{Error, Result};
use crate::table::{ReadOptions, Table};
use crate::{delimited, idx, matrix_market, numpy};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

/// Bytes read from a file at a time.
const BUFFER: usize = 1 << 18;

/// As many first bytes as are needed to know a format.
const START: u64 = 64;

pub(crate) fn table(path: &Path, options: &ReadOptions) -> Result<Table> {
    let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    dispatch(path, BufReader::with_capacity(BUFFER, file), options)
}

pub(crate) fn table_from_bytes(name: &Path, bytes: &[u8], options: &ReadOptions) -> Result<Table> {
    dispatch(name, Cursor::new(bytes), options)
}

fn dispatch(path: &Path, mut input: impl BufRead + Seek, options: &ReadOptions) -> Result<Table> {
    let start = input.fill_buf().map_err(|e| Error::io(path, "read", e))?;
    match format(start) {
        Format::Npz => numpy::read_npz(path, input, options),
        Format::Gzip => stream(path, BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input)), options),
        _ => stream(path, input, options),
    }
}

/// The formats, by first bytes.
enum Format {
    Npz,
    Gzip,
    Npy,
    MatrixMarket,
    Idx,
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
        _ => Format::Text,
    }
}

/// Whether a file that starts like this is a text table that is not compressed.
pub(crate) fn is_plain_text(start: &[u8]) -> bool {
    matches!(format(start), Format::Text)
}

/// Reads the formats that need no way back in the file.
fn stream(path: &Path, mut input: impl BufRead, options: &ReadOptions) -> Result<Table> {
    let mut start = Vec::new();
    input.by_ref().take(START).read_to_end(&mut start).map_err(|e| Error::io(path, "read", e))?;
    let format = format(&start);
    let input = Cursor::new(start).chain(input);
    match format {
        Format::Npy => numpy::read(path, input, options),
        Format::MatrixMarket => matrix_market::read(path, input, options),
        Format::Idx => idx::read(path, input, options),
        Format::Text => delimited::read(path, input, options),
        Format::Npz => Err(Error::format(path, "a compressed .npz file: unpack it first")),
        Format::Gzip => Err(Error::format(path, "it is compressed twice: unpack it first")),
        Format::Unsupported(what) => {
            Err(Error::format(path, format!("this is {what}, which is not supported; save the table as .csv or .npy")))
        }
    }
}
