//! What densities and gradients are judged by.

use lvm_core::random::Purpose;
use lvm_deep::architecture::Architecture;
use lvm_deep::data::Batch;
use lvm_deep::noise::Noise;
use lvm_deep::tensor::to_values;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use tch::Device;

/// f64 noise of a test's own.
pub(crate) fn noise(index: u64) -> Noise {
    Noise::new(20_261_121, Purpose::Diagnosis, index, Kind::Double, Device::Cpu)
}

/// A model of f64 whose trained parameters are drawn from N(0, sd²): nothing is special about it.
pub(crate) fn random_vae(architecture: Architecture, sd: f64, seed: u64) -> Vae {
    let vae = Vae::untrained(architecture, None, Kind::Double, Device::Cpu, seed).unwrap();
    let mut noise = noise(1000 + seed);
    for parameter in vae.parameters.trained() {
        let value = noise.normal(&parameter.value.size()) * sd;
        tch::no_grad(|| parameter.value.shallow_clone().copy_(&value));
    }
    vae
}

/// Rows drawn from N(0, I).
pub(crate) fn normal_rows(n: i64, columns: i64, index: u64) -> Batch {
    Batch::new(noise(index).normal(&[n, columns]))
}

pub(crate) fn sum(x: &Tensor) -> Tensor {
    x.sum(None::<Kind>)
}

pub(crate) fn close(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(a.size(), b.size(), "{what}: shapes");
    for (i, (a, b)) in to_values(a).iter().zip(to_values(b)).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs())), "{what}, entry {i}: {a} against {b}");
    }
}

/// The mean of `draws` is `expected` within 5.5 standard errors: 4e-8 for a wrong alarm, by the normal law for hundreds of draws or more.
pub(crate) fn mean_is(draws: &[f64], expected: f64, what: &str) {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    assert!((mean - expected).abs() <= 5.5 * error + 1e-12, "{what}: {mean} ± {error} against {expected}");
}

/// The gradient of a scalar function is that of central differences: step 1e-5, so an error of h² times the third derivative and 1e-16/h times
/// the value, 1e-10 times numbers of order 10 or 100.
pub(crate) fn gradient_is_right(f: &dyn Fn(&Tensor) -> Tensor, at: &Tensor, what: &str) {
    let leaf = at.detach().copy().set_requires_grad(true);
    let gradient = to_values(&Tensor::run_backward(&[f(&leaf)], &[&leaf], false, false)[0]);
    let h = 1e-5;
    let values = to_values(at);
    for i in 0..values.len() {
        let shifted = |by: f64| {
            let mut values = values.clone();
            values[i] += by;
            tch::no_grad(|| f(&Tensor::from_slice(&values).view(at.size().as_slice()))).double_value(&[])
        };
        let difference = (shifted(h) - shifted(-h)) / (2.0 * h);
        let tolerance = 1e-7 * (1.0 + difference.abs());
        assert!((gradient[i] - difference).abs() < tolerance, "{what}, entry {i}: {} against {difference}", gradient[i]);
    }
}

/// A square grid of points (M, L) for L = 1 or 2 over ±`limit` and the volume of its cells. The trapezoidal rule on it is exact to rounding for
/// smooth densities that vanish at the limits.
pub(crate) fn grid(latents: i64, limit: f64, points: i64) -> (Tensor, f64) {
    let axis = Tensor::linspace(-limit, limit, points, (Kind::Double, Device::Cpu));
    let step = 2.0 * limit / (points - 1) as f64;
    match latents {
        1 => (axis.unsqueeze(1), step),
        _ => (Tensor::cartesian_prod(&[&axis, &axis]), step * step),
    }
}

/// All trained parameters' gradients of Σ surrogate in one vector.
pub(crate) fn gradient_of(vae: &Vae, surrogate: &Tensor) -> Tensor {
    gradient_with(vae, surrogate, "")
}

/// The same for parameters whose name starts with `prefix`.
pub(crate) fn gradient_with(vae: &Vae, surrogate: &Tensor, prefix: &str) -> Tensor {
    for parameter in vae.parameters.trained() {
        parameter.value.shallow_clone().zero_grad();
    }
    sum(surrogate).backward();
    let parts: Vec<Tensor> = vae
        .parameters
        .trained()
        .filter(|p| p.name.starts_with(prefix))
        .map(|p| match p.value.grad() {
            g if g.defined() => g.copy().view([-1]),
            _ => p.value.zeros_like().view([-1]).detach(),
        })
        .collect();
    Tensor::cat(&parts, 0)
}
