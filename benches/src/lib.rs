//! Benchmarks of the lvm workspace.
