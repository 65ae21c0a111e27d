//! Integration tests of lvm-deep.

mod architectures;
mod resume;
