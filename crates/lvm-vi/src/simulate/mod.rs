//! Reference draws of a posterior by the No-U-Turn sampler (crate nuts-rs): the judge of a user's own target when nothing about it is known
//! exactly. Feature `nuts`.

mod mixing;
mod nuts;

pub use mixing::{effective_draws, split_r_hat};
pub use nuts::{Nuts, Simulation};
