//! Integration tests of lvm-core.

mod fa;
mod ppca;
