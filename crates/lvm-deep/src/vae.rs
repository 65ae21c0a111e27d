//! The variational autoencoder as tensors: p(x, z) = p(z) p(x | z) and q(z | x), over one set of parameters.

use crate::architecture::Architecture;
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::likelihood::Likelihood;
use crate::nets::{Decoder, Encoder};
use crate::noise::Noise;
use crate::parameters::Parameters;
use crate::posterior::{Family, Posterior};
use crate::prior::Prior;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use tch::{Device, Kind, Tensor};

/// The parts of which a [`Vae`] is made, over parameters that they share.
pub struct Parts {
    /// Features of q(z | x).
    pub encoder: Box<dyn Encoder>,
    /// What the features mean.
    pub family: Box<dyn Family>,
    /// p(z).
    pub prior: Box<dyn Prior>,
    /// Outputs of p(x | z).
    pub decoder: Box<dyn Decoder>,
    /// What the outputs mean.
    pub likelihood: Box<dyn Likelihood>,
}

/// A generative model with its recognition model.
pub struct Vae {
    /// What it is made of, as it is written to files.
    pub architecture: Architecture,
    /// All of its numbers.
    pub parameters: Parameters,
    /// Its parts.
    pub parts: Parts,
}

/// log p(x, z) by its two terms.
pub struct LogJoint {
    /// log p(x_n | z_kn), (k, N); of the entries that are there.
    pub log_likelihood: Tensor,
    /// log p(z_kn), (k, N).
    pub log_prior: Tensor,
}

/// Draws from q(z | x) with everything a bound is made of, each (k, N).
pub struct Terms {
    /// q(z | x).
    pub posterior: Box<dyn Posterior>,
    /// z (k, N, L).
    pub z: Tensor,
    /// log q(z | x).
    pub log_q: Tensor,
    /// log p(x, z).
    pub log_joint: LogJoint,
}

impl Terms {
    /// log w = log p(x, z) − log q(z | x), (k, N).
    pub fn log_weights(&self) -> Tensor {
        &self.log_joint.log_likelihood + &self.log_joint.log_prior - &self.log_q
    }
}

impl Vae {
    /// With parameters drawn from the seed, and standardisation and output bias from the data: decoders start at the mean of the columns.
    ///
    /// # Errors
    /// If the architecture contradicts itself or the data: columns, condition, values outside the support of the likelihood.
    pub fn new(architecture: Architecture, data: &Dataset, seed: u64) -> Result<Self> {
        let x = &data.rows.x;
        let vae = Self::untrained(architecture, Some(data), x.kind(), x.device(), seed)?;
        vae.check(&data.rows)?;
        let (mean, sd) = column_standard(&data.rows);
        vae.parts.likelihood.standardise(&mean, &sd);
        if let Some(bias) = vae.parts.decoder.output_bias()
            && let Some(start) = vae.parts.likelihood.start(&mean)
            && bias.size() == start.size()
        {
            tch::no_grad(|| bias.shallow_clone().copy_(&start));
        }
        Ok(vae)
    }

    /// With parameters drawn from the seed alone; what comes from data (standardisation) must then be set by [`Parameters::set`].
    ///
    /// # Errors
    /// If the architecture contradicts itself.
    pub fn untrained(architecture: Architecture, data: Option<&Dataset>, kind: Kind, device: Device, seed: u64) -> Result<Self> {
        let mut parameters = Parameters::new(kind, device);
        let mut rng = stream(seed, Purpose::Start, 0);
        let parts = architecture.build(&mut parameters.root(&mut rng), data)?;
        Ok(Vae { architecture, parameters, parts })
    }

    /// D.
    pub fn n_columns(&self) -> i64 {
        self.architecture.columns
    }

    /// L.
    pub fn latents(&self) -> i64 {
        self.parts.prior.latents()
    }

    /// How many numbers are trained in p(x, z): decoder, likelihood and prior.
    pub fn n_model_parameters(&self) -> usize {
        self.n_trained(|name| !of_encoder(name))
    }

    /// How many numbers are trained in q(z | x) alone.
    pub fn n_encoder_parameters(&self) -> usize {
        self.n_trained(of_encoder)
    }

    fn n_trained(&self, of: impl Fn(&str) -> bool) -> usize {
        self.parameters.trained().filter(|p| of(&p.name)).map(|p| p.value.numel()).sum()
    }

    /// Whether rows can be given to this model.
    ///
    /// # Errors
    /// If the number of columns or the condition is another, or an entry is outside the support of the likelihood.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        let size = batch.x.size();
        if size.len() != 2 || size[1] != self.architecture.columns {
            let found = size.get(1).copied().unwrap_or(0) as usize;
            return Err(lvm_core::ErrorKind::Shape { what: "columns of x", expected: self.architecture.columns as usize, found }.into());
        }
        let given = batch.condition.as_ref().map_or(0, |c| c.size()[1]);
        if given != self.architecture.condition {
            let message = format!("this model is told {} numbers a row besides x, {given} were given", self.architecture.condition);
            return Err(Error::config("condition", message));
        }
        self.parts.likelihood.check(batch)
    }

    /// q(z | x).
    pub fn posterior(&self, batch: &Batch) -> Box<dyn Posterior> {
        self.parts.family.at(&self.parts.encoder.features(batch))
    }

    /// The decoder's outputs (k, N, P) of latents (k, N, L).
    pub fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor {
        let (k, n, l) = (z.size()[0], z.size()[1], z.size()[2]);
        let flat = z.reshape([k * n, l]);
        let outputs = if k > 1 && self.parts.decoder.reads_rows(batch) {
            self.parts.decoder.outputs(&flat, &batch.repeat(k))
        } else {
            self.parts.decoder.outputs(&flat, batch)
        };
        outputs.view([k, n, -1])
    }

    /// log p(x | z), (k, N), of latents (k, N, L); missing entries are integrated out, which here is to leave them out.
    pub fn log_likelihood(&self, z: &Tensor, batch: &Batch) -> Tensor {
        self.log_likelihood_of(&self.outputs(z, batch), batch)
    }

    /// The same, of outputs (k, N, P), or (k, 1, P) where they are the same for all rows.
    pub(crate) fn log_likelihood_of(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let sum = match &batch.observed {
            None if outputs.dim() == 3 && outputs.size()[1] == 1 && batch.n_rows() > 1 && !planted("vae_mean_over_columns") => {
                self.parts.likelihood.log_prob_everywhere(outputs, batch)
            }
            _ => None,
        };
        let sum = sum.unwrap_or_else(|| self.sum_of_entries(outputs, batch));
        match self.parts.likelihood.log_prob_row(batch) {
            Some(row) => sum + row,
            None => sum,
        }
    }

    fn sum_of_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let mut entries = self.parts.likelihood.log_prob_entries(outputs, batch);
        if let Some(observed) = &batch.observed {
            entries = &entries * observed;
        }
        match planted("vae_mean_over_columns") {
            true => entries.mean_dim([-1].as_slice(), false, None),
            false => entries.sum_dim_intlist([-1].as_slice(), false, None),
        }
    }

    /// log p(x, z), (k, N), of latents (k, N, L).
    pub fn log_joint(&self, z: &Tensor, batch: &Batch) -> LogJoint {
        LogJoint { log_likelihood: self.log_likelihood(z, batch), log_prior: self.parts.prior.log_prob(z) }
    }

    /// k draws from q(z | x) for every row with their terms.
    pub fn terms(&self, batch: &Batch, k: i64, noise: &mut Noise) -> Terms {
        let posterior = self.posterior(batch);
        let draws = posterior.draw(k, noise);
        let log_joint = self.log_joint(&draws.z, batch);
        Terms { posterior, z: draws.z, log_q: draws.log_q, log_joint }
    }
}

/// Whether a parameter belongs to q(z | x) and not to p(x, z).
fn of_encoder(name: &str) -> bool {
    name.starts_with("encoder") || name.starts_with("posterior")
}

/// The mean of every column over the entries that are there, with row weights (D).
pub(crate) fn column_means(batch: &Batch) -> Tensor {
    let mut weight = batch.observed.as_ref().map_or_else(|| batch.x.ones_like(), Tensor::shallow_clone);
    if let Some(w) = &batch.weights {
        // out of place: `*=` would write into the mask
        weight = &weight * w.unsqueeze(1);
    }
    (&batch.x * &weight).sum_dim_intlist([0].as_slice(), false, None) / weight.sum_dim_intlist([0].as_slice(), false, None).clamp_min(1e-30)
}

/// Mean and standard deviation of every column (D), with 1 where a column does not vary.
pub(crate) fn column_standard(batch: &Batch) -> (Tensor, Tensor) {
    let mean = column_means(batch);
    let mut squares = Batch::new((&batch.x - &mean).square());
    squares.observed = batch.observed.as_ref().map(Tensor::shallow_clone);
    squares.weights = batch.weights.as_ref().map(Tensor::shallow_clone);
    let sd = column_means(&squares).sqrt();
    let floor = (mean.abs() + 1.0) * 1e-6;
    let scale = sd.where_self(&sd.gt_tensor(&floor), &sd.ones_like());
    (mean, scale)
}
