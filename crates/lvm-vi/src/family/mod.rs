//! Families of approximate posteriors q(z; λ) over ℝᵈ, with flat unconstrained parameters λ.

mod mean_field;

pub use mean_field::MeanField;

use ndarray::{Array1, Array2};

/// A family whose draws are a smooth function of λ and of standard normal noise: z = T(ε; λ), ε ~ N(0, I).
///
/// Values of this type are members of the family: they hold λ. Gradients are added to what stands in the buffer, so that sums over draws
/// need no second one.
pub trait Family: Clone + Send + Sync {
    /// d, the dimension of z.
    fn dim(&self) -> usize;

    /// The number of standard normal numbers that make one draw.
    fn noise_dim(&self) -> usize;

    /// λ, flat and unconstrained; its layout is in the documentation of the family.
    fn parameters(&self) -> &[f64];

    /// The member with other parameters.
    ///
    /// # Errors
    /// If the number of parameters is another one, or one is not finite.
    fn with_parameters(&self, parameters: &[f64]) -> lvm_core::Result<Self>;

    /// z = T(ε; λ), written over `z` (d).
    fn transform(&self, noise: &[f64], z: &mut [f64]);

    /// log q(z; λ), normalised.
    fn log_prob(&self, z: &[f64]) -> f64;

    /// ∇_z log q(z; λ), added to `gradient` (d).
    fn add_log_prob_grad(&self, z: &[f64], gradient: &mut [f64]);

    /// ∇_λ log q(z; λ) at fixed z, the score, times `scale`, added to `gradient` (parameters).
    fn add_score(&self, z: &[f64], scale: f64, gradient: &mut [f64]);

    /// (∂T(ε; λ)/∂λ)ᵀ g for a gradient g in z (d), added to `gradient` (parameters).
    fn add_pullback(&self, noise: &[f64], z_gradient: &[f64], gradient: &mut [f64]);

    /// The entropy −E_q[log q] in nats.
    fn entropy(&self) -> f64;

    /// ∇_λ of the entropy, times `scale`, added to `gradient` (parameters).
    fn add_entropy_grad(&self, scale: f64, gradient: &mut [f64]);

    /// E_q\[z\] (d).
    fn mean(&self) -> Array1<f64>;

    /// Cov_q\[z\] (d, d).
    fn covariance(&self) -> Array2<f64>;

    /// The standard deviation of each latent (d).
    fn standard_deviations(&self) -> Array1<f64>;
}
