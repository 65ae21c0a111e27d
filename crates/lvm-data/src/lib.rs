//! Tables in and out for latent-variable models: CSV, NumPy files, model files, and small real data sets with their licence.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod columns;
mod delimited;
pub mod error;
pub mod output;
mod read;
pub mod table;

pub use error::{Error, ErrorKind, Result};
pub use table::{Header, ReadOptions, Separator, SkipReason, Skipped, Table};
