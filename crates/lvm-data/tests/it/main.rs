//! The integration tests of lvm-data.

mod models;
mod numpy;
mod on_disk;
mod other_formats;
mod outputs;
mod refusals;
mod tables;
