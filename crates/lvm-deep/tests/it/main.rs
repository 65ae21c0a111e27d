//! Integration tests of lvm-deep.

mod architectures;
mod checks;
mod evidence;
mod flows;
mod gradients;
mod latents;
mod objectives;
mod resume;
mod training;
mod vae_exact;
