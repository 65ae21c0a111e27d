//! Integration tests of lvm-deep.

mod resume;
