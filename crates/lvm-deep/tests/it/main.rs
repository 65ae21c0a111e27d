//! Integration tests of lvm-deep.

mod architectures;
mod checks;
mod evidence;
mod exact_linear;
mod families;
mod flows;
mod gradients;
mod latents;
mod model;
mod objectives;
mod resume;
mod steps;
mod tasks;
mod training;
mod vae_exact;
