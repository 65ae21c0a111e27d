//! The error that the optimiser has left.

use super::Vi;
use crate::estimator::Memory;
use crate::optimizer::Geometry;
use crate::target::LogDensityGrad;
use lvm_core::random::{Purpose, stream};
use lvm_core::{ErrorKind, Result, linalg};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Half-widths of 95 % intervals around q for what the best member of the family has: the displacement by the step size, seen in the
/// difference of two stages, plus the Monte Carlo error of both averages, and no less than a quarter of the tolerance, nor than the way that Newton's
/// method would still go by fresh draws, where the gradient has a model of the curvature. Infinite where fewer than two stages were completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemainingError {
    /// Of the means, in units of q's standard deviations (d).
    pub mean: Vec<f64>,
    /// Of the logarithms of the standard deviations (d).
    pub log_sd: Vec<f64>,
}

impl RemainingError {
    pub(super) fn unknown(d: usize) -> Self {
        RemainingError { mean: vec![f64::INFINITY; d], log_sd: vec![f64::INFINITY; d] }
    }

    /// The largest of all.
    pub fn largest(&self) -> f64 {
        self.mean.iter().chain(&self.log_sd).fold(0.0, |m, e| if e.is_nan() { f64::INFINITY } else { m.max(*e) })
    }
}

/// Blocks of fresh draws for the gradient at the end; their spread is its standard error.
pub(super) const BLOCKS: usize = 20;
/// Standard errors the displacement may be beyond the tolerance.
const CLEARANCE: f64 = 3.0;
/// 97.5 % quantile of Student's t with 19 degrees of freedom, those of the blocks.
const QUANTILE: f64 = 2.093;
/// The standard error of the way of Newton's method, as a share of the tolerance, from which on it is stated.
const KNOWN: f64 = 0.1;
/// Times the draws are doubled until the standard errors are below these.
const DOUBLINGS: u32 = 5;

/// What fresh draws say of a q that is to be the answer.
pub(super) enum Look {
    /// They contradict that q is within the tolerance of the optimum, or can't tell.
    Refuted,
    /// They do not. With a model of the curvature of log p, how far the means may be off, in standard deviations of q (d): the way that
    /// Newton's method would still go, and its error; 0 where it is not known that well. It knows of ways along which steps are slow.
    Upheld(Vec<f64>),
}

/// Looks at q by fresh draws: one natural step of length one from there goes to the optimum of a Gaussian target, so its effect on means and
/// standard deviations estimates what is left.
pub(super) fn look<F: Geometry>(vi: &Vi<F>, q: &F, target: &dyn LogDensityGrad, memory: &Memory, seed: u64) -> Result<Look> {
    let (tolerance, d) = (vi.stopping.tolerance, q.dim());
    let (units, curvature) = (q.standard_deviations(), memory.curvature(d));
    // the step of Newton's method for the means, in standard deviations of q
    let way = |lower: &Array2<f64>, gradient: &[f64]| -> Vec<f64> {
        let mut step = Array2::from_shape_fn((d, 1), |(i, _)| gradient[i]);
        linalg::cholesky_solve(lower.view(), step.view_mut());
        step.iter().zip(&units).map(|(w, u)| w / u).collect()
    };
    for doubling in 0..=DOUBLINGS {
        let draws = (vi.stopping.check_draws << doubling) / BLOCKS;
        let (mut blocks, mut ways) = (Vec::with_capacity(BLOCKS), Vec::with_capacity(BLOCKS));
        for block in 0..BLOCKS {
            let mut rng = stream(seed, Purpose::Diagnosis, ((doubling as u64) << 32) + block as u64);
            let mut gradient = vec![0.0; q.parameters().len()];
            match vi.gradient.estimate(q, target, draws, &mut memory.clone(), &mut rng, &mut gradient) {
                // an overflow
                Ok(_) if gradient.iter().any(|g| !g.is_finite()) => return Ok(Look::Refuted),
                Ok(_) => {
                    ways.extend(curvature.as_ref().map(|lower| way(lower, &gradient)));
                    blocks.push(displacement(q, gradient)?);
                }
                Err(e) if matches!(e.kind(), ErrorKind::NoUsableDraw { .. }) => return Ok(Look::Refuted),
                Err(e) => return Err(e),
            }
        }
        let (mut far, mut vague) = (false, false);
        for j in 0..2 * d {
            let (mean, std_err) = mean_of(&blocks, j);
            far |= !(mean.abs() <= tolerance + CLEARANCE * std_err);
            vague |= !(std_err <= tolerance);
        }
        let mut left = vec![0.0; d];
        let mut unknown = false;
        for (j, left) in left.iter_mut().enumerate().filter(|_| curvature.is_some()) {
            let (mean, std_err) = mean_of(&ways, j);
            far |= mean.abs() > tolerance + CLEARANCE * std_err;
            let known = std_err <= KNOWN * tolerance;
            unknown |= !known;
            *left = if known { mean.abs() + QUANTILE * std_err } else { 0.0 };
        }
        if far || (!vague && (!unknown || doubling == DOUBLINGS)) {
            return Ok(if far { Look::Refuted } else { Look::Upheld(left) });
        }
    }
    Ok(Look::Refuted)
}

/// The mean of entry j over the blocks and its standard error.
fn mean_of(blocks: &[Vec<f64>], j: usize) -> (f64, f64) {
    let mean = blocks.iter().map(|b| b[j]).sum::<f64>() / BLOCKS as f64;
    let variance = blocks.iter().map(|b| (b[j] - mean).powi(2)).sum::<f64>() / (BLOCKS - 1) as f64;
    (mean, (variance / BLOCKS as f64).sqrt())
}

/// What the natural step of length one along `gradient` does to means, in standard deviations, and to logarithms of standard deviations.
fn displacement<F: Geometry>(q: &F, mut gradient: Vec<f64>) -> Result<Vec<f64>> {
    q.precondition(&mut gradient);
    let largest = gradient.iter().fold(1.0_f64, |m, g| m.max(g.abs()));
    // a difference over so short a step is the derivative to 1e-4
    let h = 1e-4 / largest;
    let moved: Vec<f64> = q.parameters().iter().zip(&gradient).map(|(p, g)| p + h * g).collect();
    let (before, after) = (q.standard_deviations(), q.with_parameters(&moved)?.standard_deviations());
    let means = gradient.iter().zip(&before).map(|(g, s)| g / s);
    Ok(means.chain(before.iter().zip(&after).map(|(b, a)| (a / b).ln() / h)).collect())
}
