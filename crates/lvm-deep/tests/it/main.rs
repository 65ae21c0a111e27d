//! Integration tests of lvm-deep.

mod architectures;
mod evidence;
mod linear;
mod resume;
mod vae_exact;
