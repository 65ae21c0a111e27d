//! What a model is made of, as data: written into its files, and enough to build it again.

mod likelihood;
mod spec;

pub use likelihood::{BlockSpec, LikelihoodSpec, Measure};
pub use spec::{DecoderSpec, EncoderSpec, PosteriorSpec, PriorSpec};

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::likelihood::gaussian::Variance;
use crate::likelihood::{Library, Likelihood};
use crate::nets::{
    self, Activation, AttentionSpec, Decoder, Encoder, Input, LowerDecoder, Mlp, Net, NetDecoder, NetEncoder, RecurrentSpec,
};
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
        let likelihood = self.likelihood.build(&mut scope.at("likelihood"), self.columns)?;
        let encoder = self.encoder(&mut scope.at("encoder"), family.n_features(), data)?;
        let prior = self.prior(&mut scope.at("prior"), encoder.as_ref(), family.as_ref(), data)?;
        let decoder = self.decoder(&mut scope.at("decoder"), likelihood.as_ref(), data)?;
        Ok(Parts { encoder, family, prior, decoder, likelihood })
    }

    fn check(&self) -> Result<()> {
        for (field, value, least) in [("columns", self.columns, 1), ("latents", self.latents, 1), ("condition", self.condition, 0)] {
            if value < least {
                return Err(Error::config(field, format!("is {value}; it must be at least {least}")));
            }
        }
        let hidden = |widths: &[i64]| match widths.iter().find(|&&w| w < 1) {
            Some(width) => Err(Error::config("hidden", format!("a layer has width {width}; leave it out or give it at least 1"))),
            None => Ok(()),
        };
        match &self.encoder {
            EncoderSpec::Mlp { hidden: widths, .. } => hidden(widths)?,
            EncoderSpec::Convolution(spec) => spec.check(self.columns)?,
            EncoderSpec::Recurrent(RecurrentSpec { steps, .. }) | EncoderSpec::Attention(AttentionSpec { steps, .. }) => {
                if self.input != Input::Plain {
                    return Err(Error::config("input", "must be plain for encoders of sequences: transform the table before"));
                }
                steps.check(self.columns)?;
            }
        }
        match &self.decoder {
            DecoderSpec::Mlp { hidden: widths, .. } => hidden(widths)?,
            DecoderSpec::Convolution(spec) => spec.check(self.columns)?,
            DecoderSpec::Recurrent(spec) => spec.check(self.columns)?,
            DecoderSpec::Attention(spec) => spec.check(self.columns)?,
        }
        if self.likelihood.library() == Library::Latent {
            if matches!(self.prior, PriorSpec::Hierarchical { .. }) {
                return Err(Error::config("library", "can't be latent in a hierarchical model: give it as observed"));
            }
            if self.latents < 2 {
                return Err(Error::config("latents", "is 1, which the latent library takes: give at least one more"));
            }
            if matches!(self.decoder, DecoderSpec::Recurrent(_) | DecoderSpec::Attention(_)) {
                return Err(Error::config(
                    "library",
                    "can't be latent where a decoder goes step by step: give it as condition, or leave it out",
                ));
            }
        }
        self.check_latents()
    }

    /// Whether posterior and prior make sense, and go together.
    fn check_latents(&self) -> Result<()> {
        let at_least = |field: &'static str, value: i64, least: i64| match value < least {
            true => Err(Error::config(field, format!("is {value}; it must be at least {least}"))),
            false => Ok(()),
        };
        let widths = |hidden: &[i64]| hidden.iter().try_for_each(|&width| at_least("hidden", width, 1));
        match &self.posterior {
            PosteriorSpec::Planar { steps, .. } => at_least("posterior.steps", *steps, 1)?,
            PosteriorSpec::InverseAutoregressive { steps, context, hidden } => {
                at_least("posterior.steps", *steps, 1)?;
                at_least("posterior.context", *context, 0)?;
                widths(hidden)?;
            }
            PosteriorSpec::Hierarchical { hidden, .. } => widths(hidden)?,
            _ => {}
        }
        match &self.prior {
            PriorSpec::Mixture { components, .. } => at_least("prior.components", *components, 1)?,
            PriorSpec::Vamp { components } => {
                at_least("prior.components", *components, 1)?;
                if self.condition > 0 {
                    let message = "vamp's pseudo-inputs have no condition for the encoder to be told: choose another prior";
                    return Err(Error::config("prior", message));
                }
            }
            PriorSpec::Flow { steps, hidden, .. } => {
                at_least("prior.steps", *steps, 1)?;
                widths(hidden)?;
            }
            PriorSpec::Hierarchical { upper, hidden } => {
                at_least("prior.upper", *upper, 1)?;
                if *upper >= self.latents {
                    let message = format!("is {upper}; of {} latents at least one must be left for the lower layer", self.latents);
                    return Err(Error::config("prior.upper", message));
                }
                widths(hidden)?;
            }
            _ => {}
        }
        let layers = match (&self.posterior, &self.prior) {
            (PosteriorSpec::Hierarchical { upper, .. }, PriorSpec::Hierarchical { upper: prior, .. }) => upper == prior,
            (PosteriorSpec::Hierarchical { .. }, _) => false,
            _ => true,
        };
        if !layers {
            return Err(Error::config("posterior", "is hierarchical: the prior must be too, with the same number of upper latents"));
        }
        if (self.posterior == PosteriorSpec::Categorical) != matches!(self.prior, PriorSpec::Categorical { .. }) {
            return Err(Error::config("prior", "a categorical posterior goes with a categorical prior, and the other way round"));
        }
        if self.posterior == PosteriorSpec::Categorical && self.likelihood.library() == Library::Latent {
            return Err(Error::config("library", "is latent, but one of K values can't hold it: take the observed size"));
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
        let net: Box<dyn Net> = match &self.encoder {
            EncoderSpec::Mlp { hidden, activation } => Box::new(Mlp::new(scope, inputs, hidden, features, *activation)?),
            EncoderSpec::Convolution(spec) => {
                let planes = if self.mask { 2 } else { 1 };
                Box::new(nets::ImageEncoder::new(scope, spec, planes, self.condition, features)?)
            }
            EncoderSpec::Recurrent(spec) => {
                let encoder = nets::RecurrentEncoder::new(scope, spec, self.columns, self.mask, self.condition, features)?;
                return Ok(Box::new(encoder));
            }
            EncoderSpec::Attention(spec) => {
                let encoder = nets::AttentionEncoder::new(scope, spec, self.columns, self.mask, self.condition, features)?;
                return Ok(Box::new(encoder));
            }
        };
        Ok(Box::new(NetEncoder::new(net, self.input, standard, self.mask)))
    }

    fn decoder(&self, scope: &mut Scope<'_>, likelihood: &dyn Likelihood, data: Option<&Dataset>) -> Result<Box<dyn Decoder>> {
        let own_library = i64::from(self.likelihood.library() == Library::Latent);
        let seen = self.latents_seen();
        let inputs = seen - own_library + self.condition;
        let net: Box<dyn Net> = match &self.decoder {
            DecoderSpec::Mlp { hidden, activation } => {
                Box::new(Mlp::new(scope, inputs, hidden, likelihood.n_outputs() - own_library, *activation)?)
            }
            DecoderSpec::Convolution(spec) => {
                let Some(layout) = likelihood.layout() else {
                    return Err(Error::config(
                        "likelihood",
                        "has no outputs pixel by pixel, as this decoder delivers them: choose another",
                    ));
                };
                Box::new(nets::ImageDecoder::new(scope, spec, inputs, layout)?)
            }
            DecoderSpec::Recurrent(spec) => {
                let decoder = Box::new(nets::RecurrentDecoder::new(scope, spec, inputs, self.columns, likelihood)?);
                return Ok(self.seeing(seen, decoder));
            }
            DecoderSpec::Attention(spec) => {
                let decoder = Box::new(nets::AttentionDecoder::new(scope, spec, inputs, self.columns, likelihood)?);
                return Ok(self.seeing(seen, decoder));
            }
        };
        let decoder = Box::new(NetDecoder::new(net));
        let decoder =
            if own_library == 1 { Box::new(nets::LibraryDecoder::new(scope, decoder, data)?) } else { decoder as Box<dyn Decoder> };
        Ok(self.seeing(seen, decoder))
    }

    /// The decoder behind what hides the latents that it is not to see.
    fn seeing(&self, seen: i64, decoder: Box<dyn Decoder>) -> Box<dyn Decoder> {
        if seen < self.latents { Box::new(LowerDecoder::new(decoder, seen)) } else { decoder }
    }

    /// How many of the latents the decoder sees: all, or those of the lower layer.
    fn latents_seen(&self) -> i64 {
        match &self.prior {
            PriorSpec::Hierarchical { upper, .. } => self.latents - upper,
            _ => self.latents,
        }
    }

    fn family(&self, scope: &mut Scope<'_>) -> Result<Box<dyn Family>> {
        let latents = self.latents;
        Ok(match &self.posterior {
            PosteriorSpec::Diagonal => Box::new(posterior::Diagonal { latents }),
            PosteriorSpec::FullCovariance { diagonal } => Box::new(posterior::FullCovariance::new(latents, *diagonal, scope.device())),
            PosteriorSpec::Planar { steps, amortised } => Box::new(posterior::PlanarFlow::new(scope, latents, *steps, *amortised)?),
            PosteriorSpec::InverseAutoregressive { steps, context, hidden } => {
                Box::new(posterior::InverseAutoregressive::new(scope, latents, *steps, *context, hidden)?)
            }
            PosteriorSpec::Hierarchical { upper, hidden } => {
                Box::new(posterior::Hierarchical::new(scope, latents - upper, *upper, hidden, Activation::Tanh)?)
            }
            PosteriorSpec::Categorical => Box::new(posterior::Categorical { values: latents }),
        })
    }

    fn prior(&self, scope: &mut Scope<'_>, encoder: &dyn Encoder, family: &dyn Family, data: Option<&Dataset>) -> Result<Box<dyn Prior>> {
        let latents = self.latents;
        Ok(match &self.prior {
            PriorSpec::StandardNormal => Box::new(prior::StandardNormal { latents }),
            PriorSpec::Mixture { components, trained } => Box::new(prior::Mixture::new(scope, latents, *components, *trained)?),
            PriorSpec::Vamp { components } => {
                // log(1 + x) is for counts
                let least = (self.input == Input::Log1p).then_some(0.0);
                let shared = (encoder.share(), family.share());
                Box::new(prior::VampPrior::new(scope, (self.columns, latents), *components, shared, data, least)?)
            }
            PriorSpec::Flow { step, steps, hidden } => Box::new(prior::FlowPrior::new(scope, latents, *step, *steps, hidden)?),
            PriorSpec::Hierarchical { upper, hidden } => {
                Box::new(prior::Hierarchical::new(scope, latents - upper, *upper, hidden, Activation::Tanh)?)
            }
            PriorSpec::Categorical { trained } => Box::new(prior::Categorical::new(scope, latents, *trained)?),
        })
    }
}
