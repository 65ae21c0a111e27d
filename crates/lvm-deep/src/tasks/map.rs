//! The most probable latent of every row.

use crate::data::Batch;
use crate::error::{Error, Result, guard};
use crate::evidence::{Ascent, Maximum};
use crate::vae::Vae;
use ndarray::Array1;
use tch::{Kind, Tensor};

/// argmax_z p(x, z) of every row, as far as an ascent finds it.
#[derive(Debug)]
pub struct MapLatents {
    /// z (N, L).
    pub z: Tensor,
    /// log p(x, z) there (N).
    pub log_joint: Array1<f64>,
    /// ‖∂ log p(x, z)/∂z‖ left (N).
    pub gradient_norm: Array1<f64>,
    /// Whether each row's gradient met the tolerance.
    pub converged: Vec<bool>,
}

/// Climbs log p(x, z) from the mode of q(z | x): the local maximum above it, which is the global one where the posterior has one mode.
/// Exact for a discrete latent: the most probable of its values.
///
/// # Errors
/// If the rows do not fit the model or the ascent's settings are outside their range.
pub fn map(vae: &Vae, batch: &Batch, ascent: &Ascent) -> Result<MapLatents> {
    vae.check(batch)?;
    guard("climbing to the most probable latents", || {
        let q = tch::no_grad(|| vae.posterior(batch));
        if q.probabilities().is_some() {
            return discrete(vae, batch);
        }
        let log_joint = |z: &Tensor| {
            let joint = vae.log_joint(&z.unsqueeze(0), batch);
            (joint.log_likelihood + joint.log_prior).squeeze_dim(0)
        };
        let Maximum { point, value, gradient_norm, converged, .. } = ascent.maximise(&q.mode(), &mut |z| Ok(log_joint(z)))?;
        Ok(MapLatents {
            z: point,
            log_joint: crate::tensor::to_vector(&value),
            gradient_norm: crate::tensor::to_vector(&gradient_norm),
            converged,
        })
    })
}

fn discrete(vae: &Vae, batch: &Batch) -> Result<MapLatents> {
    let _no_grad = tch::no_grad_guard();
    let log_joint = crate::evidence::quadrature::log_joint_of_values(vae, batch);
    let (value, best) = log_joint.max_dim(0, false);
    let n = usize::try_from(batch.n_rows()).map_err(|_| Error::config("rows", "are too many"))?;
    Ok(MapLatents {
        z: Tensor::eye(vae.latents(), (Kind::Double, batch.x.device())).index_select(0, &best).to_kind(batch.x.kind()),
        log_joint: crate::tensor::to_vector(&value),
        gradient_norm: Array1::zeros(n),
        converged: vec![true; n],
    })
}
