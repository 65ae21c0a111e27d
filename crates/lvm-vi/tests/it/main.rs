//! Integration tests of lvm-vi, one binary.

mod local;
