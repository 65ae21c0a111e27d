//! Integration tests of lvm-core.

mod ppca;
