//! Model files on disk: [`lvm_core::file`] does the bytes, this does the disk.

use crate::error::{Error, ErrorKind, Result};
use crate::output::replace;
use lvm_core::file::{Header, Model, decode, encode};
use std::path::Path;

/// Writes a model file, whole or not at all.
///
/// ```
/// use lvm_core::{file::{Header, Model}, ppca::Ppca};
/// use lvm_data::model;
/// use ndarray::array;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("height.lvm");
/// let ppca = Model::Ppca(Ppca::new(array![0.0, 1.0], array![[2.0], [0.5]], 0.1)?);
/// let header = Header { columns: vec!["height".into(), "width".into()], ..Header::default() };
/// model::save(&path, &ppca, &header)?;
/// assert_eq!(model::load(&path)?, (ppca, header));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the header does not fit the model, or if the file can't be written.
pub fn save(path: impl AsRef<Path>, model: &Model, header: &Header) -> Result<()> {
    save_bytes(path, encode(model, header))
}

/// Writes the bytes of a model file of any kind, whole or not at all.
///
/// # Errors
/// The one given, or if the file can't be written.
pub fn save_bytes(path: impl AsRef<Path>, bytes: lvm_core::Result<Vec<u8>>) -> Result<()> {
    let path = path.as_ref();
    let bytes = bytes.map_err(|e| Error::new(path, ErrorKind::Model(e)))?;
    replace(path, |out| out.write_all(&bytes))
}

/// Reads a model file.
///
/// # Errors
/// If the file can't be read, or if it is not a model file this version can read; the message says what is wrong with it.
pub fn load(path: impl AsRef<Path>) -> Result<(Model, Header)> {
    load_with(path, decode)
}

/// Reads a model file of any kind; `decode` makes a model of its bytes.
///
/// ```
/// use lvm_data::{ErrorKind, model};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("notes.lvm");
/// std::fs::write(&path, "no model")?;
/// let error = model::load_with(&path, lvm_core::file::decode).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::Model(_)) && error.path() == path);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file can't be read, or that of `decode`.
pub fn load_with<M>(path: impl AsRef<Path>, decode: impl FnOnce(&[u8]) -> lvm_core::Result<M>) -> Result<M> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    decode(&bytes).map_err(|e| Error::new(path, ErrorKind::Model(e)))
}
