//! Which models are trained by the direct way, and where their numbers lie.

use super::elementary::Real;
use super::perceptron::{Function, Layer, Perceptron};
use super::rows::Reading;
use crate::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use crate::likelihood::gaussian::Variance;
use crate::nets::{Activation, Input};
use crate::objective::{KlTerm, Objective};
use crate::parameters::Parameters;
use crate::raw::slice;
use tch::Tensor;

/// A net as widths and places among the trained parameters.
#[derive(Debug)]
pub(super) struct Net {
    /// From inputs to outputs.
    pub(super) widths: Vec<usize>,
    function: Function,
    /// Where W and b of every layer stand.
    pub(super) places: Vec<(usize, usize)>,
}

/// Where v of a Gaussian stands.
#[derive(Debug)]
pub(super) enum LogVariance {
    /// There is none, or the decoder delivers it.
    None,
    /// Fixed.
    Fixed,
    /// Trained, at this place.
    Trained(usize),
}

/// What is trained, as far as it does not change between steps.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) columns: usize,
    pub(super) latents: usize,
    pub(super) draws: usize,
    /// β without warm-up.
    pub(super) beta: f64,
    pub(super) encoder: Net,
    pub(super) decoder: Net,
    pub(super) bernoulli: bool,
    pub(super) log_variance: LogVariance,
    input: Input,
    mask: bool,
    standardised: bool,
}

impl Plan {
    /// `None` where the model or the objective is not one of those that are differentiated here.
    pub(super) fn of(architecture: &Architecture, objective: &Objective, parameters: &Parameters) -> Option<Self> {
        // planted faults stand in the code that libtorch differentiates
        if lvm_core::mutant::POSSIBLE {
            return None;
        }
        let Objective::Elbo(elbo) = objective else { return None };
        let closed = elbo.kl == KlTerm::Analytic && elbo.free_nats == 0.0;
        if !closed || architecture.posterior != PosteriorSpec::Diagonal || architecture.prior != PriorSpec::StandardNormal {
            return None;
        }
        let (variance, standardised) = match &architecture.likelihood {
            LikelihoodSpec::Bernoulli => (None, false),
            LikelihoodSpec::Gaussian(variance) => (Some(*variance), false),
            LikelihoodSpec::StandardisedGaussian { variance, .. } => (Some(*variance), true),
            _ => return None,
        };
        let trained: Vec<&str> = parameters.trained().map(|p| p.name.as_str()).collect();
        let place = |name: &str| trained.iter().position(|n| *n == name);
        let log_variance = match variance {
            None | Some(Variance::Entries) => LogVariance::None,
            Some(Variance::Fixed(_)) => LogVariance::Fixed,
            Some(_) => LogVariance::Trained(place("likelihood.log_variance")?),
        };
        let size = |n: i64| usize::try_from(n).ok();
        let (columns, latents, condition) = (size(architecture.columns)?, size(architecture.latents)?, size(architecture.condition)?);
        let seen = columns * if architecture.mask { 2 } else { 1 } + condition;
        let delivered = columns * if matches!(variance, Some(Variance::Entries)) { 2 } else { 1 };
        let EncoderSpec::Mlp { hidden, activation } = &architecture.encoder else { return None };
        let encoder = Net::of("encoder", [seen, 2 * latents], hidden, *activation, &place)?;
        let DecoderSpec::Mlp { hidden, activation } = &architecture.decoder else { return None };
        let decoder = Net::of("decoder", [latents + condition, delivered], hidden, *activation, &place)?;
        let known = 2 * (encoder.places.len() + decoder.places.len()) + usize::from(matches!(log_variance, LogVariance::Trained(_)));
        (known == trained.len()).then_some(Plan {
            columns,
            latents,
            draws: size(elbo.draws)?,
            beta: elbo.beta,
            encoder,
            decoder,
            bernoulli: variance.is_none(),
            log_variance,
            input: architecture.input,
            mask: architecture.mask,
            standardised,
        })
    }

    pub(super) fn trains_log_variance(&self) -> bool {
        matches!(self.log_variance, LogVariance::Trained(_))
    }

    /// Products of a weight and a number of one row.
    pub(super) fn work(&self) -> usize {
        let of = |net: &Net| net.widths.windows(2).map(|w| w[0] * w[1]).sum::<usize>();
        of(&self.encoder) + self.draws * of(&self.decoder)
    }

    /// How rows are read, by the fixed numbers of the model; `None` if one is not in memory.
    pub(super) fn reading<'a, E: Real>(&self, parameters: &'a Parameters) -> Option<Reading<'a, E>> {
        let fixed = |name: &str| parameters.get(name).and_then(slice::<E>);
        let pair = |wanted: bool, a: &str, b: &str| match wanted {
            true => Some(Some((fixed(a)?, fixed(b)?))),
            false => Some(None),
        };
        Some(Reading {
            input: self.input,
            standard: pair(self.input == Input::Standardised, "encoder.mean", "encoder.scale")?,
            mask: self.mask,
            units: pair(self.standardised, "likelihood.location", "likelihood.scale")?,
        })
    }
}

impl Net {
    fn of(
        name: &str,
        [inputs, outputs]: [usize; 2],
        hidden: &[i64],
        activation: Activation,
        place: &dyn Fn(&str) -> Option<usize>,
    ) -> Option<Self> {
        let hidden: Option<Vec<usize>> = hidden.iter().map(|&w| usize::try_from(w).ok()).collect();
        let widths = [vec![inputs], hidden?, vec![outputs]].concat();
        let at = |l: usize| Some((place(&format!("{name}.{l}.weight"))?, place(&format!("{name}.{l}.bias"))?));
        let places = (0..widths.len() - 1).map(at).collect::<Option<Vec<_>>>()?;
        Some(Net { widths, function: Function::of(activation)?, places })
    }

    /// The net at these values of the trained parameters; `None` if one is not in memory.
    pub(super) fn at<'a, E: Real>(&self, values: &'a [Tensor]) -> Option<Perceptron<'a, E>> {
        let layer = |&(w, b): &(usize, usize)| Some(Layer { weight: slice(&values[w])?, bias: slice(&values[b])? });
        Some(Perceptron { layers: self.places.iter().map(layer).collect::<Option<_>>()?, function: self.function })
    }
}
