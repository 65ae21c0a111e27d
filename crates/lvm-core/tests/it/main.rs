//! Integration tests of lvm-core, one binary.

mod fa;
mod gmm_golden;
mod laws;
mod ppca;
