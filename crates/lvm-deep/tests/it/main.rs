//! Integration tests of lvm-deep.

mod evidence;
mod linear;
mod vae_exact;
