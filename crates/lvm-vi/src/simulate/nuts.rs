//! Chains of the No-U-Turn sampler.

use super::mixing::{effective_draws, split_r_hat};
use crate::target::{LogDensityGrad, TargetError};
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, Array3, Axis};
use nuts_rs::{Chain, CpuLogpFunc, CpuMath, CpuMathError, DiagNutsSettings, HasDims, LogpError, Settings};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::collections::HashMap;

/// The No-U-Turn sampler with a diagonal mass matrix (Hoffman & Gelman 2014), several chains from dispersed starts.
///
/// *Requirements*: a gradient, and a posterior in one piece. *When it fails*: chains that disagree ([`Simulation::max_r_hat`] above 1.01) or
/// divergent steps say that the draws are not to be believed; several modes may stay unseen.
///
/// ```
/// use lvm_vi::simulate::Nuts;
/// use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
/// struct Standard;
/// impl LogDensity for Standard {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> { Ok(-0.5 * z[0] * z[0]) }
/// }
/// impl LogDensityGrad for Standard {
///     fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> { g[0] = -z[0]; self.log_density(z) }
/// }
/// let simulation = Nuts::default().run(&Standard, 1)?;
/// assert!(simulation.max_r_hat() < 1.02 && simulation.mean()[0].abs() < 0.1);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Nuts {
    /// Chains, at least 2, so that they can be compared.
    pub chains: usize,
    /// Steps in which each chain adapts and which are thrown away.
    pub warmup: usize,
    /// Draws kept of each chain, at least 4.
    pub draws: usize,
    /// Where the chains start: around this point (d); 0 if none.
    pub centre: Option<Array1<f64>>,
    /// The standard deviation of the starts around the centre.
    pub spread: f64,
}

impl Default for Nuts {
    fn default() -> Self {
        Nuts { chains: 4, warmup: 1000, draws: 1000, centre: None, spread: 1.0 }
    }
}

/// Draws of a posterior by simulation.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// z (chains, draws, d).
    pub draws: Array3<f64>,
    /// Split-R̂ of each latent (d).
    pub r_hat: Array1<f64>,
    /// Effective draws for the mean of each latent (d).
    pub effective_draws: Array1<f64>,
    /// Kept steps that diverged.
    pub divergences: usize,
}

impl Simulation {
    /// The largest R̂.
    pub fn max_r_hat(&self) -> f64 {
        self.r_hat.iter().copied().fold(1.0, |a, b| if b.is_nan() { b } else { a.max(b) })
    }

    /// Posterior means (d).
    pub fn mean(&self) -> Array1<f64> {
        self.rows().mean_axis(Axis(0)).unwrap_or_default()
    }

    /// Posterior standard deviations (d).
    pub fn standard_deviations(&self) -> Array1<f64> {
        self.rows().std_axis(Axis(0), 1.0)
    }

    /// Standard errors of the means: standard deviation over the root of the effective draws (d).
    pub fn mean_std_err(&self) -> Array1<f64> {
        self.standard_deviations() / self.effective_draws.mapv(f64::sqrt)
    }

    /// All draws (chains × draws, d).
    pub fn rows(&self) -> Array2<f64> {
        let (chains, draws, d) = self.draws.dim();
        // invariant: the array was made in this order and never transposed
        self.draws.to_shape((chains * draws, d)).expect("standard layout").into_owned()
    }
}

struct Density<'a, T: ?Sized>(&'a T);

#[derive(Debug)]
struct DensityError(TargetError);

impl std::fmt::Display for DensityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DensityError {}

impl LogpError for DensityError {
    fn is_recoverable(&self) -> bool {
        self.0.is_recoverable()
    }
}

impl<T: LogDensityGrad + ?Sized> HasDims for Density<'_, T> {
    fn dim_sizes(&self) -> HashMap<String, u64> {
        HashMap::from([("unconstrained_parameter".to_owned(), self.0.dim() as u64)])
    }
}

impl<T: LogDensityGrad + ?Sized> CpuLogpFunc for Density<'_, T> {
    type LogpError = DensityError;
    type FlowParameters = ();
    type ExpandedVector = Vec<f64>;

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn logp(&mut self, position: &[f64], gradient: &mut [f64]) -> std::result::Result<f64, DensityError> {
        let value = self.0.log_density_grad(position, gradient).map_err(DensityError)?;
        match value.is_finite() && gradient.iter().all(|g| g.is_finite()) {
            true => Ok(value),
            false => Err(DensityError(TargetError::Recoverable("the log density or its gradient is not finite".into()))),
        }
    }

    fn expand_vector<R: rand::Rng + ?Sized>(&mut self, _rng: &mut R, position: &[f64]) -> std::result::Result<Vec<f64>, CpuMathError> {
        Ok(position.to_vec())
    }
}

/// Starts tried for each chain until one has a finite density.
const STARTS: u64 = 100;

impl Nuts {
    /// Simulates `target`; the chains run in parallel and depend on `seed` alone.
    ///
    /// # Errors
    /// If a setting is out of range, no start with a finite density is found, or the target fails for good.
    pub fn run<T: LogDensityGrad + ?Sized>(&self, target: &T, seed: u64) -> Result<Simulation> {
        let d = target.dim();
        for (field, value, least) in [("chains", self.chains, 2), ("draws", self.draws, 4), ("warmup", self.warmup, 1)] {
            if value < least {
                return Err(Error::config(field, format!("{value} asked for, at least {least} are needed")));
            }
        }
        if self.centre.as_ref().is_some_and(|c| c.len() != d) {
            let found = self.centre.as_ref().map_or(0, |c| c.len());
            return Err(lvm_core::ErrorKind::Shape { what: "centre of the starts", expected: d, found }.into());
        }
        let chains = (0..self.chains as u64).into_par_iter().map(|chain| self.chain(target, seed, chain)).collect::<Result<Vec<_>>>()?;
        let divergences = chains.iter().map(|c| c.1).sum();
        let values = chains.into_iter().flat_map(|c| c.0).collect();
        // invariant: every chain gave its number of draws, each of d numbers
        let draws = Array3::from_shape_vec((self.chains, self.draws, d), values).expect("chains of equal length");
        let of_latents = |f: &dyn Fn(ndarray::ArrayView2<'_, f64>) -> f64| (0..d).map(|i| f(draws.index_axis(Axis(2), i))).collect();
        let (r_hat, effective_draws) = (of_latents(&split_r_hat), of_latents(&effective_draws));
        Ok(Simulation { draws, r_hat, effective_draws, divergences })
    }

    /// The draws kept of one chain (draws × d) and how many of its steps diverged.
    fn chain<T: LogDensityGrad + ?Sized>(&self, target: &T, seed: u64, chain: u64) -> Result<(Vec<f64>, usize)> {
        let failed = |what: &dyn std::fmt::Display| Error::config("target", format!("simulation failed: {what}"));
        let mut rng = stream(seed, Purpose::Diagnosis, chain);
        let settings = DiagNutsSettings { num_tune: self.warmup as u64, num_draws: self.draws as u64, ..Default::default() };
        let mut sampler = settings.new_chain(chain, CpuMath::new(Density(target)), &mut rng).map_err(|e| failed(&e))?;
        let start = self.start(target, &mut stream(seed, Purpose::Start, chain))?;
        sampler.set_position(&start).map_err(|e| failed(&e))?;
        let mut kept = Vec::with_capacity(self.draws * target.dim());
        let mut divergences = 0;
        for step in 0..self.warmup + self.draws {
            let (position, progress) = sampler.draw().map_err(|e| failed(&e))?;
            if step >= self.warmup {
                kept.extend_from_slice(&position);
                divergences += usize::from(progress.diverging);
            }
        }
        Ok((kept, divergences))
    }

    fn start<T: LogDensityGrad + ?Sized>(&self, target: &T, rng: &mut impl rand::Rng) -> Result<Vec<f64>> {
        let d = target.dim();
        let mut gradient = vec![0.0; d];
        for _ in 0..STARTS {
            let z: Vec<f64> = (0..d)
                .map(|i| {
                    let e: f64 = StandardNormal.sample(rng);
                    self.centre.as_ref().map_or(0.0, |c| c[i]) + self.spread * e
                })
                .collect();
            match target.log_density_grad(&z, &mut gradient) {
                Ok(value) if value.is_finite() && gradient.iter().all(|g| g.is_finite()) => return Ok(z),
                Err(error) if !error.is_recoverable() => return Err(lvm_core::ErrorKind::Density(Box::new(error)).into()),
                _ => {}
            }
        }
        Err(Error::config("centre", format!("none of {STARTS} starts has a finite log density; give a centre where the target has mass")))
    }
}
