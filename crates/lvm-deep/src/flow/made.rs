//! Nets of which output l sees inputs before l only.

use crate::error::Result;
use crate::nets::Activation;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// A net from (u, h) to (m, s), with m_l and s_l functions of u₁ … u_{l−1} and of all of the context h: weights between units are held at
/// zero where an output could see its own or a later input.
///
/// Inputs have degrees 1 … L, context degree 0, hidden units degrees in turn, outputs m_l and s_l degree l; a hidden unit sees degrees up to
/// its own, an output degrees below its own. Germain, Gregor, Murray & Larochelle 2015, eqs 12 and 13.
#[derive(Debug)]
pub struct Made {
    layers: Vec<Masked>,
    latents: i64,
    context: i64,
    activation: Activation,
}

/// a = (mask ⊙ W) x + b.
#[derive(Debug)]
struct Masked {
    weight: Tensor,
    bias: Tensor,
    mask: Tensor,
}

/// The last layer starts so much smaller that a flow starts close to a constant scale.
const LAST_LAYER: f64 = 0.1;

impl Made {
    /// With L inputs, a context of H numbers, and hidden layers of these widths.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, latents: i64, context: i64, hidden: &[i64], activation: Activation) -> Result<Self> {
        let mut before: Vec<i64> = (1..=latents).chain((0..context).map(|_| 0)).collect();
        let mut layers = Vec::new();
        for (l, &width) in hidden.iter().enumerate() {
            let degrees: Vec<i64> = (0..width).map(|unit| hidden_degree(unit, latents, context)).collect();
            layers.push(Masked::new(&mut scope.at(&l.to_string()), &before, &degrees, |from, to| from <= to, 1.0)?);
            before = degrees;
        }
        let outputs: Vec<i64> = (1..=latents).chain(1..=latents).collect();
        layers.push(Masked::new(&mut scope.at(&hidden.len().to_string()), &before, &outputs, |from, to| from < to, LAST_LAYER)?);
        Ok(Made { layers, latents, context, activation })
    }

    /// H.
    pub fn context(&self) -> i64 {
        self.context
    }

    /// m and s, each (…, L), of u (…, L) and h (N, H).
    pub fn forward(&self, u: &Tensor, context: Option<&Tensor>) -> (Tensor, Tensor) {
        let mut h = match context {
            Some(context) => {
                let size = u.size();
                let shape = [&size[..size.len() - 1], &[self.context]].concat();
                Tensor::cat(&[u, &context.expand(shape, false)], -1)
            }
            None => u.shallow_clone(),
        };
        for (l, layer) in self.layers.iter().enumerate() {
            if l > 0 {
                h = self.activation.of(&h);
            }
            h = h.linear(&(&layer.weight * &layer.mask), Some(&layer.bias));
        }
        (h.narrow(-1, 0, self.latents), h.narrow(-1, self.latents, self.latents))
    }

    fn map(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        let layer = |l: &Masked| Masked { weight: of(&l.weight), bias: of(&l.bias), mask: l.mask.shallow_clone() };
        Made { layers: self.layers.iter().map(layer).collect(), latents: self.latents, context: self.context, activation: self.activation }
    }

    /// The same net with parameters that no gradient flows into.
    pub fn detach(&self) -> Self {
        self.map(Tensor::detach)
    }

    /// The same net over the same parameter tensors.
    pub fn share(&self) -> Self {
        self.map(Tensor::shallow_clone)
    }
}

/// Degrees 0 … L−1 in turn; without context a unit of degree 0 would see nothing, so the turn starts at 1.
fn hidden_degree(unit: i64, latents: i64, context: i64) -> i64 {
    match (context, latents) {
        (0, 1) => 0,
        (0, _) => 1 + unit % (latents - 1),
        _ => unit % latents,
    }
}

impl Masked {
    fn new(scope: &mut Scope<'_>, from: &[i64], to: &[i64], sees: impl Fn(i64, i64) -> bool, scale: f64) -> Result<Self> {
        let (inputs, outputs) = (from.len() as i64, to.len() as i64);
        let bound = Start::Uniform(scale / (inputs.max(1) as f64).sqrt());
        let mask: Vec<f64> =
            to.iter().flat_map(|&t| from.iter().map(move |&f| (f, t))).map(|(f, t)| f64::from(u8::from(sees(f, t)))).collect();
        let mask = Tensor::from_slice(&mask).view([outputs, inputs]).to_kind(scope.kind()).to_device(scope.device());
        Ok(Masked { weight: scope.trained("weight", &[outputs, inputs], bound)?, bias: scope.trained("bias", &[outputs], bound)?, mask })
    }
}
