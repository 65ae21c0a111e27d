//! Integration tests.

mod diagnose;
