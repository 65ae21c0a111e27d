//! Integration tests of lvm-core: laws, golden numbers, limits and regressions.

mod gmm_fit;
mod gmm_golden;
mod laws;
mod fa;
mod gmm_refusals;
mod ppca;
