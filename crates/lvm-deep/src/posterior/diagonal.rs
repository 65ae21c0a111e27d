//! The diagonal Gaussian.

use super::{Draws, Family, GaussianMoments, Posterior, Spread};
use crate::noise::Noise;
use lvm_core::mutant::planted;
use std::f64::consts::PI;
use tch::Tensor;

/// Log-variances are kept within ± this: beyond it e^{log σ²} would leave the range of f32 squares.
pub const LOG_VARIANCE_LIMIT: f64 = 20.0;

/// q(z | x) = N(m(x), diag e^{v(x)}); features are m (L) and v (L) behind it.
#[derive(Debug, Clone, Copy)]
pub struct Diagonal {
    /// L.
    pub latents: i64,
}

impl Family for Diagonal {
    fn n_features(&self) -> i64 {
        2 * self.latents
    }

    fn at(&self, features: &Tensor) -> Box<dyn Posterior> {
        Box::new(DiagonalPosterior::of(features, self.latents))
    }

    fn share(&self) -> Box<dyn Family> {
        Box::new(*self)
    }
}

/// N(m, diag e^v) of N rows.
#[derive(Debug)]
pub struct DiagonalPosterior {
    /// m (N, L).
    pub mean: Tensor,
    /// v (N, L).
    pub log_variance: Tensor,
}

impl DiagonalPosterior {
    /// From m (L) and v (L) behind it, the first 2 L of the features.
    pub(crate) fn of(features: &Tensor, latents: i64) -> Self {
        let mean = features.narrow(-1, 0, latents);
        let log_variance = features.narrow(-1, latents, latents).clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT);
        DiagonalPosterior { mean, log_variance }
    }

    /// −½ Σ [log 2π + v + (z − m)² e^{−v}], (…).
    pub(crate) fn log_density(&self, z: &Tensor) -> Tensor {
        let square = (z - &self.mean).square() * (-&self.log_variance).exp();
        (square + &self.log_variance + (2.0 * PI).ln()).sum_dim_intlist([-1].as_slice(), false, None) * -0.5
    }

    pub(crate) fn detached(&self) -> Self {
        DiagonalPosterior { mean: self.mean.detach(), log_variance: self.log_variance.detach() }
    }
}

impl Posterior for DiagonalPosterior {
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws {
        let epsilon = noise.normal(&[&[k], self.mean.size().as_slice()].concat());
        // log q(z) = −½ Σ [log 2π + v + ε²]
        let log_q = (epsilon.square() + &self.log_variance * if planted("vae_no_log_det") { 0.0 } else { 1.0 } + (2.0 * PI).ln())
            .sum_dim_intlist([-1].as_slice(), false, None)
            * -0.5;
        // z = m + e^{v/2} ε
        let z = &self.mean + (&self.log_variance * if planted("vae_log_variance_as_log_sd") { 1.0 } else { 0.5 }).exp() * epsilon;
        Draws { z, log_q }
    }

    fn log_prob(&self, z: &Tensor) -> Option<Tensor> {
        Some(self.log_density(z))
    }

    fn detach(&self) -> Box<dyn Posterior> {
        Box::new(self.detached())
    }

    fn mode(&self) -> Tensor {
        self.mean.shallow_clone()
    }

    fn gaussian(&self) -> Option<GaussianMoments> {
        Some(GaussianMoments { mean: self.mean.shallow_clone(), spread: Spread::Diagonal(self.log_variance.shallow_clone()) })
    }
}
