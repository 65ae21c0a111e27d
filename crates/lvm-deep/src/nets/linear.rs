//! The affine map.

use super::Net;
use crate::error::Result;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// a = W x + b, with W (outputs, inputs) and b (outputs).
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Starts with weights and bias uniform on ±1/√inputs.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let bound = Start::Uniform(1.0 / (inputs.max(1) as f64).sqrt());
        Self::with(scope, inputs, outputs, bound, Some(bound))
    }

    /// With chosen starts; without a bias for `None`.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn with(scope: &mut Scope<'_>, inputs: i64, outputs: i64, weight: Start, bias: Option<Start>) -> Result<Self> {
        let weight = scope.trained("weight", &[outputs, inputs], weight)?;
        let bias = bias.map(|start| scope.trained("bias", &[outputs], start)).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// The same map over the same tensors.
    pub(super) fn shared(&self) -> Self {
        Linear { weight: self.weight.shallow_clone(), bias: self.bias.as_ref().map(Tensor::shallow_clone) }
    }

    /// W (outputs, inputs).
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }
}

impl Net for Linear {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }

    fn share(&self) -> Box<dyn Net> {
        Box::new(self.shared())
    }

    fn output_bias(&self) -> Option<Tensor> {
        self.bias.as_ref().map(Tensor::shallow_clone)
    }
}
