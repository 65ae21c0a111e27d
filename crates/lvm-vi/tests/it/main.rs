//! Integration tests.

mod diagnose;
//! Integration tests of lvm-vi, one binary.

mod local;
