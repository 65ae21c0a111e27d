//! Functions of tensors with trained parameters. Rows are the first dimension; a net knows nothing of densities.

pub mod activation;
pub mod decoder;
pub mod encoder;
pub mod linear;
pub mod lower;
pub mod mlp;

pub use activation::Activation;
pub use decoder::{Decoder, NetDecoder};
pub use encoder::{Encoder, Input, NetEncoder};
pub use linear::Linear;
pub use lower::LowerDecoder;
pub use mlp::Mlp;

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
