//! Integration tests of lvm-core, one binary.

mod fa;
mod gmm_fit;
mod gmm_golden;
mod gmm_naive;
mod gmm_query;
mod gmm_refusals;
mod laws;
mod limits;
mod linalg;
mod numerics;
mod ppca;
mod regressions;
mod resume;
mod watch;
