//! Tables in and out for latent-variable models: CSV, NumPy files, model files, and small real data sets with their licence.
//!
//! | to | use |
//! |---|---|
//! | read a table | [`Table::read`] with [`ReadOptions`] |
//! | fit to a file larger than memory | [`NpyRows`], [`CsvRows`], or [`Source`], which chooses; [`MappedNpy`] by choice |
//! | write a table, or any file whole or not at all | [`output`] |
//! | save and load models | [`model`] |
//! | try something | [`datasets`] |
//!
//! All sources of rows give a fit the same answer, bit for bit. Every [`Error`] names the file, says where in it and what to do.
//! `docs/data.md` and `docs/model-files.md` of the repository describe the formats.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod columns;
pub mod datasets;
mod delimited;
pub mod error;
mod file_rows;
mod idx;
mod mapped_file;
mod matrix_market;
pub mod model;
mod numbers;
mod numpy;
pub mod output;
mod read;
pub mod source;
pub mod table;

pub use delimited::CsvRows;
pub use error::{Error, ErrorKind, Result};
pub use numpy::{MappedNpy, NpyRows};
pub use read::{column_names, column_names_of_bytes, line_of_row, line_of_row_in_bytes};
pub use source::Source;
pub use table::{Header, ReadOptions, Separator, SkipReason, Skipped, Table};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
