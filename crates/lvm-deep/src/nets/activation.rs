//! Functions between layers.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The function between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, a).
    #[default]
    Relu,
    /// tanh a.
    Tanh,
    /// log(1 + eᵃ).
    Softplus,
    /// 1/(1 + e⁻ᵃ).
    Sigmoid,
    /// a Φ(a).
    Gelu,
    /// a σ(a).
    Silu,
    /// a for a > 0, eᵃ − 1 below.
    Elu,
}

impl Activation {
    /// The function of every number.
    pub fn of(self, a: &Tensor) -> Tensor {
        match self {
            Activation::Relu => a.relu(),
            Activation::Tanh => a.tanh(),
            // libtorch's softplus is linear above 20, wrong by e⁻²⁰: log(1 + eᵃ) = −log σ(−a)
            Activation::Softplus => -(-a).log_sigmoid(),
            Activation::Sigmoid => a.sigmoid(),
            Activation::Gelu => a.gelu("none"),
            Activation::Silu => a.silu(),
            Activation::Elu => a.elu(),
        }
    }
}
