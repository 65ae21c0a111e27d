//! `.npz`: a zip archive of `.npy` files.

use crate::error::{Error, ErrorKind, Result};
use crate::table::ReadOptions;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// The first bytes of every zip archive.
pub(crate) const MAGIC: &[u8] = b"PK\x03\x04";

/// Hands `read` the bytes of the array that the options name, or of the only one.
pub(crate) fn with_array<T>(
    path: &Path,
    input: impl Read + Seek,
    options: &ReadOptions,
    read: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let broken = |e: zip::result::ZipError| Error::format(path, format!("not a usable .npz file: {e}"));
    let mut archive = zip::ZipArchive::new(input).map_err(broken)?;
    let arrays: Vec<String> = archive.file_names().flatten().filter_map(|n| n.strip_suffix(".npy").map(str::to_owned)).collect();
    let name = match (&options.array, arrays.as_slice()) {
        (_, []) if archive.file_names().flatten().any(|name| name.starts_with("xl/")) => {
            return Err(Error::format(path, "this is an Excel workbook, and a table belongs here; save the sheet as .csv"));
        }
        (_, []) => return Err(Error::format(path, "the archive holds no .npy array")),
        (Some(name), _) if arrays.contains(name) => name,
        (None, [only]) => only,
        (wanted, _) => return Err(Error::new(path, ErrorKind::WhichArray { wanted: wanted.clone(), available: arrays })),
    };
    let array = archive.by_name(&format!("{name}.npy")).map_err(broken)?;
    read(&mut BufReader::new(array))
}
