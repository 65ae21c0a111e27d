//! Integration tests of lvm-deep.

mod evidence;
mod exact_linear;
mod linear;
mod model;
mod tasks;
mod vae_exact;
