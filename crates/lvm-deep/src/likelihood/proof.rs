//! What every density of this folder must show: it sums or integrates to 1, draws agree with it, gradients with differences.

use super::Likelihood;
use crate::data::Batch;
use crate::noise::Noise;
use crate::parameters::{Parameters, Scope};
use crate::tensor::to_values;
use lvm_core::random::{Purpose, stream};
use tch::{Device, Kind, Tensor};

/// One row (1, D) in f64.
pub(crate) fn row(x: &[f64]) -> Tensor {
    Tensor::from_slice(x).view([1, -1])
}

/// Noise in f64.
pub(crate) fn noise(seed: u64) -> Noise {
    Noise::new(seed, Purpose::Sample, 0, Kind::Double, Device::Cpu)
}

/// Something made over new parameters in f64.
pub(crate) fn scoped<T>(make: impl FnOnce(&mut Scope<'_>) -> T) -> T {
    let mut parameters = Parameters::new(Kind::Double, Device::Cpu);
    make(&mut parameters.root(&mut stream(1, Purpose::Start, 0)))
}

/// Whether numbers are as expected, within `tolerance`.
pub(crate) fn agrees(found: &Tensor, expected: &[f64], tolerance: f64) {
    let found = to_values(found);
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance, "{found:?} where {expected:?} was expected within {tolerance}");
    }
}

/// How many rows are drawn.
const DRAWS: i64 = 20_000;

/// A density of one column on points: Σ p = 1, Σ x p is the mean, and frequencies of draws are within six standard deviations (with at most
/// 256 points of probability above 1e-3 a failure has probability below 1e-6; rarer points are taken together).
pub(crate) fn sums_to_one(likelihood: &dyn Likelihood, outputs: &Tensor, points: &[f64], condition: Option<Tensor>) {
    let n = points.len() as i64;
    let told = |n: i64| condition.as_ref().map(|c| c.expand([n, -1], false));
    let mut batch = Batch::new(Tensor::from_slice(points).view([-1, 1]));
    batch.condition = told(n);
    let log_p = likelihood.log_prob_entries(&outputs.expand([n, -1], false), &batch);
    let p: Vec<f64> = to_values(&log_p).iter().map(|l| l.exp()).collect();
    // points × rounding, and what is beyond the last point by the caller's choice
    let total: f64 = p.iter().sum();
    assert!((total - 1.0).abs() < 1e-11, "the sum is {total}");
    let mut first = Batch::new(row(&[points[0]]));
    first.condition = told(1);
    let mean: f64 = p.iter().zip(points).map(|(p, x)| p * x).sum();
    let told_mean = to_values(&likelihood.mean(outputs, &first))[0];
    assert!((mean - told_mean).abs() < 1e-9 * (1.0 + mean.abs()), "the mean is {mean}, {told_mean} was told");
    let mut many = Batch::new(Tensor::zeros([DRAWS, 1], (Kind::Double, Device::Cpu)));
    many.condition = told(DRAWS);
    let x = to_values(&likelihood.sample(&outputs.expand([DRAWS, -1], false), &many, &mut noise(11)));
    let (mut rare, mut rare_draws) = (0.0, DRAWS as f64);
    for (&p, &point) in p.iter().zip(points) {
        if p < 1e-3 {
            rare += p;
            continue;
        }
        let count = x.iter().filter(|&&x| (x - point).abs() < 1e-9).count() as f64;
        rare_draws -= count;
        assert_frequency(count, p);
    }
    // a discrete distribution with few draws has heavier tails than a normal one: at least one expected draw is allowed for
    assert!(rare_draws <= DRAWS as f64 * rare + 6.0 * (DRAWS as f64 * rare).sqrt() + 6.0, "{rare_draws} draws of probability {rare}");
}

fn assert_frequency(count: f64, p: f64) {
    let expected = DRAWS as f64 * p;
    let sd = (expected * (1.0 - p)).sqrt();
    assert!((count - expected).abs() <= 6.0 * sd + 1.0, "{count} draws where {expected} ± {sd} were expected");
}

/// A density of one column on the line, within ± 12: ∫ p = 1 by the trapezoid rule (exponentially exact for analytic densities that vanish at
/// both ends), ∫ x p is the mean, and the frequencies of draws in bins of width 1/2 are within six standard deviations (48 bins: a failure has
/// probability below 1e-7).
pub(crate) fn integrates_to_one(likelihood: &dyn Likelihood, outputs: &Tensor) {
    let n = 24 * 200 + 1;
    let points: Vec<f64> = (0..n).map(|i| -12.0 + f64::from(i) / 200.0).collect();
    let batch = Batch::new(Tensor::from_slice(&points).view([-1, 1]));
    let log_p = likelihood.log_prob_entries(&outputs.expand([i64::from(n), -1], false), &batch);
    let p: Vec<f64> = to_values(&log_p).iter().map(|l| l.exp() / 200.0).collect();
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let mean: f64 = p.iter().zip(&points).map(|(p, x)| p * x).sum();
    assert!((mean - to_values(&likelihood.mean(outputs, &batch))[0]).abs() < 1e-12);
    let x = to_values(&likelihood.sample(&outputs.expand([DRAWS, -1], false), &batch, &mut noise(12)));
    for bin in 0..48 {
        let (low, high) = (bin * 100, bin * 100 + 100);
        // both ends count half
        let probability: f64 = p[low..=high].iter().sum::<f64>() - (p[low] + p[high]) / 2.0;
        let count = x.iter().filter(|&&x| x >= points[low] && x < points[high]).count() as f64;
        if probability > 1e-3 {
            assert_frequency(count, probability);
        }
    }
}

/// Whether the gradient of log p(x | z) in the outputs is that of central differences: step 1e-5, whose error is 1e-10 times the third
/// derivative, and rounding 1e-11 of the value.
pub(crate) fn gradient_is_right(likelihood: &dyn Likelihood, outputs: &Tensor, batch: &Batch) {
    let value = |outputs: &Tensor| likelihood.log_prob_entries(outputs, batch).sum(Kind::Double);
    let leaf = outputs.copy().set_requires_grad(true);
    let gradient = to_values(&Tensor::run_backward(&[value(&leaf)], &[&leaf], false, false)[0]);
    let at = to_values(outputs);
    for (i, g) in gradient.iter().enumerate() {
        let shifted = |h: f64| {
            let mut moved = at.clone();
            moved[i] += h;
            value(&row(&moved)).double_value(&[])
        };
        let difference = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
        assert!((g - difference).abs() < 1e-7 * (1.0 + g.abs()), "output {i}: gradient {g}, difference {difference}");
    }
}
