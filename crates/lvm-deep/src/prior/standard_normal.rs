//! N(0, I).

use super::Prior;
use crate::noise::Noise;
use crate::posterior::{Posterior, Spread};
use lvm_core::mutant::planted;
use std::f64::consts::PI;
use tch::Tensor;

/// z ~ N(0, I).
#[derive(Debug, Clone, Copy)]
pub struct StandardNormal {
    /// L.
    pub latents: i64,
}

impl Prior for StandardNormal {
    fn latents(&self) -> i64 {
        self.latents
    }

    fn log_prob(&self, z: &Tensor) -> Tensor {
        (z.square() + (2.0 * PI).ln()).sum_dim_intlist([-1].as_slice(), false, None) * -0.5
    }

    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor {
        noise.normal(&[n, self.latents])
    }

    fn kl_by_latent(&self, q: &dyn Posterior) -> Option<Tensor> {
        let q = q.gaussian()?;
        match q.spread {
            // ½ (e^v + m² − 1 − v)        Kingma & Welling 2014, appendix B
            Spread::Diagonal(v) => Some((v.exp() + q.mean.square() - 1.0 - v) * 0.5),
            Spread::Cholesky(_) => None,
        }
    }

    fn kl(&self, q: &dyn Posterior) -> Option<Tensor> {
        let gaussian = q.gaussian()?;
        match gaussian.spread {
            // over the latents, a sum
            Spread::Diagonal(_) if planted("vae_kl_mean") => self.kl_by_latent(q).map(|kl| kl.mean_dim([-1].as_slice(), false, None)),
            Spread::Diagonal(_) => self.kl_by_latent(q).map(|kl| kl.sum_dim_intlist([-1].as_slice(), false, None)),
            // ½ (‖C‖² + ‖m‖² − L) − Σ log C_ll
            Spread::Cholesky(factor) => {
                let trace = factor.square().sum_dim_intlist([-2, -1].as_slice(), false, None);
                let log_det = factor.diagonal(0, -2, -1).log().sum_dim_intlist([-1].as_slice(), false, None);
                let square = gaussian.mean.square().sum_dim_intlist([-1].as_slice(), false, None);
                Some((trace + square - self.latents as f64) * 0.5 - log_det)
            }
        }
    }
}
