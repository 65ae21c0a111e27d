//! Text tables: CSV and its kin.

mod cell;
mod columns;
mod header;
mod record;
mod rows;

mod scan;
mod separator;

pub use rows::CsvRows;
pub(crate) use scan::{column_names, line_of_row, read};
