//! NumPy files: `.npy` whole or row by row, `.npz`.

mod array;
mod format;
mod npz;
mod rows;
mod stored;

pub(crate) use array::{columns, read};
pub(crate) use format::{MAGIC, Number};
pub(crate) use npz::{MAGIC as ZIP_MAGIC, with_array};
pub use rows::{MappedNpy, NpyRows};
