//! Draws from q with their importance weights under the posterior, and what they say of evidence and moments.

use super::psis::{Psis, psis};
use crate::bound::{log_mean_exp, log_mean_weight};
use crate::estimator::{check_dimension, check_positive};
use crate::family::{Family, draw_noise};
use crate::target::LogDensity;
use lvm_core::bound::Estimate;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use lvm_core::{ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};
use rayon::prelude::*;

/// Draws z_s ~ q with log w_s = log p(z_s, data) − log q(z_s).
#[derive(Debug, Clone)]
pub struct WeightedDraws {
    /// z (S, d).
    pub z: Array2<f64>,
    /// log w (S); −∞ where the target has no density.
    pub log_weights: Vec<f64>,
    /// How many of the −∞ came from a recoverable error or a value that is not a number.
    pub refused: usize,
}

/// Draws made from one random stream; the streams of a run are independent of the number of threads.
const CHUNK: usize = 256;

impl WeightedDraws {
    /// `draws` draws of `q`, weighted by `target`.
    ///
    /// A recoverable error and a value that is not a number count as no density at that point: were they left out, a posterior
    /// cut off there would go unnoticed.
    ///
    /// # Errors
    /// If `draws` is 0, the dimensions differ, the target fails for good, or no draw has any density.
    pub fn new<F: Family, T: LogDensity + ?Sized>(q: &F, target: &T, draws: usize, seed: u64) -> Result<Self> {
        check_positive("draws", draws)?;
        check_dimension(q, target)?;
        WeightedDraws { z: Array2::zeros((0, q.dim())), log_weights: Vec::new(), refused: 0 }.up_to(q, target, draws, seed)
    }

    /// The same draws and those that [`new`](Self::new) makes beyond them, `draws` in all; bit for bit what it returns for so many.
    pub(super) fn up_to<F: Family, T: LogDensity + ?Sized>(mut self, q: &F, target: &T, draws: usize, seed: u64) -> Result<Self> {
        let (d, from) = (q.dim(), self.len());
        let (first, done) = (from / CHUNK, from % CHUNK);
        // invariant: made here, without an offset
        let (mut z, _) = self.z.into_raw_vec_and_offset();
        z.resize(draws * d, 0.0);
        self.log_weights.resize(draws, 0.0);
        let refused: usize = z[first * CHUNK * d..]
            .par_chunks_mut(CHUNK * d)
            .zip(self.log_weights[first * CHUNK..].par_chunks_mut(CHUNK))
            .enumerate()
            .map(|(i, (z, log_weights))| {
                let mut rng = stream(seed, Purpose::Diagnosis, (first + i) as u64);
                let skip = if i == 0 { done } else { 0 };
                let mut noise = vec![0.0; q.noise_dim()];
                (0..skip).for_each(|_| draw_noise(&mut rng, &mut noise));
                weigh(q, target, &mut rng, &mut z[skip * d..], &mut log_weights[skip..])
            })
            .collect::<Result<Vec<usize>>>()?
            .into_iter()
            .sum();
        if self.log_weights.iter().all(|w| *w == f64::NEG_INFINITY) {
            let why = "no density there, or an error".into();
            return Err(ErrorKind::NoUsableDraw { draws, why }.into());
        }
        // invariant: resized to it
        let z = Array2::from_shape_vec((draws, d), z).expect("draws of d numbers");
        Ok(WeightedDraws { z, log_weights: self.log_weights, refused: self.refused + refused })
    }

    /// S.
    pub fn len(&self) -> usize {
        self.log_weights.len()
    }

    /// Whether there are no draws (there are always some).
    pub fn is_empty(&self) -> bool {
        self.log_weights.is_empty()
    }

    /// The ELBO, E_q[log w]; −∞ if a draw has no density.
    pub fn elbo(&self) -> Estimate {
        Estimate::from_draws(&self.log_weights)
    }

    /// log of the mean weight, the importance-sampling estimate of log p(data): right on average for p(data), too low on average for its
    /// logarithm. The standard error is that of the logarithm to first order.
    pub fn log_evidence(&self) -> Estimate {
        log_mean_weight(&self.log_weights)
    }

    /// The importance-weighted bound E[log (w₁ + … + w_k)/k] of the draws in groups of `particles` (Burda, Grosse & Salakhutdinov 2016);
    /// draws that fill no group are left over. NaN if there is no group.
    pub fn iwae(&self, particles: usize) -> Estimate {
        let bounds: Vec<f64> = self.log_weights.chunks_exact(particles.max(1)).map(log_mean_exp).collect();
        Estimate::from_draws(&bounds)
    }

    /// log(E_q\[w²\] / E_q\[w\]²) = D₂(p ‖ q), the Rényi divergence of order 2, as the draws estimate it. It says nothing where k̂ ≥ 1/2: the
    /// expectation may then be infinite.
    pub fn renyi_2(&self) -> f64 {
        let largest = self.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut first, mut second) = (0.0, 0.0);
        for w in &self.log_weights {
            let w = (w - largest).exp();
            first += w;
            second += w * w;
        }
        let order = if planted("chi_square_halved") { 0.5 } else { 1.0 };
        (order * (self.len() as f64 * second / (first * first)).ln()).max(0.0)
    }

    /// The weights smoothed by [`psis`].
    ///
    /// # Errors
    /// As [`psis`]; a log density of +∞ is such a weight.
    pub fn smoothed(&self) -> Result<Psis> {
        psis(&self.log_weights)
    }
}

/// Draws into `z` (rows of d) and weighs; the number of draws refused.
fn weigh<F: Family, T: LogDensity + ?Sized>(
    q: &F,
    target: &T,
    rng: &mut impl rand::Rng,
    z: &mut [f64],
    log_weights: &mut [f64],
) -> Result<usize> {
    let mut noise = vec![0.0; q.noise_dim()];
    let mut refused = 0;
    for (z, w) in z.chunks_exact_mut(q.dim()).zip(log_weights) {
        draw_noise(rng, &mut noise);
        q.transform(&noise, z);
        *w = match target.log_density(z) {
            Ok(value) if !value.is_nan() => value - q.log_prob(z),
            Ok(_) => {
                refused += 1;
                if planted("nan_weight_is_one") { 0.0 } else { f64::NEG_INFINITY }
            }
            Err(error) if error.is_recoverable() => {
                refused += 1;
                f64::NEG_INFINITY
            }
            Err(error) => return Err(ErrorKind::Density(Box::new(error)).into()),
        };
    }
    Ok(refused)
}

/// Moments of the posterior by weighted draws, with their standard errors; each (d).
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Posterior means.
    pub mean: Array1<f64>,
    /// Their standard errors.
    pub mean_std_err: Array1<f64>,
    /// Posterior standard deviations.
    pub standard_deviation: Array1<f64>,
    /// Their standard errors.
    pub standard_deviation_std_err: Array1<f64>,
}

impl Moments {
    /// Moments of the draws `z` (S, d) under normalised log weights (S).
    ///
    /// ```text
    /// μ = Σ w_s z_s,   SE(μ)² = Σ w_s² (z_s − μ)²,   σ² = Σ w_s (z_s − μ)²,   SE(σ) = √(Σ w_s² ((z_s − μ)² − σ²)²) / 2σ
    /// ```
    ///
    /// Source: Owen, Monte Carlo theory, methods and examples, eq. 9.8 (self-normalised importance sampling), and the delta method.
    pub fn weighted(z: &Array2<f64>, log_weights: &[f64]) -> Self {
        let weights = ArrayView1::from(log_weights).mapv(f64::exp);
        let d = z.ncols();
        let weighted_sum = |f: &dyn Fn(usize, f64) -> f64, power: i32| {
            let mut sum = Array1::<f64>::zeros(d);
            for (row, &w) in z.axis_iter(Axis(0)).zip(&weights) {
                let w = w.powi(power);
                sum.iter_mut().zip(row).enumerate().for_each(|(i, (s, &z))| *s += w * f(i, z));
            }
            sum
        };
        let mean = weighted_sum(&|_, z| z, 1);
        let variance = weighted_sum(&|i, z| (z - mean[i]).powi(2), 1);
        let mean_std_err = weighted_sum(&|i, z| (z - mean[i]).powi(2), 2).mapv(f64::sqrt);
        let spread = weighted_sum(&|i, z| ((z - mean[i]).powi(2) - variance[i]).powi(2), 2);
        let standard_deviation = variance.mapv(f64::sqrt);
        let standard_deviation_std_err = Zip::from(&spread).and(&standard_deviation).map_collect(|v, s| v.sqrt() / (2.0 * s));
        Moments { mean, mean_std_err, standard_deviation, standard_deviation_std_err }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectation::GaussianTarget;
    use crate::family::MeanField;
    use ndarray::array;

    #[test]
    fn draws_in_portions_are_the_draws_made_at_once() {
        let q = MeanField::new(&[0.5, -1.0], &[1.0, 0.3]).unwrap();
        let target = GaussianTarget::from_covariance(array![0.0, 0.0], array![[1.0, 0.4], [0.4, 1.0]]).unwrap();
        let at_once = WeightedDraws::new(&q, &target, 1500, 3).unwrap();
        let mut some = WeightedDraws::new(&q, &target, 100, 3).unwrap();
        for draws in [200, 512, 513, 1500] {
            some = some.up_to(&q, &target, draws, 3).unwrap();
        }
        assert_eq!((some.z, some.log_weights, some.refused), (at_once.z, at_once.log_weights, 0));
    }
}
