//! Integration tests.

mod diagnose;

mod local;
