//! The variational mixture of posteriors.

use super::Prior;
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::nets::Encoder;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use crate::posterior::{Family, Posterior};
use rand::RngExt;
use tch::Tensor;

/// p(z) = (1/K) Σ_k q(z | u_k): the mixture of what the encoder says of K pseudo-inputs u (K, D), which are trained.
///
/// Tomczak & Welling 2018, eq. 9. It shares encoder and family with the model, so the gradient of the bound reaches the encoder through the
/// prior as well. A density takes K posteriors a call and K densities a draw; KL terms are by draws.
pub struct VampPrior {
    latents: i64,
    encoder: Box<dyn Encoder>,
    family: Box<dyn Family>,
    /// u (K, D).
    inputs: Tensor,
    /// Pseudo-inputs below it are taken for it, where the encoder could not read them otherwise.
    least: Option<f64>,
}

impl VampPrior {
    /// Of K pseudo-inputs that start at random training rows (at zero where there are none), read by a shared encoder and family.
    ///
    /// # Errors
    /// If the name is taken, or the family can't evaluate a given z.
    pub fn new(
        scope: &mut Scope<'_>,
        (columns, latents): (i64, i64),
        components: i64,
        (encoder, family): (Box<dyn Encoder>, Box<dyn Family>),
        data: Option<&Dataset>,
        least: Option<f64>,
    ) -> Result<Self> {
        let inputs = match data {
            Some(data) => {
                let rows = random_rows(scope, &data.rows, components);
                scope.trained_from("inputs", &rows)?
            }
            None => scope.trained("inputs", &[components, columns], Start::Zero)?,
        };
        let prior = VampPrior { latents, encoder, family, inputs, least };
        let z = Tensor::zeros([1, components, latents], (prior.inputs.kind(), prior.inputs.device()));
        if tch::no_grad(|| prior.posterior().log_prob(&z)).is_none() {
            let message = "vamp needs a posterior that can evaluate a given z, which planar can't: choose another posterior or prior";
            return Err(Error::config("prior", message));
        }
        Ok(prior)
    }

    /// The encoder's features of the K pseudo-inputs.
    fn features(&self) -> Tensor {
        let inputs = match self.least {
            Some(least) => self.inputs.clamp_min(least),
            None => self.inputs.shallow_clone(),
        };
        self.encoder.features(&Batch::new(inputs))
    }

    /// q(z | u_k) of the K pseudo-inputs.
    fn posterior(&self) -> Box<dyn Posterior> {
        self.family.at(&self.features())
    }
}

/// Rows drawn at random among those that have a weight, each at most once as long as there are enough.
fn random_rows(scope: &mut Scope<'_>, rows: &Batch, count: i64) -> Tensor {
    let n = rows.n_rows();
    let mut left: Vec<i64> = match &rows.weights {
        Some(w) => (0..n).filter(|&row| w.double_value(&[row]) > 0.0).collect(),
        None => (0..n).collect(),
    };
    let all = left.clone();
    let chosen: Vec<i64> = (0..count)
        .map(|_| {
            if left.is_empty() {
                left = all.clone();
            }
            let at = scope.rng().random_range(0..left.len());
            left.swap_remove(at)
        })
        .collect();
    rows.x.index_select(0, &Tensor::from_slice(&chosen).to_device(rows.x.device()))
}

impl Prior for VampPrior {
    fn latents(&self) -> i64 {
        self.latents
    }

    fn log_prob(&self, z: &Tensor) -> Tensor {
        let (size, components) = (z.size(), self.inputs.size()[0]);
        let leading = &size[..size.len() - 1];
        let pairs = z.reshape([-1, 1, self.latents]).expand([-1, components, -1], false);
        // invariant: `new` has seen that this family evaluates a given z
        let by_component = self.posterior().log_prob(&pairs).expect("the family evaluates a given z");
        (by_component.logsumexp([-1].as_slice(), false) - (components as f64).ln()).view(leading)
    }

    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor {
        let components = self.inputs.size()[0];
        let chosen: Vec<i64> = (0..n).map(|_| noise.rng().random_range(0..components)).collect();
        let features = self.features().index_select(0, &Tensor::from_slice(&chosen).to_device(self.inputs.device()));
        self.family.at(&features).draw(1, noise).z.squeeze_dim(0)
    }
}
