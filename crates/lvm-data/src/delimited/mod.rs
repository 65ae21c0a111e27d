//! Text tables: CSV and its kin.

mod cell;
mod columns;
mod header;
mod record;

mod scan;
mod separator;

pub(crate) use scan::read;
