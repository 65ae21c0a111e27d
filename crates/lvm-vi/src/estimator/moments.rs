//! The mean and the variance of an estimator of the gradient at a fixed q.

use super::{Drawn, Gradient, Memory};
use crate::family::Family;
use crate::target::LogDensityGrad;
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, Result};
use ndarray::Array1;
use rand::Rng;
use rayon::prelude::*;

/// Mean and variance of the coordinates of a gradient estimate, over independent repetitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// The mean estimate (parameters).
    pub mean: Array1<f64>,
    /// The variance of one estimate, divisor R − 1 (parameters).
    pub variance: Array1<f64>,
    /// R, the repetitions.
    pub repeats: usize,
    /// Draws left out, over all repetitions.
    pub skipped: usize,
}

impl Moments {
    /// Σ_i Var(g_i), the trace of the covariance of one estimate: what slows stochastic ascent.
    pub fn total_variance(&self) -> f64 {
        self.variance.sum()
    }

    /// ‖E g‖ / √(Σ_i Var g_i): below about 1 a single estimate says little about the direction.
    pub fn signal_to_noise(&self) -> f64 {
        self.mean.dot(&self.mean).sqrt() / self.total_variance().sqrt()
    }

    /// The standard errors of `mean` (parameters).
    pub fn standard_errors(&self) -> Array1<f64> {
        self.variance.mapv(|v| (v / self.repeats as f64).sqrt())
    }
}

/// Mean and variance of `estimator` with `draws` draws, from `repeats` independent repetitions.
///
/// # Errors
/// If `repeats` is below 2, and as [`Gradient::estimate`].
pub fn moments<F: Family, T: LogDensityGrad + ?Sized>(
    estimator: Gradient,
    q: &F,
    target: &T,
    draws: usize,
    repeats: usize,
    seed: u64,
) -> Result<Moments> {
    moments_of(q.parameters().len(), repeats, seed, |memory, rng, gradient| estimator.estimate(q, target, draws, memory, rng, gradient))
}

/// Mean and variance of any estimator of a gradient of `parameters` entries, which writes over the buffer it is given. What it remembers
/// goes on through blocks of 256 repetitions.
///
/// # Errors
/// If `repeats` is below 2, and those of `estimate`.
pub fn moments_of<E>(parameters: usize, repeats: usize, seed: u64, estimate: E) -> Result<Moments>
where
    E: Fn(&mut Memory, &mut dyn Rng, &mut [f64]) -> Result<Drawn> + Sync,
{
    const BLOCK: usize = 256;
    if repeats < 2 {
        return Err(Error::config("repeats", format!("{repeats} is too few for a variance; at least 2 are needed")));
    }
    let blocks: Vec<Welford> = (0..repeats.div_ceil(BLOCK))
        .into_par_iter()
        .map(|b| {
            let mut rng = stream(seed, Purpose::Diagnosis, b as u64);
            let (mut memory, mut block) = (Memory::default(), Welford::new(parameters));
            let mut gradient = vec![0.0; parameters];
            for _ in b * BLOCK..repeats.min((b + 1) * BLOCK) {
                let drawn = estimate(&mut memory, &mut rng, &mut gradient)?;
                block.push(&gradient);
                block.skipped += drawn.skipped;
            }
            Ok(block)
        })
        .collect::<Result<_>>()?;
    let whole = blocks.into_iter().fold(Welford::new(parameters), Welford::merge);
    let variance = whole.scatter / (repeats - 1) as f64;
    Ok(Moments { mean: whole.mean, variance, repeats, skipped: whole.skipped })
}

/// Running mean and scatter about it   Chan, Golub & LeVeque 1983.
#[derive(Debug)]
struct Welford {
    n: f64,
    mean: Array1<f64>,
    scatter: Array1<f64>,
    skipped: usize,
}

impl Welford {
    fn new(d: usize) -> Self {
        Welford { n: 0.0, mean: Array1::zeros(d), scatter: Array1::zeros(d), skipped: 0 }
    }

    fn push(&mut self, x: &[f64]) {
        self.n += 1.0;
        for ((mean, scatter), x) in self.mean.iter_mut().zip(&mut self.scatter).zip(x) {
            let delta = x - *mean;
            *mean += delta / self.n;
            *scatter += delta * (x - *mean);
        }
    }

    fn merge(mut self, other: Self) -> Self {
        let n = self.n + other.n;
        let delta = &other.mean - &self.mean;
        self.scatter = self.scatter + other.scatter + &delta * &delta * (self.n * other.n / n);
        self.mean = self.mean + delta * (other.n / n);
        Welford { n, skipped: self.skipped + other.skipped, ..self }
    }
}
