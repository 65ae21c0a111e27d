//! Tables in and out for latent-variable models: CSV, NumPy files, model files, and small real data sets with their licence.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod columns;
mod delimited;
pub mod error;
mod file_rows;
pub mod model;
mod numbers;
mod numpy;
pub mod output;
mod read;
pub mod source;
pub mod table;

pub use delimited::CsvRows;
pub use error::{Error, ErrorKind, Result};
pub use numpy::NpyRows;
pub use source::Source;
pub use table::{Header, ReadOptions, Separator, SkipReason, Skipped, Table};
