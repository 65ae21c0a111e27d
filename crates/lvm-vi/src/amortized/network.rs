//! Feed-forward networks with hand-written gradients.

use lvm_core::mutant::planted;
use lvm_core::special::{sigmoid, softplus};
use lvm_core::{ErrorKind, Result, linalg};
use ndarray::{Array2, ArrayView2, Axis};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// What follows a hidden layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// tanh a.
    #[default]
    Tanh,
    /// log(1 + eᵃ).
    Softplus,
    /// max(a, 0); its derivative at 0 is taken as 0.
    Relu,
}

impl Activation {
    fn value(self, a: f64) -> f64 {
        match self {
            Activation::Tanh => a.tanh(),
            Activation::Softplus => softplus(a),
            Activation::Relu => a.max(0.0),
        }
    }

    fn slope(self, a: f64) -> f64 {
        match self {
            Activation::Tanh => 1.0 - a.tanh().powi(2),
            Activation::Softplus => sigmoid(a),
            Activation::Relu => f64::from(u8::from(a > 0.0)),
        }
    }
}

/// h_0 = x, h_l = act(h_{l−1} W_l + b_l), output h_{L−1} W_L + b_L; with no hidden layer an affine map.
///
/// Parameters are flat: W_1 (inputs, width, row by row), b_1, W_2, …
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    widths: Vec<usize>,
    activation: Activation,
    parameters: Vec<f64>,
}

/// The affine values a_l of every layer of a batch, as the backward pass needs them.
pub(super) struct Pass {
    /// h_0 … h_{L−1}, each (B, width).
    inputs: Vec<Array2<f64>>,
    /// a_1 … a_L; the last is the output.
    affine: Vec<Array2<f64>>,
}

impl Pass {
    /// The output (B, outputs).
    pub(super) fn output(&self) -> ArrayView2<'_, f64> {
        // invariant: a network has at least one layer
        self.affine.last().expect("a layer").view()
    }
}

impl Network {
    /// A network of these widths: inputs, hidden layers, outputs. Hidden weights are N(0, 1/inputs of the layer), the last layer and
    /// all biases 0, so that the output is 0 for every x.
    pub(super) fn new(widths: Vec<usize>, activation: Activation, rng: &mut dyn Rng) -> Self {
        let mut parameters = Vec::new();
        for (l, pair) in widths.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            let scale = if l + 2 == widths.len() { 0.0 } else { 1.0 / (from as f64).sqrt() };
            parameters.extend((0..from * to).map(|_| {
                let e: f64 = StandardNormal.sample(rng);
                scale * e
            }));
            parameters.resize(parameters.len() + to, 0.0);
        }
        Network { widths, activation, parameters }
    }

    /// Inputs, hidden widths, outputs.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// All weights and biases.
    pub fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// Puts other weights and biases in place.
    ///
    /// # Errors
    /// If their number is another one.
    pub fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        if parameters.len() != self.parameters.len() {
            let (expected, found) = (self.parameters.len(), parameters.len());
            return Err(ErrorKind::Shape { what: "parameters of a network", expected, found }.into());
        }
        self.parameters.copy_from_slice(parameters);
        Ok(())
    }

    /// (start of W_l, start of b_l, end) in the parameters.
    fn places(&self, layer: usize) -> (usize, usize, usize) {
        let start: usize = self.widths.windows(2).take(layer).map(|p| (p[0] + 1) * p[1]).sum();
        let (from, to) = (self.widths[layer], self.widths[layer + 1]);
        (start, start + from * to, start + (from + 1) * to)
    }

    fn weights(&self, layer: usize) -> ArrayView2<'_, f64> {
        let (start, bias, _) = self.places(layer);
        // invariant: that many numbers lie there
        ArrayView2::from_shape((self.widths[layer], self.widths[layer + 1]), &self.parameters[start..bias]).expect("weights")
    }

    /// The network at each row of `x` (B, inputs).
    pub(super) fn forward(&self, x: Array2<f64>) -> Pass {
        let layers = self.widths.len() - 1;
        let mut pass = Pass { inputs: vec![x], affine: Vec::new() };
        for l in 0..layers {
            let (_, bias, end) = self.places(l);
            let mut a = linalg::matmul(pass.inputs[l].view(), self.weights(l));
            for mut row in a.rows_mut() {
                row.iter_mut().zip(&self.parameters[bias..end]).for_each(|(a, b)| *a += b);
            }
            if l + 1 < layers {
                pass.inputs.push(a.mapv(|a| self.activation.value(a)));
            }
            pass.affine.push(a);
        }
        pass
    }

    /// Adds the gradient in all parameters, given that in the output (B, outputs).
    pub(super) fn backward(&self, pass: &Pass, output_gradient: Array2<f64>, gradient: &mut [f64]) {
        let mut delta = output_gradient;
        for l in (0..self.widths.len() - 1).rev() {
            let (start, bias, end) = self.places(l);
            // ∂/∂W_l = h_{l−1}ᵀ δ_l,   ∂/∂b_l = Σ δ_l,   δ_{l−1} = (δ_l W_lᵀ) ∘ act'(a_{l−1})
            let weights = match planted("encoder_gradient_transposed") {
                true => linalg::matmul(delta.t(), pass.inputs[l].view()),
                false => linalg::matmul(pass.inputs[l].t(), delta.view()),
            };
            gradient[start..bias].iter_mut().zip(&weights).for_each(|(g, w)| *g += w);
            gradient[bias..end].iter_mut().zip(delta.sum_axis(Axis(0))).for_each(|(g, b)| *g += b);
            if l > 0 {
                delta = linalg::matmul(delta.view(), self.weights(l).t());
                delta.zip_mut_with(&pass.affine[l - 1], |d, a| *d *= self.activation.slope(*a));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_core::random::{Purpose, stream};

    #[test]
    fn gradients_are_the_differences_of_values() {
        for activation in [Activation::Tanh, Activation::Softplus, Activation::Relu] {
            for hidden in [vec![], vec![4], vec![4, 5]] {
                let widths: Vec<usize> = [3].into_iter().chain(hidden).chain([2]).collect();
                let mut network = Network::new(widths, activation, &mut stream(3, Purpose::Start, 0));
                let parameters: Vec<f64> = (0..network.parameters.len()).map(|i| (i as f64 * 1.7).sin()).collect();
                network.set_parameters(&parameters).unwrap();
                let x = Array2::from_shape_fn((4, 3), |(i, j)| (i as f64 - 1.3) * 0.4 + j as f64 * 0.3);
                let value = |network: &Network| network.forward(x.clone()).output().mapv(|v| v.sin()).sum();
                let pass = network.forward(x.clone());
                let mut gradient = vec![0.0; parameters.len()];
                network.backward(&pass, pass.output().mapv(f64::cos), &mut gradient);
                for i in 0..parameters.len() {
                    let at = |e: f64| {
                        let mut moved = parameters.clone();
                        moved[i] += e;
                        let mut network = network.clone();
                        network.set_parameters(&moved).unwrap();
                        value(&network)
                    };
                    // central differences with a step of 1e-6: 1e-12 of truncation and 1e-9 of rounding
                    let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!((gradient[i] - numeric).abs() < 1e-7, "{activation:?} parameter {i}: {} against {numeric}", gradient[i]);
                }
            }
        }
    }
}
