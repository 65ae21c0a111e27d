//! Integration tests of lvm-deep.

mod linear;
