//! The pathwise gradient without its score term: λ inside log q is held fixed.
//!
//! Roeder, Wu & Duvenaud 2017.

use super::draw::{Draw, Tally};
use super::{Drawn, mean};
use crate::family::Family;
use crate::target::LogDensityGrad;
use lvm_core::Result;
use lvm_core::mutant::planted;
use rand::Rng;

/// (1/S) Σ_s (∂T/∂λ)ᵀ (∇_z log p(z_s) − ∇_z log q(z_s)): the term left out, −∇_λ log q(z_s; λ), has mean zero. Where q = p every draw
/// gives zero.
pub(super) fn estimate<F: Family, T: LogDensityGrad + ?Sized>(
    q: &F,
    target: &T,
    draws: usize,
    rng: &mut dyn Rng,
    gradient: &mut [f64],
) -> Result<Drawn> {
    let (mut draw, mut tally, mut sum) = (Draw::new(q), Tally::default(), 0.0);
    let mut log_q_gradient = vec![0.0; q.dim()];
    for _ in 0..draws {
        if let Some(log_joint) = draw.next(q, target, rng, &mut tally)? {
            log_q_gradient.fill(0.0);
            q.add_log_prob_grad(&draw.z, &mut log_q_gradient);
            draw.gradient.iter_mut().zip(&log_q_gradient).for_each(|(p, q)| *p -= q);
            if planted("landing_wrong_branch") {
                draw.gradient.iter_mut().zip(&log_q_gradient).for_each(|(p, q)| *p += q);
                q.add_score(&draw.z, -1.0, gradient);
            }
            q.add_pullback(&draw.noise, &draw.gradient, gradient);
            sum += log_joint - q.log_prob(&draw.z);
            tally.used += 1;
        }
    }
    mean(sum, &tally, gradient)
}
