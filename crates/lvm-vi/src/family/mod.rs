//! Families of approximate posteriors q(z; λ), with flat unconstrained parameters λ.
//!
//! | family | z | parameters | cost of a draw |
//! |---|---|---|---|
//! | [`MeanField`] | ℝᵈ, independent | 2 d | O(d) |
//! | [`LowRank`] | ℝᵈ, covariance diagonal plus rank r | (r + 2) d | O(d r) |
//! | [`FullRank`] | ℝᵈ, any covariance | d + d (d + 1) / 2 | O(d²) |
//! | [`Categorical`] | N labels, independent | N K | O(N K) |
//!
//! What every family can do is [`Variational`]: draws, log density, score, entropy. [`Family`] adds draws that are a smooth function of λ
//! (pathwise gradients); [`Gaussian`] adds what closed forms between Gaussians need.

mod categorical;
mod full_rank;
mod gaussian;
mod low_rank;
mod mean_field;

pub use categorical::Categorical;
pub use full_rank::FullRank;
pub use gaussian::{Gaussian, kl};
pub use low_rank::LowRank;
pub use mean_field::MeanField;

use ndarray::{Array1, Array2, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// A family of distributions q(z; λ). Values of this type are members of the family: they hold λ.
///
/// Gradients are added to what stands in the buffer, so that sums over draws need no second one. A discrete latent is its label 0, 1, 2, …
/// as a real number.
pub trait Variational: Clone + Send + Sync {
    /// d, the number of latents.
    fn dim(&self) -> usize;

    /// λ, flat and unconstrained; its layout is in the documentation of the family.
    fn parameters(&self) -> &[f64];

    /// The member with other parameters.
    ///
    /// # Errors
    /// If the number of parameters is another one, one is not finite, or a scale made from them overflows or is 0.
    fn with_parameters(&self, parameters: &[f64]) -> lvm_core::Result<Self>;

    /// Becomes the member with other parameters, in place where the family can. After an error it is what it was.
    ///
    /// # Errors
    /// As [`with_parameters`](Self::with_parameters).
    fn assign(&mut self, parameters: &[f64]) -> lvm_core::Result<()> {
        *self = self.with_parameters(parameters)?;
        Ok(())
    }

    /// z ~ q(z; λ), written over `z` (d).
    fn sample(&self, rng: &mut dyn Rng, z: &mut [f64]);

    /// log q(z; λ), normalised.
    fn log_prob(&self, z: &[f64]) -> f64;

    /// ∇_λ log q(z; λ) at fixed z, the score, times `scale`, added to `gradient` (parameters).
    fn add_score(&self, z: &[f64], scale: f64, gradient: &mut [f64]);

    /// The entropy −E_q[log q] in nats.
    fn entropy(&self) -> f64;

    /// ∇_λ of the entropy, times `scale`, added to `gradient` (parameters).
    fn add_entropy_grad(&self, scale: f64, gradient: &mut [f64]);
}

/// A family over ℝᵈ whose draws are a smooth function of λ and of standard normal noise: z = T(ε; λ), ε ~ N(0, I).
pub trait Family: Variational {
    /// The number of standard normal numbers that make one draw.
    fn noise_dim(&self) -> usize;

    /// z = T(ε; λ), written over `z` (d).
    fn transform(&self, noise: &[f64], z: &mut [f64]);

    /// ∇_z log q(z; λ), added to `gradient` (d).
    fn add_log_prob_grad(&self, z: &[f64], gradient: &mut [f64]);

    /// (∂T(ε; λ)/∂λ)ᵀ g for a gradient g in z (d), added to `gradient` (parameters).
    fn add_pullback(&self, noise: &[f64], z_gradient: &[f64], gradient: &mut [f64]);

    /// E_ε\[(∂T(ε; λ)/∂λ)ᵀ g(z)\] of a linear g(z) = `constant` + `slope` (z − E_q\[z\]), shapes d and (d, d), added to `gradient`
    /// (parameters).
    fn add_expected_pullback(&self, constant: &[f64], slope: ArrayView2<'_, f64>, gradient: &mut [f64]);

    /// E_q\[z\] (d).
    fn mean(&self) -> Array1<f64>;

    /// Cov_q\[z\] (d, d).
    fn covariance(&self) -> Array2<f64>;

    /// The standard deviation of each latent (d).
    fn standard_deviations(&self) -> Array1<f64>;
}

/// ε ~ N(0, I), written over `noise`.
pub(crate) fn draw_noise(rng: &mut dyn Rng, noise: &mut [f64]) {
    noise.iter_mut().for_each(|e| *e = StandardNormal.sample(rng));
}

/// z = T(ε; λ) with fresh noise.
fn sample_by_transform<F: Family>(q: &F, rng: &mut dyn Rng, z: &mut [f64]) {
    let mut noise = vec![0.0; q.noise_dim()];
    draw_noise(rng, &mut noise);
    q.transform(&noise, z);
}

/// Refuses parameters that are not finite or not as many as needed.
fn check_parameters(what: &'static str, parameters: &[f64], expected: usize) -> lvm_core::Result<()> {
    use lvm_core::{Error, ErrorKind};
    if parameters.len() != expected {
        return Err(ErrorKind::Shape { what, expected, found: parameters.len() }.into());
    }
    // all at once, which the compiler turns into vectors: it is done at every step
    if parameters.iter().fold(true, |finite, v| finite & v.is_finite()) {
        return Ok(());
    }
    match parameters.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        Some((i, v)) => Err(Error::config("parameters", format!("entry {i} is {v}; every parameter must be finite"))),
        None => Ok(()),
    }
}

/// exp of logarithms of scales, refusing what overflows or underflows.
fn scales(log_scales: impl Iterator<Item = f64> + Clone) -> lvm_core::Result<Vec<f64>> {
    check_scales(log_scales.clone())?;
    Ok(log_scales.map(f64::exp).collect())
}

/// Logarithms of scales at and beyond which they are not normal numbers.
const LOG_SCALES: (f64, f64) = (-708.39, 709.78);

/// Refuses logarithms of scales that overflow or underflow.
fn check_scales(mut log_scales: impl Iterator<Item = f64>) -> lvm_core::Result<()> {
    let mut found = f64::NAN;
    let outside = |l: f64| {
        found = l;
        !(LOG_SCALES.0 < l && l < LOG_SCALES.1)
    };
    match log_scales.position(outside) {
        Some(i) => {
            let message = format!("the logarithm of scale {i} is {found}; it must lie in (-708, 709)");
            Err(lvm_core::Error::config("parameters", message))
        }
        None => Ok(()),
    }
}
