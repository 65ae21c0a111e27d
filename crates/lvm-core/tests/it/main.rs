//! Integration tests, one binary.

mod gmm_golden;
