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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, scoped};
    use crate::nets::proof::{differentiates, numbers, shares};

    #[test]
    fn shapes_gradients_and_sharing_for_every_activation() {
        use Activation::{Elu, Gelu, Relu, Sigmoid, Silu, Softplus, Tanh};
        scoped(|scope| {
            for activation in [Relu, Tanh, Softplus, Sigmoid, Gelu, Silu, Elu] {
                let scope = &mut scope.at(&format!("{activation:?}"));
                let net = Mlp::new(scope, 3, &[5, 4], 2, activation).unwrap();
                let x = numbers(&[4, 3]);
                assert_eq!(net.forward(&x).size(), [4, 2]);
                let bias = net.output_bias().unwrap();
                differentiates(&|x| net.forward(x), &x, &[&bias]);
                shares(&net, &x, &bias);
            }
        });
    }

    // numpy.log1p(numpy.exp([-30, 0, 25])): libtorch's own softplus says 25 for the last
    #[test]
    fn softplus_is_right_far_out_and_has_a_slope_at_0() {
        let a = Tensor::from_slice(&[-30.0, 0.0, 25.0]).set_requires_grad(true);
        let value = Activation::Softplus.of(&a);
        agrees(&value, &[9.357622968839737e-14, std::f64::consts::LN_2, 25.000000000013888], 1e-15);
        value.sum(tch::Kind::Double).backward();
        agrees(&a.grad(), &[9.357622968839299e-14, 0.5, 0.999999999986112], 1e-15);
    }
}
