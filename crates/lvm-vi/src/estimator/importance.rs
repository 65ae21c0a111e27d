//! The gradient of the importance-weighted bound, doubly reparameterised.
//!
//! Burda, Grosse & Salakhutdinov 2016; Tucker, Lawson, Gu & Maddison 2019.

use super::draw::{Draw, Tally, check_positive};
use super::{Drawn, mean};
use crate::bound::log_mean_exp;
use crate::family::Family;
use crate::target::LogDensityGrad;
use lvm_core::Result;
use lvm_core::mutant::planted;
use rand::Rng;

/// (1/S) Σ_s Σ_i w̃_i² (∂T/∂λ)ᵀ (∇_z log p(z_i) − ∇_z log q(z_i)),   w̃_i = w_i / Σ_j w_j,   w = p(z)/q(z), over S groups of k particles.
///
/// At k = 1 it is sticking the landing. A particle that is of no use is left out with its whole group.
pub(super) fn estimate<F: Family, T: LogDensityGrad + ?Sized>(
    q: &F,
    target: &T,
    particles: usize,
    groups: usize,
    rng: &mut dyn Rng,
    gradient: &mut [f64],
) -> Result<Drawn> {
    check_positive("particles", particles)?;
    let mut group: Vec<Draw> = (0..particles).map(|_| Draw::new(q)).collect();
    let mut log_weights = vec![0.0; particles];
    let mut log_q_gradient = vec![0.0; q.dim()];
    let (mut tally, mut sum) = (Tally::default(), 0.0);
    for _ in 0..groups {
        if !fill(q, target, rng, &mut group, &mut log_weights, &mut tally)? {
            continue;
        }
        let bound = log_mean_exp(&log_weights);
        for (draw, log_weight) in group.iter_mut().zip(&log_weights) {
            let normalised = (log_weight - bound).exp() / particles as f64;
            log_q_gradient.fill(0.0);
            q.add_log_prob_grad(&draw.z, &mut log_q_gradient);
            let scale = if planted("importance_not_squared") { normalised } else { normalised * normalised };
            draw.gradient.iter_mut().zip(&log_q_gradient).for_each(|(p, q)| *p = scale * (*p - q));
            q.add_pullback(&draw.noise, &draw.gradient, gradient);
        }
        sum += bound;
        tally.used += 1;
    }
    mean(sum, &tally, gradient)
}

/// Draws a whole group with its log weights; false if it is to be left out.
fn fill<F: Family, T: LogDensityGrad + ?Sized>(
    q: &F,
    target: &T,
    rng: &mut dyn Rng,
    group: &mut [Draw],
    log_weights: &mut [f64],
    tally: &mut Tally,
) -> Result<bool> {
    for (draw, log_weight) in group.iter_mut().zip(log_weights) {
        match draw.next(q, target, rng, tally)? {
            Some(log_joint) => *log_weight = log_joint - q.log_prob(&draw.z),
            None => return Ok(false),
        }
    }
    Ok(true)
}
