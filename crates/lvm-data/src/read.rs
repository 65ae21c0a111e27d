//! What a file is, by content first and ending second.

use crate::delimited;
use crate::error::{Error, Result};
use crate::table::{ReadOptions, Table};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

pub(crate) fn table(path: &Path, options: &ReadOptions) -> Result<Table> {
    let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    dispatch(path, BufReader::with_capacity(1 << 18, file), options)
}

pub(crate) fn table_from_bytes(name: &Path, bytes: &[u8], options: &ReadOptions) -> Result<Table> {
    dispatch(name, bytes, options)
}

fn dispatch(path: &Path, mut input: impl BufRead, options: &ReadOptions) -> Result<Table> {
    let start = input.fill_buf().map_err(|e| Error::io(path, "read", e))?;
    if start.starts_with(b"\x1f\x8b") {
        let unpacked = BufReader::with_capacity(1 << 18, flate2::bufread::MultiGzDecoder::new(input));
        return unpacked_table(path, unpacked, options);
    }
    unpacked_table(path, input, options)
}

fn unpacked_table(path: &Path, mut input: impl BufRead, options: &ReadOptions) -> Result<Table> {
    let _ = input.by_ref().fill_buf().map_err(|e| Error::io(path, "read", e))?;
    delimited::read(path, input, options)
}
