//! What every net must show: gradients agree with differences, and what is shared is the same numbers.

use super::{Encoder, Net};
use crate::data::Batch;
use crate::tensor::to_values;
use tch::{Device, Kind, Tensor};

/// Some numbers between −1 and 1 in f64.
pub(super) fn numbers(shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    (Tensor::arange(n, (Kind::Double, Device::Cpu)) * 0.7 + 0.3).sin().view(shape)
}

/// A scalar of which every output is a different part.
fn scalar(outputs: &Tensor) -> Tensor {
    (outputs * numbers(&outputs.size())).sum(Kind::Double)
}

/// Whether the gradient of a scalar of the outputs in x and in the parameters is that of central differences: step 1e-5, whose error is 1e-10
/// times the third derivative, and rounding of 1e-16 times the number of terms over 1e-5.
pub(super) fn differentiates(forward: &dyn Fn(&Tensor) -> Tensor, x: &Tensor, parameters: &[&Tensor]) {
    let leaf = x.copy().set_requires_grad(true);
    let inputs: Vec<&Tensor> = std::iter::once(&leaf).chain(parameters.iter().copied()).collect();
    let gradients = Tensor::run_backward(&[scalar(&forward(&leaf))], &inputs, false, false);
    for (tensor, gradient) in inputs.iter().zip(gradients) {
        let flat = tensor.detach().view([-1]);
        for (i, g) in to_values(&gradient).into_iter().enumerate() {
            let at = |shift: f64| {
                let _no_grad = tch::no_grad_guard();
                let mut entry = flat.get(i as i64);
                let _ = entry.g_add_scalar_(shift);
                let value = scalar(&forward(&leaf)).double_value(&[]);
                let _ = entry.g_add_scalar_(-shift);
                value
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((g - difference).abs() < 1e-7 * (1.0 + g.abs()), "number {i}: gradient {g}, difference {difference}");
        }
    }
}

/// Whether a change of `parameter`, made in place, is seen by what [`Net::share`] returned before.
pub(super) fn shares(net: &dyn Net, x: &Tensor, parameter: &Tensor) {
    let shared = net.share();
    same_before_and_after(&|| net.forward(x), &|| shared.forward(x), parameter);
}

/// The same of encoders.
pub(super) fn shares_features(encoder: &dyn Encoder, x: &Tensor, parameter: &Tensor) {
    let shared = encoder.share();
    let batch = Batch::new(x.shallow_clone());
    same_before_and_after(&|| encoder.features(&batch), &|| shared.features(&batch), parameter);
}

fn same_before_and_after(one: &dyn Fn() -> Tensor, other: &dyn Fn() -> Tensor, parameter: &Tensor) {
    let before = to_values(&one());
    assert_eq!(before, to_values(&other()));
    let _ = tch::no_grad(|| parameter.shallow_clone().g_add_scalar_(0.25));
    let after = to_values(&one());
    assert_ne!(before, after);
    assert_eq!(after, to_values(&other()));
}
