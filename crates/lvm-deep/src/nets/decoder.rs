//! From latents to the outputs of p(x | z).

use super::Net;
use crate::data::Batch;
use crate::likelihood::Likelihood;
use crate::noise::Noise;
use tch::Tensor;

/// Outputs of p(x | z) for given latents.
pub trait Decoder: Send {
    /// Outputs (M, P) of latents (M, L). `batch` has M rows where the decoder [reads x](Self::reads_rows), or a condition; else any number.
    fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor;

    /// Whether outputs depend on more of the batch than z: on x (an autoregressive decoder, which sees what came before) or on a condition.
    fn reads_rows(&self, batch: &Batch) -> bool {
        batch.condition.is_some()
    }

    /// x ~ p(x | z), (M, D). Row by row at once where entries are independent given z; entry after entry where they are not.
    fn generate(&self, z: &Tensor, batch: &Batch, likelihood: &dyn Likelihood, noise: &mut Noise) -> Tensor {
        likelihood.sample(&self.outputs(z, batch), batch, noise)
    }

    /// The bias of the last layer (P), for a start at the data's mean; `None` where there is none.
    fn output_bias(&self) -> Option<Tensor>;
}

/// A net over z, with the condition behind it.
pub struct NetDecoder {
    net: Box<dyn Net>,
}

impl NetDecoder {
    /// Over a net whose inputs are L, then C for the condition.
    pub fn new(net: Box<dyn Net>) -> Self {
        NetDecoder { net }
    }
}

impl Decoder for NetDecoder {
    fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor {
        match &batch.condition {
            Some(condition) => self.net.forward(&Tensor::cat(&[z, condition], -1)),
            None => self.net.forward(z),
        }
    }

    fn output_bias(&self) -> Option<Tensor> {
        self.net.output_bias()
    }
}
