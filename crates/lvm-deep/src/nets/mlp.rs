//! The multilayer perceptron.

use super::{Activation, Linear, Net};
use crate::error::Result;
use crate::parameters::Scope;
use tch::Tensor;

/// h₀ = x, hₗ = act(Wₗ hₗ₋₁ + bₗ), out = W h_L + b. Without hidden layers it is [`Linear`].
pub struct Mlp {
    layers: Vec<Box<dyn Net>>,
    activation: Activation,
}

impl Mlp {
    /// With hidden layers of the given widths.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, hidden: &[i64], outputs: i64, activation: Activation) -> Result<Self> {
        let widths: Vec<i64> = [&[inputs], hidden, &[outputs]].concat();
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(l, w)| Ok(Box::new(Linear::new(&mut scope.at(&l.to_string()), w[0], w[1])?) as Box<dyn Net>))
            .collect::<Result<_>>()?;
        Ok(Mlp { layers, activation })
    }

    /// The same net over the same tensors.
    pub(super) fn shared(&self) -> Self {
        Mlp { layers: self.layers.iter().map(|l| l.share()).collect(), activation: self.activation }
    }
}

impl Net for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut h = x.shallow_clone();
        for (l, layer) in self.layers.iter().enumerate() {
            if l > 0 {
                h = self.activation.of(&h);
            }
            h = layer.forward(&h);
        }
        h
    }

    fn share(&self) -> Box<dyn Net> {
        Box::new(self.shared())
    }

    fn output_bias(&self) -> Option<Tensor> {
        self.layers.last().and_then(|l| l.output_bias())
    }
}
