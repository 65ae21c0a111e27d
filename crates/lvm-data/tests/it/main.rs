//! The integration tests of lvm-data.

mod models;
mod numpy;
mod on_disk;
mod outputs;
mod refusals;
mod tables;
