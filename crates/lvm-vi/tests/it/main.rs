//! Integration tests of lvm-vi, one binary.

mod cavi_mixture;
