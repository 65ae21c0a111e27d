//! The diagonal Gaussian.

use super::{Draws, Family, GaussianMoments, Posterior, Spread};
use crate::noise::Noise;
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
        let mean = features.narrow(-1, 0, self.latents);
        let log_variance = features.narrow(-1, self.latents, self.latents).clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT);
        Box::new(DiagonalPosterior { mean, log_variance })
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

impl Posterior for DiagonalPosterior {
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws {
        let epsilon = noise.normal(&[&[k], self.mean.size().as_slice()].concat());
        // log q(z) = −½ Σ [log 2π + v + ε²]
        let log_q = (epsilon.square() + &self.log_variance + (2.0 * PI).ln()).sum_dim_intlist([-1].as_slice(), false, None) * -0.5;
        // z = m + e^{v/2} ε
        let z = &self.mean + (&self.log_variance * 0.5).exp() * epsilon;
        Draws { z, log_q }
    }

    fn log_prob(&self, z: &Tensor) -> Option<Tensor> {
        let square = (z - &self.mean).square() * (-&self.log_variance).exp();
        Some((square + &self.log_variance + (2.0 * PI).ln()).sum_dim_intlist([-1].as_slice(), false, None) * -0.5)
    }

    fn detach(&self) -> Box<dyn Posterior> {
        Box::new(DiagonalPosterior { mean: self.mean.detach(), log_variance: self.log_variance.detach() })
    }

    fn mode(&self) -> Tensor {
        self.mean.shallow_clone()
    }

    fn gaussian(&self) -> Option<GaussianMoments> {
        Some(GaussianMoments { mean: self.mean.shallow_clone(), spread: Spread::Diagonal(self.log_variance.shallow_clone()) })
    }
}
