//! Integration tests of lvm-deep.

mod architectures;
mod evidence;
mod resume;
mod vae_exact;
