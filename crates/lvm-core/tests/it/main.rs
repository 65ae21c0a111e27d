//! Integration tests of lvm-core, one binary.

mod gmm_golden;
mod laws;
mod ppca;
