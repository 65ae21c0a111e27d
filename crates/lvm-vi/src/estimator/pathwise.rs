//! The pathwise gradient: z = T(ε; λ), and the derivative goes through T.
//!
//! Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014.

use super::draw::{Draw, Tally};
use super::{Drawn, mean};
use crate::family::Family;
use crate::target::LogDensityGrad;
use lvm_core::Result;
use rand::Rng;

/// (1/S) Σ_s (∂T/∂λ)ᵀ ∇_z log p(z_s) + ∇_λ H(q).
pub(super) fn closed_entropy<F: Family, T: LogDensityGrad + ?Sized>(
    q: &F,
    target: &T,
    draws: usize,
    rng: &mut dyn Rng,
    gradient: &mut [f64],
) -> Result<Drawn> {
    let (mut draw, mut tally, mut sum) = (Draw::new(q), Tally::default(), 0.0);
    for _ in 0..draws {
        if let Some(log_joint) = draw.next(q, target, rng, &mut tally)? {
            q.add_pullback(&draw.noise, &draw.gradient, gradient);
            sum += log_joint;
            tally.used += 1;
        }
    }
    let mut drawn = mean(sum, &tally, gradient)?;
    q.add_entropy_grad(1.0, gradient);
    drawn.elbo += q.entropy();
    Ok(drawn)
}

/// (1/S) Σ_s (∂T/∂λ)ᵀ (∇_z log p(z_s) − ∇_z log q(z_s; λ)) − ∇_λ log q(z_s; λ).
pub(super) fn total<F: Family, T: LogDensityGrad + ?Sized>(
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
            q.add_pullback(&draw.noise, &draw.gradient, gradient);
            q.add_score(&draw.z, -1.0, gradient);
            sum += log_joint - q.log_prob(&draw.z);
            tally.used += 1;
        }
    }
    mean(sum, &tally, gradient)
}
