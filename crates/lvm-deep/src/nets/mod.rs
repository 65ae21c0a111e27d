//! Functions of tensors with trained parameters. Rows are the first dimension; a net knows nothing of densities.

pub mod activation;
pub mod attention;
pub mod attention_decoder;
pub mod attention_encoder;
pub mod convolution;
pub mod decoder;
pub mod encoder;
pub mod image;
pub mod library;
pub mod linear;
pub mod lower;
pub mod mlp;
#[cfg(test)]
mod proof;
pub mod recurrent;
pub mod recurrent_decoder;
pub mod recurrent_encoder;
pub mod sequence;

pub use activation::Activation;
pub use attention::AttentionSpec;
pub use attention_decoder::AttentionDecoder;
pub use attention_encoder::AttentionEncoder;
pub use convolution::{Conv2d, ConvTranspose2d};
pub use decoder::{Decoder, NetDecoder};
pub use encoder::{Encoder, Input, NetEncoder};
pub use image::{ConvolutionSpec, Image, ImageDecoder, ImageEncoder};
pub use library::LibraryDecoder;
pub use linear::Linear;
pub use lower::LowerDecoder;
pub use mlp::Mlp;
pub use recurrent::{Cell, Recurrent, RecurrentSpec};
pub use recurrent_decoder::RecurrentDecoder;
pub use recurrent_encoder::RecurrentEncoder;
pub use sequence::Steps;

use tch::Tensor;

/// A function of the rows of a matrix.
pub trait Net: Send {
    /// (M, inputs) → (M, outputs).
    fn forward(&self, x: &Tensor) -> Tensor;

    /// The same net over the same parameter tensors.
    fn share(&self) -> Box<dyn Net>;

    /// The bias of the last layer (outputs), for a start at the data's mean; `None` where there is none.
    fn output_bias(&self) -> Option<Tensor>;
}
