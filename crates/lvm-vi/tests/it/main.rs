//! Integration tests of lvm-vi, one binary.

mod diagnose;
mod exact;
mod local;
mod reference;
mod cavi_mixture;
