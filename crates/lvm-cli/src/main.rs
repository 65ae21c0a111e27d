//! The program lvm.
fn main() {}
