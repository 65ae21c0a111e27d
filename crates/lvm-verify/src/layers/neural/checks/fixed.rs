//! Autoencoders with the fixed weights of a `vae_exact` case.

use crate::case::{Case, Node};
use crate::suite::Problem;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::Activation;
use lvm_deep::tensor::{from_matrix, to_matrix};
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::{Array2, Axis, concatenate};

/// Where the weights of the case are in the model: name in the case, parameter, first row, rows (of a matrix or a vector).
pub(super) struct Place {
    pub(super) field: &'static str,
    pub(super) parameter: &'static str,
    pub(super) first: i64,
    /// As in the case.
    pub(super) weights: Array2<f64>,
    /// What the parameter is, times what the case gives: 2 for log variances given as log standard deviations.
    pub(super) factor: f64,
    /// Whether the parameter is a vector.
    pub(super) vector: bool,
}

impl Place {
    /// The part of a gradient for the whole parameter that belongs here, as the case gives it: log σ² = 2 log σ, so ∂/∂log σ = 2 ∂/∂log σ².
    pub(super) fn of(&self, gradient: &Tensor) -> Result<Array2<f64>, Problem> {
        let gradient = if self.vector { gradient.view([-1, 1]) } else { gradient.shallow_clone() };
        Ok(to_matrix(&gradient.narrow(0, self.first, self.weights.nrows() as i64))? * self.factor)
    }

    /// What the case says of it.
    pub(super) fn truth(&self, gradients: &Node<'_>) -> Result<Array2<f64>, Problem> {
        let node = gradients.get(self.field)?;
        Ok(if self.vector { node.vector()?.insert_axis(Axis(1)) } else { node.matrix()? })
    }
}

/// The model of a case, its rows, and where each weight went.
pub(super) fn autoencoder(case: &Case, kind: Kind) -> Result<(Vae, Batch, Vec<Place>), Problem> {
    autoencoder_on(case, kind, tch::Device::Cpu)
}

/// The same on another device.
pub(super) fn autoencoder_on(case: &Case, kind: Kind, device: tch::Device) -> Result<(Vae, Batch, Vec<Place>), Problem> {
    let matrix = |field: &str| case.get(&format!("weights.{field}"))?.matrix();
    let vector = |field: &str| Ok::<_, crate::case::CaseError>(case.get(&format!("weights.{field}"))?.vector()?.insert_axis(Axis(1)));
    let activation = match case.get("model.activation")?.text()? {
        "tanh" => Activation::Tanh,
        "softplus" => Activation::Softplus,
        "relu" => Activation::Relu,
        other => return Err(format!("activation \"{other}\" is not known here").into()),
    };
    let gaussian = match case.get("model.likelihood")?.text()? {
        "gaussian" => true,
        "bernoulli" => false,
        other => return Err(format!("likelihood \"{other}\" is not known here").into()),
    };
    let latents = case.get("model.latent")?.count()?;
    let x = case.get("x")?.matrix()?;
    let mut places = Vec::new();
    let mut place = |field, parameter, first: usize, weights: Array2<f64>, vector| {
        places.push(Place { field, parameter, first: first as i64, weights, factor: 1.0, vector });
    };
    place("dec_w1", "decoder.0.weight", 0, matrix("dec_w1")?, false);
    place("dec_b1", "decoder.0.bias", 0, vector("dec_b1")?, true);
    place("dec_w2", "decoder.1.weight", 0, matrix("dec_w2")?, false);
    place("dec_b2", "decoder.1.bias", 0, vector("dec_b2")?, true);
    place("enc_w1", "encoder.0.weight", 0, matrix("enc_w1")?, false);
    place("enc_b1", "encoder.0.bias", 0, vector("enc_b1")?, true);
    place("enc_wm", "encoder.1.weight", 0, matrix("enc_wm")?, false);
    place("enc_wv", "encoder.1.weight", latents, matrix("enc_wv")?, false);
    place("enc_bm", "encoder.1.bias", 0, vector("enc_bm")?, true);
    place("enc_bv", "encoder.1.bias", latents, vector("enc_bv")?, true);
    if gaussian {
        let weights = vector("log_sigma")?;
        places.push(Place { field: "log_sigma", parameter: "likelihood.log_variance", first: 0, weights, factor: 2.0, vector: true });
    }
    let width = |field: &str| places.iter().find(|p| p.field == field).map_or(0, |p| p.weights.nrows() as i64);
    let architecture = Architecture {
        encoder: EncoderSpec::Mlp { hidden: vec![width("enc_w1")], activation },
        decoder: DecoderSpec::Mlp { hidden: vec![width("dec_w1")], activation },
        likelihood: if gaussian { LikelihoodSpec::Gaussian(Variance::Columns) } else { LikelihoodSpec::Bernoulli },
        ..Architecture::mlp(x.ncols() as i64, latents as i64, &[])
    };
    let mut vae = Vae::new(architecture, &Dataset::new(&x, kind, device)?, 0)?;
    let names: Vec<&str> = places.iter().map(|p| p.parameter).collect();
    for name in names.iter().enumerate().filter(|(i, n)| !names[..*i].contains(n)).map(|(_, n)| *n) {
        let parts: Vec<Array2<f64>> = places.iter().filter(|p| p.parameter == name).map(|p| &p.weights * p.factor).collect();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let whole = concatenate(Axis(0), &views).map_err(|e| Problem(e.to_string()))?;
        let vector = places.iter().any(|p| p.parameter == name && p.vector);
        let value = from_matrix(&whole, kind, device);
        vae.parameters.set(name, &if vector { value.view([-1]) } else { value })?;
    }
    Ok((vae, Batch::new(from_matrix(&x, kind, device)), places))
}

/// Nodes t (k, 1, L) and weights w (k) with Σ w f(t) = E[f(t)], t ~ N(0, I): the trapezoid rule on [−10, 10] with step 1/10 in each of L
/// dimensions, whose error for analytic f is that of its period, far below rounding.
pub(super) fn normal_nodes(latents: i64, kind: Kind) -> (Tensor, Tensor) {
    let step = 0.1;
    let line: Vec<f64> = (0..201).map(|i| -10.0 + step * f64::from(i)).collect();
    let axis = Tensor::from_slice(&line).to_kind(kind);
    let nodes = match latents {
        1 => axis.unsqueeze(1),
        _ => {
            let (a, b) =
                (axis.unsqueeze(1).expand([201, 201], false).reshape([-1]), axis.unsqueeze(0).expand([201, 201], false).reshape([-1]));
            Tensor::stack(&[a, b], 1)
        }
    };
    let density = (nodes.square().sum_dim_intlist([1].as_slice(), false, None) * -0.5).exp();
    let weights = &density / density.sum(None::<Kind>);
    (nodes.unsqueeze(1), weights)
}
