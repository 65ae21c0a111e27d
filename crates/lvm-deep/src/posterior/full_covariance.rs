//! The Gaussian with full covariance.

use super::diagonal::LOG_VARIANCE_LIMIT;
use super::{Draws, Family, GaussianMoments, Posterior, Spread};
use crate::nets::Activation;
use crate::noise::Noise;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use tch::{Device, Tensor};

/// From any number to a positive one, for the diagonal of a Cholesky factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positive {
    /// e^{v/2}: v is the log-variance of z_l given the latents before it; with nothing off the diagonal this is [`Diagonal`](super::Diagonal).
    #[default]
    Exp,
    /// log(1 + eᵛ), which grows no faster than v.
    Softplus,
}

/// A standard deviation by softplus is never below this: log C_ll stays finite in f32.
const LEAST_SOFTPLUS: f64 = 1e-6;

/// q(z | x) = N(m(x), C Cᵀ) with C(x) lower triangular and positive on the diagonal.
///
/// Features are m (L), v (L) for the diagonal of C, and the L(L − 1)/2 numbers below it row by row.
#[derive(Debug)]
pub struct FullCovariance {
    latents: i64,
    positive: Positive,
    /// Where the L × L entries of the strict lower triangle stand among the features below the diagonal; others at a zero put behind them.
    places: Tensor,
}

impl FullCovariance {
    /// Of L latents.
    pub fn new(latents: i64, positive: Positive, device: Device) -> Self {
        let below = latents * (latents - 1) / 2;
        let place = |row: i64, column: i64| if column < row { row * (row - 1) / 2 + column } else { below };
        let places: Vec<i64> = (0..latents).flat_map(|row| (0..latents).map(move |column| place(row, column))).collect();
        FullCovariance { latents, positive, places: Tensor::from_slice(&places).to_device(device) }
    }
}

impl Family for FullCovariance {
    fn n_features(&self) -> i64 {
        self.latents * (self.latents + 3) / 2
    }

    fn at(&self, features: &Tensor) -> Box<dyn Posterior> {
        let (rows, l) = (features.size()[0], self.latents);
        let mean = features.narrow(-1, 0, l);
        let v = features.narrow(-1, l, l);
        let diagonal = match self.positive {
            Positive::Exp => (v.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT) * 0.5).exp(),
            Positive::Softplus => Activation::Softplus.of(&v) + LEAST_SOFTPLUS,
        };
        let below = Tensor::cat(&[features.narrow(-1, 2 * l, l * (l - 1) / 2), features.narrow(-1, 0, 1).zeros_like()], -1);
        let factor = below.index_select(-1, &self.places).view([rows, l, l]) + diagonal.diag_embed(0, -2, -1);
        Box::new(FullCovariancePosterior { mean, factor })
    }

    fn share(&self) -> Box<dyn Family> {
        Box::new(FullCovariance { latents: self.latents, positive: self.positive, places: self.places.shallow_clone() })
    }
}

/// N(m, C Cᵀ) of N rows.
#[derive(Debug)]
pub struct FullCovariancePosterior {
    /// m (N, L).
    pub mean: Tensor,
    /// C (N, L, L).
    pub factor: Tensor,
}

impl FullCovariancePosterior {
    /// log q(z) = −½ Σ [log 2π + ε²] − Σ log C_ll with ε = C⁻¹(z − m), (k, N).
    fn log_density(&self, epsilon: &Tensor) -> Tensor {
        let log_det = self.factor.diagonal(0, -2, -1).log().sum_dim_intlist([-1].as_slice(), false, None);
        (epsilon.square() + (2.0 * PI).ln()).sum_dim_intlist([-1].as_slice(), false, None) * -0.5 - log_det
    }
}

impl Posterior for FullCovariancePosterior {
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws {
        let epsilon = noise.normal(&[&[k], self.mean.size().as_slice()].concat());
        let log_q = self.log_density(&epsilon);
        // z = m + C ε, with the k draws of a row as the columns of one matrix
        let z = &self.mean + self.factor.matmul(&epsilon.permute([1, 2, 0])).permute([2, 0, 1]);
        Draws { z, log_q }
    }

    fn log_prob(&self, z: &Tensor) -> Option<Tensor> {
        let centred = (z - &self.mean).permute([1, 2, 0]);
        let epsilon = self.factor.linalg_solve_triangular(&centred, false, true, false).permute([2, 0, 1]);
        Some(self.log_density(&epsilon))
    }

    fn detach(&self) -> Box<dyn Posterior> {
        Box::new(FullCovariancePosterior { mean: self.mean.detach(), factor: self.factor.detach() })
    }

    fn mode(&self) -> Tensor {
        self.mean.shallow_clone()
    }

    fn gaussian(&self) -> Option<GaussianMoments> {
        Some(GaussianMoments { mean: self.mean.shallow_clone(), spread: Spread::Cholesky(self.factor.shallow_clone()) })
    }
}
