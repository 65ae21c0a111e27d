//! Integration tests of lvm-deep.

mod checks;
mod flows;
mod gradients;
mod latents;
mod linear;
mod objectives;
mod training;
