//! Nets, families and priors, as data.

use crate::nets::{Activation, AttentionSpec, ConvolutionSpec, RecurrentSpec};
use crate::posterior::Positive;
use crate::prior::flow::Step;
use serde::{Deserialize, Serialize};

/// Nets from rows to features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EncoderSpec {
    /// Layers of these widths; none is a linear encoder.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<i64>,
        /// Between them.
        #[serde(default)]
        activation: Activation,
    },
    /// Convolutions over images.
    Convolution(ConvolutionSpec),
    /// Both ways through a sequence.
    Recurrent(RecurrentSpec),
    /// A transformer over a sequence.
    Attention(AttentionSpec),
}

/// Nets from latents to outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DecoderSpec {
    /// Layers of these widths; none is a linear decoder.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<i64>,
        /// Between them.
        #[serde(default)]
        activation: Activation,
    },
    /// Transposed convolutions to images.
    Convolution(ConvolutionSpec),
    /// Step after step through a sequence, each told the ones before it.
    Recurrent(RecurrentSpec),
    /// A transformer over a sequence, each step told the ones before it.
    Attention(AttentionSpec),
}

/// Families of q(z | x).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PosteriorSpec {
    /// A Gaussian with diagonal covariance.
    #[default]
    Diagonal,
    /// A Gaussian with full covariance.
    FullCovariance {
        /// How the diagonal of the Cholesky factor is made positive.
        #[serde(default)]
        diagonal: Positive,
    },
    /// A diagonal Gaussian pushed through planar flows.
    Planar {
        /// T.
        steps: i64,
        /// Whether the encoder delivers their parameters; else all rows share them.
        #[serde(default)]
        amortised: bool,
    },
    /// A diagonal Gaussian pushed through inverse autoregressive flows.
    InverseAutoregressive {
        /// T.
        steps: i64,
        /// H, the numbers that the encoder tells every step.
        #[serde(default)]
        context: i64,
        /// Widths of the hidden layers in the net of every step.
        hidden: Vec<i64>,
    },
    /// q(z₁ | x) q(z₂ | z₁), with the hierarchical prior.
    Hierarchical {
        /// L₂; L₁ are the other latents.
        upper: i64,
        /// Widths of the hidden layers from z₁ to z₂.
        #[serde(default)]
        hidden: Vec<i64>,
    },
    /// One of L values, with the categorical prior.
    Categorical,
}

/// Densities p(z).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PriorSpec {
    /// N(0, I).
    #[default]
    StandardNormal,
    /// A mixture of Gaussians with diagonal covariances.
    Mixture {
        /// K.
        components: i64,
        /// Whether it is trained.
        trained: bool,
    },
    /// The mean of q(z | u) over pseudo-inputs u that are trained.
    Vamp {
        /// K.
        components: i64,
    },
    /// N(0, I) pulled through a flow.
    Flow {
        /// Of which kind a step is.
        #[serde(default)]
        step: Step,
        /// T.
        steps: i64,
        /// Widths of the hidden layers in the net of every step.
        hidden: Vec<i64>,
    },
    /// p(z₂) p(z₁ | z₂); the decoder sees z₁ only.
    Hierarchical {
        /// L₂; L₁ are the other latents.
        upper: i64,
        /// Widths of the hidden layers from z₂ to z₁.
        #[serde(default)]
        hidden: Vec<i64>,
    },
    /// One of L values.
    Categorical {
        /// Whether their probabilities are trained; else all are the same.
        trained: bool,
    },
}

impl EncoderSpec {
    /// Rectified layers of these widths.
    pub fn mlp(hidden: &[i64]) -> Self {
        EncoderSpec::Mlp { hidden: hidden.to_vec(), activation: Activation::Relu }
    }
}

impl DecoderSpec {
    /// Rectified layers of these widths.
    pub fn mlp(hidden: &[i64]) -> Self {
        DecoderSpec::Mlp { hidden: hidden.to_vec(), activation: Activation::Relu }
    }
}
