//! Convolutions that halve an image, and their transposes, which double it.

use crate::error::Result;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// Kernel of both: with stride 2 and one pixel of padding an even side is halved, or doubled, exactly.
const KERNEL: i64 = 4;
const STRIDE: [i64; 2] = [2, 2];
const PADDING: [i64; 2] = [1, 1];
const ONE: [i64; 2] = [1, 1];

/// a_o = Σ_i W_oi ⋆ x_i + b_o, of images (N, inputs, H, W) with even sides, to (N, outputs, H/2, W/2).
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
}

impl Conv2d {
    /// Starts with weights and bias uniform on ±1/√(inputs · 4²).
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let start = bound(inputs);
        let weight = scope.trained("weight", &[outputs, inputs, KERNEL, KERNEL], start)?;
        let bias = scope.trained("bias", &[outputs], start)?;
        Ok(Conv2d { weight, bias })
    }

    /// (N, inputs, H, W) → (N, outputs, H/2, W/2).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d(&self.weight, Some(&self.bias), STRIDE, PADDING, ONE, 1)
    }

    pub(super) fn shared(&self) -> Self {
        Conv2d { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }

    #[cfg(test)]
    pub(super) fn shared_weight(&self) -> Tensor {
        self.weight.shallow_clone()
    }
}

/// The transpose of [`Conv2d`], from (N, inputs, H, W) to (N, outputs, 2H, 2W).
#[derive(Debug)]
pub struct ConvTranspose2d {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl ConvTranspose2d {
    /// Starts with weights and bias uniform on ±1/√(outputs · 4²), as PyTorch counts the fan of a transpose.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, outputs: i64, with_bias: BiasOf) -> Result<Self> {
        let start = bound(outputs);
        let weight = scope.trained("weight", &[inputs, outputs, KERNEL, KERNEL], start)?;
        let bias = match with_bias {
            BiasOf::Channel => Some(scope.trained("bias", &[outputs], start)?),
            BiasOf::None => None,
        };
        Ok(ConvTranspose2d { weight, bias })
    }

    /// (N, inputs, H, W) → (N, outputs, 2H, 2W).
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv_transpose2d(&self.weight, self.bias.as_ref(), STRIDE, PADDING, [0, 0], 1, ONE)
    }

    pub(super) fn shared(&self) -> Self {
        ConvTranspose2d { weight: self.weight.shallow_clone(), bias: self.bias.as_ref().map(Tensor::shallow_clone) }
    }

    #[cfg(test)]
    pub(super) fn shared_weight(&self) -> Tensor {
        self.weight.shallow_clone()
    }
}

/// What has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BiasOf {
    /// Every channel.
    Channel,
    /// Nothing.
    None,
}

fn bound(channels: i64) -> Start {
    Start::Uniform(1.0 / ((channels * KERNEL * KERNEL) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::scoped;
    use tch::{Device, Kind};

    #[test]
    fn the_transpose_is_the_adjoint() {
        // ⟨conv x, y⟩ = ⟨x, convᵀ y⟩ for the same weights without bias
        let weight = Tensor::arange(2 * 3 * 16, (Kind::Double, Device::Cpu)).sin().view([2, 3, 4, 4]);
        let conv = Conv2d { weight: weight.shallow_clone(), bias: Tensor::zeros([2], (Kind::Double, Device::Cpu)) };
        let transpose = ConvTranspose2d { weight, bias: None };
        let x = Tensor::arange(3 * 64, (Kind::Double, Device::Cpu)).cos().view([1, 3, 8, 8]);
        let y = Tensor::arange(2 * 16, (Kind::Double, Device::Cpu)).sin().view([1, 2, 4, 4]);
        let left = (conv.forward(&x) * &y).sum(Kind::Double).double_value(&[]);
        let right = (x * transpose.forward(&y)).sum(Kind::Double).double_value(&[]);
        // 192 terms of size about 1
        assert!((left - right).abs() < 1e-12, "{left} {right}");
    }

    #[test]
    fn starts_are_within_the_bound_and_spread_over_it() {
        scoped(|scope| {
            let conv = Conv2d::new(&mut scope.at("conv"), 3, 5).unwrap();
            let bound = 1.0 / 48f64.sqrt();
            let largest = conv.weight.abs().max().double_value(&[]);
            // 240 draws: the largest is below 0.9 of the bound with probability 1e-11
            assert!(largest <= bound && largest > 0.9 * bound);
            let transpose = ConvTranspose2d::new(&mut scope.at("transpose"), 5, 3, BiasOf::Channel).unwrap();
            assert!(transpose.weight.abs().max().double_value(&[]) <= bound);
            assert_eq!(transpose.weight.size(), [5, 3, 4, 4]);
        });
    }
}
