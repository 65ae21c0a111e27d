//! Decoders that see the lower layer of latents only.

use super::Decoder;
use crate::data::Batch;
use crate::likelihood::Likelihood;
use crate::noise::Noise;
use tch::Tensor;

/// p(x | z) = p(x | z₁) of z = (z₁, z₂): a decoder that is given the first L₁ numbers of z.
pub struct LowerDecoder {
    decoder: Box<dyn Decoder>,
    lower: i64,
}

impl LowerDecoder {
    /// Over a decoder of L₁ latents.
    pub fn new(decoder: Box<dyn Decoder>, lower: i64) -> Self {
        LowerDecoder { decoder, lower }
    }

    fn seen(&self, z: &Tensor) -> Tensor {
        z.narrow(-1, 0, self.lower)
    }
}

impl Decoder for LowerDecoder {
    fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor {
        self.decoder.outputs(&self.seen(z), batch)
    }

    fn reads_rows(&self, batch: &Batch) -> bool {
        self.decoder.reads_rows(batch)
    }

    fn generate(&self, z: &Tensor, batch: &Batch, likelihood: &dyn Likelihood, noise: &mut Noise) -> Tensor {
        self.decoder.generate(&self.seen(z), batch, likelihood, noise)
    }

    fn output_bias(&self) -> Option<Tensor> {
        self.decoder.output_bias()
    }
}
