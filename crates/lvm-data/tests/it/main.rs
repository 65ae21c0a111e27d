//! The integration tests of lvm-data.

mod refusals;
mod tables;
