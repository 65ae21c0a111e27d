//! Benchmarks of the lvm workspace: the data they share, and what comparisons with other programs need.

#![forbid(unsafe_code)]

pub mod data;
pub mod npy;

/// The examples of the repository's README, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
