//! Each estimator is unbiased: its mean over many repetitions is the exact gradient of the bound of a Gaussian target.

use crate::families::{full_rank, low_rank, mean_field};
use crate::targets::{Gaussian, LOG_2PI, WrongGradient, differences};
use lvm_core::random::{Purpose, stream};
use lvm_vi::estimator::{Control, Gradient, Memory, Moments, moments, moments_of, score_function};
use lvm_vi::family::{Categorical, Family, FullRank, MeanField, Variational};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::array;

/// Largest |z| over the coordinates. A mean of R ≥ 20000 repetitions is normal; with at most 12 coordinates |z| > 5.8 somewhere has
/// probability 8e-8 for an unbiased estimator.
fn largest_z(found: &Moments, exact: &[f64]) -> f64 {
    let z = found.mean.iter().zip(exact).zip(found.standard_errors()).map(|((m, e), s)| {
        // 1e-9: the exact gradient is by differences
        ((m - e).abs() - 1e-9).max(0.0) / s.max(1e-300)
    });
    z.fold(0.0, f64::max)
}

const LIMIT: f64 = 5.8;
const REPEATS: usize = 20_000;

fn all_unbiased<F: Family>(q: &F) {
    let target = Gaussian::example();
    let exact = target.elbo_gradient(q);
    for estimator in [
        Gradient::QuadraticControl,
        Gradient::PathwiseClosedEntropy,
        Gradient::Pathwise,
        Gradient::StickingTheLanding,
        Gradient::Importance { particles: 1 },
        Gradient::ScoreFunction { control: Control::None },
        Gradient::ScoreFunction { control: Control::LeaveOneOut },
        Gradient::ScoreFunction { control: Control::RunningMean { decay: 0.9 } },
    ] {
        let found = moments(estimator, q, &target, 4, REPEATS, 3).unwrap();
        let z = largest_z(&found, &exact);
        assert!(z < LIMIT, "{estimator:?}: z = {z}");
        assert_eq!(found.skipped, 0);
    }
}

#[test]
fn unbiased_for_mean_field() {
    all_unbiased(&mean_field());
}

#[test]
fn unbiased_for_full_rank() {
    all_unbiased(&full_rank());
}

#[test]
fn unbiased_for_low_rank() {
    all_unbiased(&low_rank());
}

#[test]
fn a_planted_bias_is_caught() {
    let (q, target) = (mean_field(), Gaussian::example());
    let exact = target.elbo_gradient(&q);
    // a gradient too large by a tenth in one coordinate
    let wrong = WrongGradient { target: target.clone(), coordinate: 1, factor: 1.1 };
    let found = moments(Gradient::StickingTheLanding, &q, &wrong, 4, REPEATS, 3).unwrap();
    assert!(largest_z(&found, &exact) > LIMIT);
    // a baseline that contains the draw it is used for: the gradient shrinks by 1/S
    let shrunk = moments_of(6, REPEATS, 3, |memory, rng, g| {
        let drawn = Gradient::ScoreFunction { control: Control::LeaveOneOut }.estimate(&q, &target, 4, memory, rng, g)?;
        g.iter_mut().for_each(|g| *g *= 0.75);
        Ok(drawn)
    });
    assert!(largest_z(&shrunk.unwrap(), &exact) > LIMIT);
    // the entropy forgotten
    let forgotten = moments_of(6, REPEATS, 3, |memory, rng, g| {
        let drawn = Gradient::PathwiseClosedEntropy.estimate(&q, &target, 4, memory, rng, g)?;
        q.add_entropy_grad(-1.0, g);
        Ok(drawn)
    });
    assert!(largest_z(&forgotten.unwrap(), &exact) > LIMIT);
}

#[test]
fn sticking_the_landing_is_zero_for_each_draw_at_the_posterior() {
    let target = Gaussian::example();
    let full = FullRank::new(&target.mean.to_vec(), target.covariance().view()).unwrap();
    zero_for_each_draw(&full, &target);
    let independent = Gaussian { precision: array![[4.0, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 100.0]], ..target };
    zero_for_each_draw(&MeanField::new(&independent.mean.to_vec(), &[0.5, 2.0, 0.1]).unwrap(), &independent);
}

/// Per draw below 1e-10: differences of two products of order 1 to 100, each rounded at 1e-16 relative.
fn zero_for_each_draw<F: Family>(q: &F, target: &Gaussian) {
    let mut rng = stream(1, Purpose::Noise, 0);
    let mut g = vec![0.0; q.parameters().len()];
    for _ in 0..500 {
        for estimator in [Gradient::StickingTheLanding, Gradient::Importance { particles: 5 }] {
            let drawn = estimator.estimate(q, target, 1, &mut Memory::default(), &mut rng, &mut g).unwrap();
            assert!(g.iter().all(|g| g.abs() < 1e-10), "{g:?}");
            assert!((drawn.elbo - target.evidence).abs() < 1e-12);
        }
    }
    // the plain pathwise gradient is not zero there, only its mean is
    Gradient::Pathwise.estimate(q, target, 1, &mut Memory::default(), &mut rng, &mut g).unwrap();
    assert!(g.iter().any(|g| g.abs() > 1e-3));
}

#[test]
fn control_variates_lower_the_variance() {
    let (q, target) = (mean_field(), Gaussian::example());
    let variance = |control| moments(Gradient::ScoreFunction { control }, &q, &target, 8, 4_000, 9).unwrap().total_variance();
    let plain = variance(Control::None);
    // log p − log q is about −10 here: a baseline takes most of its square away
    assert!(variance(Control::LeaveOneOut) < 0.5 * plain);
    assert!(variance(Control::RunningMean { decay: 0.9 }) < 0.5 * plain);
    let pathwise = moments(Gradient::Pathwise, &q, &target, 8, 4_000, 9).unwrap();
    assert!(pathwise.total_variance() < variance(Control::LeaveOneOut) && pathwise.signal_to_noise() > 1.0);
}

/// Estimates of four draws after the control has learnt from `steps` of them.
fn after<F: Family>(steps: u64, q: &F, target: &dyn LogDensityGrad) -> Vec<Vec<f64>> {
    let mut memory = Memory::default();
    let one = |step: u64| {
        let mut g = vec![0.0; q.parameters().len()];
        Gradient::QuadraticControl.estimate(q, target, 4, &mut memory, &mut stream(5, Purpose::Noise, step), &mut g).unwrap();
        g
    };
    (0..steps + 100).map(one).skip(steps as usize).collect()
}

#[test]
fn a_quadratic_control_takes_all_noise_from_a_gaussian_target() {
    fn exact<F: Family>(q: &F) {
        let target = Gaussian::example();
        let truth = target.elbo_gradient(q);
        for g in after(20, q, &target) {
            // a ridge of 1e-10 and a share of 1 to rounding, of gradients of order 10; differences good to 1e-9
            assert!(g.iter().zip(&truth).all(|(g, t)| (g - t).abs() < 1e-7), "{g:?} {truth:?}");
        }
    }
    exact(&mean_field());
    exact(&full_rank());
    exact(&low_rank());
}

/// −e^z + 3 z and −½ z², at which the gradient is cut off to its right in some tests.
struct Skew {
    cut: f64,
}

impl LogDensity for Skew {
    fn dim(&self) -> usize {
        2
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 2])
    }
}

impl LogDensityGrad for Skew {
    fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
        if z[0] > self.cut {
            return Err(TargetError::Recoverable("beyond the cut".into()));
        }
        (g[0], g[1]) = (3.0 - z[0].exp(), -z[1]);
        Ok(3.0 * z[0] - z[0].exp() - 0.5 * z[1] * z[1])
    }
}

#[test]
fn a_quadratic_control_lowers_the_variance_of_a_skew_target() {
    let (q, target) = (MeanField::new(&[0.93, 0.0], &[0.58, 1.0]).unwrap(), Skew { cut: f64::INFINITY });
    let variance = |gradients: &[Vec<f64>]| {
        let n = gradients.len() as f64;
        let mean: Vec<f64> = (0..4).map(|i| gradients.iter().map(|g| g[i]).sum::<f64>() / n).collect();
        gradients.iter().flat_map(|g| g.iter().zip(&mean)).map(|(g, m)| (g - m).powi(2)).sum::<f64>() / n
    };
    let plain = moments(Gradient::PathwiseClosedEntropy, &q, &target, 4, 4000, 9).unwrap().total_variance();
    // half of the noise of e^z at this width is no parabola's
    let ours = variance(&after(200, &q, &target));
    assert!(ours < 0.6 * plain, "{ours} {plain}");
}

#[test]
fn without_all_draws_there_is_no_control() {
    let q = MeanField::new(&[0.93, 0.0], &[0.58, 1.0]).unwrap();
    // 12 % of the draws are left out
    let target = Skew { cut: 1.6 };
    let (mut memory, mut skipped) = (Memory::default(), 0);
    for step in 0..50 {
        let estimate = |estimator: Gradient, memory: &mut Memory| {
            let mut g = vec![0.0; 4];
            let drawn = estimator.estimate(&q, &target, 10, memory, &mut stream(6, Purpose::Noise, step), &mut g).unwrap();
            (g, drawn)
        };
        let (ours, drawn) = estimate(Gradient::QuadraticControl, &mut memory);
        let (plain, same) = estimate(Gradient::PathwiseClosedEntropy, &mut Memory::default());
        assert_eq!(drawn, same);
        if drawn.skipped > 0 {
            skipped += 1;
            assert_eq!(ours, plain);
            assert_eq!(memory, Memory::default());
        }
    }
    assert!(skipped > 10);
}

/// A coupled table of log probabilities of two labels.
struct Table([[f64; 3]; 3]);

impl LogDensity for Table {
    fn dim(&self) -> usize {
        2
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(self.0[z[0] as usize][z[1] as usize])
    }
}

#[test]
fn the_score_function_is_unbiased_for_discrete_latents() {
    let target = Table([[-1.0, -2.0, -0.5], [-3.0, -0.2, -4.0], [-2.0, -1.5, -0.7]]);
    let q = Categorical::new(array![[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]].view()).unwrap();
    let elbo = |p: &[f64]| {
        let q = q.with_parameters(p).unwrap();
        let pairs = (0..9).map(|i| [(i / 3) as f64, (i % 3) as f64]);
        pairs.map(|z| q.log_prob(&z).exp() * (target.log_density(&z).unwrap() - q.log_prob(&z))).sum::<f64>()
    };
    let exact = differences(elbo, q.parameters());
    for control in [Control::None, Control::LeaveOneOut, Control::RunningMean { decay: 0.8 }] {
        let found = moments_of(6, REPEATS, 4, |memory, rng, g| score_function(&q, &target, control, 3, memory, rng, g)).unwrap();
        assert!(largest_z(&found, &exact) < LIMIT, "{control:?}");
    }
}

/// IWAE_2 of q = N(μ, e^{2 l}) for the target N(0, 1), by the trapezoid rule in both noises: exact to rounding for smooth integrands that
/// vanish at the ends.
fn iwae_2(p: &[f64]) -> f64 {
    let (mu, log_sigma) = (p[0], p[1]);
    let step = 0.1;
    let grid: Vec<(f64, f64)> = (-85..=85)
        .map(|i| {
            let e = f64::from(i) * step;
            let z = mu + log_sigma.exp() * e;
            (step * (-0.5 * (e * e + LOG_2PI)).exp(), -0.5 * z * z + 0.5 * e * e + log_sigma)
        })
        .collect();
    let pairs = grid.iter().flat_map(|a| grid.iter().map(move |b| (a, b)));
    pairs.map(|(a, b)| a.0 * b.0 * (0.5 * (a.1.exp() + b.1.exp())).ln()).sum()
}

#[test]
fn the_doubly_reparameterised_gradient_of_iwae_is_unbiased() {
    let target = Gaussian { mean: array![0.0], precision: array![[1.0]], evidence: 0.0 };
    let q = MeanField::new(&[0.8], &[1.4]).unwrap();
    let exact = differences(iwae_2, q.parameters());
    let found = moments(Gradient::Importance { particles: 2 }, &q, &target, 2, 2 * REPEATS, 8).unwrap();
    assert!(largest_z(&found, &exact) < LIMIT, "{found:?} {exact:?}");
    // the gradient of the ELBO is another one, so the test can fail
    assert!(largest_z(&found, &target.elbo_gradient(&q)) > LIMIT);
}

#[test]
fn an_estimate_goes_on_as_if_it_had_never_stopped() {
    let (q, target) = (mean_field(), Gaussian::example());
    for estimator in [Gradient::ScoreFunction { control: Control::RunningMean { decay: 0.9 } }, Gradient::QuadraticControl] {
        let step = |memory: &mut Memory, index| {
            let mut g = vec![0.0; 6];
            estimator.estimate(&q, &target, 2, memory, &mut stream(2, Purpose::Noise, index), &mut g).unwrap();
            g
        };
        let mut memory = Memory::default();
        (0..8).for_each(|index| drop(step(&mut memory, index)));
        let mut resumed: Memory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
        assert_eq!(step(&mut memory, 8), step(&mut resumed, 8));
        assert_eq!(memory, resumed);
    }
}

#[test]
fn a_dyn_target_serves() {
    let target = Gaussian::example();
    let target: &dyn LogDensityGrad = &target;
    let mut g = vec![0.0; 6];
    let drawn = Gradient::default().estimate(&mean_field(), target, 3, &mut Memory::default(), &mut stream(1, Purpose::Noise, 0), &mut g);
    assert_eq!(drawn.unwrap().draws, 3);
}
