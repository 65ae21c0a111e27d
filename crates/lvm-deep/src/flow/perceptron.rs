//! The multilayer perceptron, with a copy that no gradient flows into.

use crate::error::Result;
use crate::nets::Activation;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// h₀ = x, hₗ = act(Wₗ hₗ₋₁ + bₗ), out = W h_L + b, as [`Mlp`](crate::nets::Mlp), for maps that are evaluated with and without gradient.
#[derive(Debug)]
pub struct Perceptron {
    /// W (outputs, inputs) and b (outputs) of each layer.
    layers: Vec<(Tensor, Tensor)>,
    activation: Activation,
}

impl Perceptron {
    /// With hidden layers of these widths; weights and bias of the last layer start as `last`, others uniform on ±1/√inputs.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(
        scope: &mut Scope<'_>,
        inputs: i64,
        hidden: &[i64],
        outputs: i64,
        activation: Activation,
        last: Option<Start>,
    ) -> Result<Self> {
        let widths = [&[inputs], hidden, &[outputs]].concat();
        let mut layers = Vec::new();
        for (l, pair) in widths.windows(2).enumerate() {
            let bound = Start::Uniform(1.0 / (pair[0].max(1) as f64).sqrt());
            let start = if l == hidden.len() { last.unwrap_or(bound) } else { bound };
            let mut layer = scope.at(&l.to_string());
            layers.push((layer.trained("weight", &[pair[1], pair[0]], start)?, layer.trained("bias", &[pair[1]], start)?));
        }
        Ok(Perceptron { layers, activation })
    }

    /// (…, inputs) → (…, outputs).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let mut h = x.shallow_clone();
        for (l, (weight, bias)) in self.layers.iter().enumerate() {
            if l > 0 {
                h = self.activation.of(&h);
            }
            h = h.linear(weight, Some(bias));
        }
        h
    }

    fn map(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        Perceptron { layers: self.layers.iter().map(|(w, b)| (of(w), of(b))).collect(), activation: self.activation }
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
