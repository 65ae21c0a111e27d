//! Integration tests of lvm-vi, one binary.

mod exact;
mod reference;
mod stochastic;
