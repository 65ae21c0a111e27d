//! What a model is made of, as data: written into its files, and enough to build it again.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::likelihood::{self, Likelihood, gaussian::Variance};
use crate::nets::{Activation, Decoder, Encoder, Input, Mlp, NetDecoder, NetEncoder};
use crate::parameters::Scope;
use crate::posterior::{self, Family};
use crate::prior::{self, Prior};
use crate::vae::{Parts, column_standard};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A variational autoencoder.
///
/// ```
/// use lvm_deep::architecture::{Architecture, EncoderSpec, LikelihoodSpec};
/// let linear = Architecture::linear(64, 5);
/// assert_eq!((linear.columns, linear.latents), (64, 5));
/// let mlp = Architecture { encoder: EncoderSpec::mlp(&[400]), likelihood: LikelihoodSpec::Bernoulli, ..Architecture::mlp(784, 20, &[400]) };
/// assert_eq!(mlp, serde_json::from_str(&serde_json::to_string(&mlp).unwrap()).unwrap());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// D.
    pub columns: i64,
    /// L.
    pub latents: i64,
    /// C, the numbers that encoder and decoder are told besides.
    #[serde(default)]
    pub condition: i64,
    /// What is done to x before the encoder sees it.
    #[serde(default)]
    pub input: Input,
    /// Whether the encoder is told which entries are missing.
    #[serde(default)]
    pub mask: bool,
    /// Features of q(z | x).
    pub encoder: EncoderSpec,
    /// What the features mean.
    #[serde(default)]
    pub posterior: PosteriorSpec,
    /// p(z).
    #[serde(default)]
    pub prior: PriorSpec,
    /// Outputs of p(x | z).
    pub decoder: DecoderSpec,
    /// What the outputs mean.
    pub likelihood: LikelihoodSpec,
}

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
}

/// Families of q(z | x).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PosteriorSpec {
    /// A Gaussian with diagonal covariance.
    #[default]
    Diagonal,
}

/// Densities p(z).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PriorSpec {
    /// N(0, I).
    #[default]
    StandardNormal,
}

/// Densities p(x | z).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LikelihoodSpec {
    /// Normal.
    Gaussian(Variance),
    /// Zeros and ones.
    Bernoulli,
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

impl Architecture {
    /// Linear encoder and decoder with one shared noise variance: its optimum is probabilistic PCA.
    pub fn linear(columns: i64, latents: i64) -> Self {
        Self { likelihood: LikelihoodSpec::Gaussian(Variance::Shared), ..Self::mlp(columns, latents, &[]) }
    }

    /// Rectified layers of these widths in the encoder, in reverse in the decoder; Gaussian with a variance for each column.
    pub fn mlp(columns: i64, latents: i64, hidden: &[i64]) -> Self {
        let reversed: Vec<i64> = hidden.iter().rev().copied().collect();
        Architecture {
            columns,
            latents,
            condition: 0,
            input: Input::Plain,
            mask: false,
            encoder: EncoderSpec::mlp(hidden),
            posterior: PosteriorSpec::default(),
            prior: PriorSpec::default(),
            decoder: DecoderSpec::mlp(&reversed),
            likelihood: LikelihoodSpec::Gaussian(Variance::Columns),
        }
    }

    /// Makes the parts over new parameters.
    pub(crate) fn build(&self, scope: &mut Scope<'_>, data: Option<&Dataset>) -> Result<Parts> {
        self.check()?;
        let family = self.family(&mut scope.at("posterior"))?;
        let likelihood = self.likelihood(&mut scope.at("likelihood"))?;
        let encoder = self.encoder(&mut scope.at("encoder"), family.n_features(), data)?;
        let prior = self.prior(&mut scope.at("prior"))?;
        let decoder = self.decoder(&mut scope.at("decoder"), likelihood.n_outputs())?;
        Ok(Parts { encoder, family, prior, decoder, likelihood })
    }

    fn check(&self) -> Result<()> {
        for (field, value, least) in [("columns", self.columns, 1), ("latents", self.latents, 1), ("condition", self.condition, 0)] {
            if value < least {
                return Err(Error::config(field, format!("is {value}; it must be at least {least}")));
            }
        }
        let EncoderSpec::Mlp { hidden: encoder, .. } = &self.encoder;
        let DecoderSpec::Mlp { hidden: decoder, .. } = &self.decoder;
        if let Some(width) = encoder.iter().chain(decoder).find(|&&w| w < 1) {
            return Err(Error::config("hidden", format!("a layer has width {width}; leave it out or give it at least 1")));
        }
        Ok(())
    }

    fn encoder(&self, scope: &mut Scope<'_>, features: i64, data: Option<&Dataset>) -> Result<Box<dyn Encoder>> {
        let standard = match self.input {
            Input::Standardised => {
                let (mean, scale) = match data {
                    Some(data) => column_standard(&data.rows),
                    None => {
                        let shape = ([self.columns], (scope.kind(), scope.device()));
                        (Tensor::zeros(shape.0, shape.1), Tensor::ones(shape.0, shape.1))
                    }
                };
                Some((scope.fixed("mean", &mean)?, scope.fixed("scale", &scale)?))
            }
            _ => None,
        };
        let inputs = self.columns * if self.mask { 2 } else { 1 } + self.condition;
        let net = match &self.encoder {
            EncoderSpec::Mlp { hidden, activation } => Box::new(Mlp::new(scope, inputs, hidden, features, *activation)?),
        };
        Ok(Box::new(NetEncoder::new(net, self.input, standard, self.mask)))
    }

    fn decoder(&self, scope: &mut Scope<'_>, outputs: i64) -> Result<Box<dyn Decoder>> {
        let net = match &self.decoder {
            DecoderSpec::Mlp { hidden, activation } => {
                Box::new(Mlp::new(scope, self.latents + self.condition, hidden, outputs, *activation)?)
            }
        };
        Ok(Box::new(NetDecoder::new(net)))
    }

    fn family(&self, _scope: &mut Scope<'_>) -> Result<Box<dyn Family>> {
        Ok(match self.posterior {
            PosteriorSpec::Diagonal => Box::new(posterior::Diagonal { latents: self.latents }),
        })
    }

    fn prior(&self, _scope: &mut Scope<'_>) -> Result<Box<dyn Prior>> {
        Ok(match self.prior {
            PriorSpec::StandardNormal => Box::new(prior::StandardNormal { latents: self.latents }),
        })
    }

    fn likelihood(&self, scope: &mut Scope<'_>) -> Result<Box<dyn Likelihood>> {
        Ok(match self.likelihood {
            LikelihoodSpec::Gaussian(variance) => Box::new(likelihood::Gaussian::new(scope, self.columns, variance)?),
            LikelihoodSpec::Bernoulli => Box::new(likelihood::Bernoulli { columns: self.columns }),
        })
    }
}
