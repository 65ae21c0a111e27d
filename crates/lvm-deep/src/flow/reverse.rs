//! The reversal of the latents.

use super::{Flow, zero_of};
use tch::Tensor;

/// (u₁, …, u_L) ↦ (u_L, …, u₁), between steps that treat early and late latents differently. Its determinant is ±1.
#[derive(Debug, Clone, Copy)]
pub struct Reverse;

impl Flow for Reverse {
    fn forward(&self, u: &Tensor) -> (Tensor, Tensor) {
        (u.flip([-1]), zero_of(u))
    }

    fn inverse(&self, y: &Tensor) -> Option<(Tensor, Tensor)> {
        Some((y.flip([-1]), zero_of(y)))
    }

    fn detach(&self) -> Box<dyn Flow> {
        Box::new(Reverse)
    }

    fn share(&self) -> Box<dyn Flow> {
        Box::new(Reverse)
    }
}
