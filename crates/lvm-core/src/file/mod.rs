//! Model files.
mod header;
mod tensors;
pub use header::{FitRecord, Header};
