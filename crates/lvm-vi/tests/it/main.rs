//! Integration tests of lvm-vi, one binary.

mod amortized;
mod bernoulli_factor;
mod local;
mod variational_em;
