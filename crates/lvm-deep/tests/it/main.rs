//! Integration tests of lvm-deep.

mod architectures;
mod evidence;
mod exact_linear;
mod families;
mod model;
mod resume;
mod tasks;
mod vae_exact;
