//! Draws of counts, one by one: discrete distributions have no reparameterisation that tensors would help with.

use crate::noise::Noise;
use crate::tensor::to_values;
use lvm_core::random::Stream;
use rand_distr::{Distribution, Gamma, Poisson};
use tch::Tensor;

/// One draw for every entry of the parameters, which have one shape, as a tensor of that shape, like the first of them in kind and device.
pub(super) fn each<const P: usize>(parameters: [&Tensor; P], noise: &mut Noise, draw: impl Fn([f64; P], &mut Stream) -> f64) -> Tensor {
    let values = parameters.map(to_values);
    let rng = noise.rng();
    let draws: Vec<f64> = (0..values[0].len()).map(|i| draw(std::array::from_fn(|p| values[p][i]), rng)).collect();
    Tensor::from_slice(&draws).view(parameters[0].size().as_slice()).to_kind(parameters[0].kind()).to_device(parameters[0].device())
}

/// x ~ Poisson(μ); NaN where μ is.
pub(super) fn poisson(mean: f64, rng: &mut Stream) -> f64 {
    if mean == 0.0 {
        return 0.0;
    }
    Poisson::new(mean).map_or(f64::NAN, |p| p.sample(rng))
}

/// x ~ NB(μ, θ): λ ~ Gamma(θ, μ/θ), x ~ Poisson(λ).
pub(super) fn negative_binomial(mean: f64, dispersion: f64, rng: &mut Stream) -> f64 {
    let scale = mean / dispersion;
    if scale == 0.0 {
        return 0.0;
    }
    Gamma::new(dispersion, scale).map_or(f64::NAN, |g| poisson(g.sample(rng), rng))
}
