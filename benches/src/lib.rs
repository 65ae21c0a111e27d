//! Benchmarks of the lvm workspace: the data they share, and what comparisons with other programs need.

pub mod data;
pub mod npy;
