//! Variational simulation-based calibration: is the mean of q right on average over data simulated from the model?

use crate::estimator::check_positive;
use crate::family::Family;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, Stream, stream};
use lvm_core::special::norm_cdf;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::Array2;
use rand::{Rng, RngExt};

/// Calibration probabilities of simulated data sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Vsbc {
    /// P_q(z_i < z_i of the simulation) for each data set (simulations, d).
    pub probabilities: Array2<f64>,
}

/// Simulates, fits and compares.
///
/// `simulate` draws latents (d) from the prior and data from the model given them; `fit` finds a Gaussian q for the data. Simulation `s` gets
/// a stream of its own from `seed`, and `fit` is told s for a seed of its own.
///
/// If the mean of q is unbiased the probabilities are symmetric about 1/2, whatever its standard deviation; they are uniform if q is the
/// posterior.
///
/// Source: Yao, Vehtari, Simpson & Gelman (2018), Yes, but did it work?, algorithm 2.
///
/// # Errors
/// Whatever `fit` returns, and a shape error if the dimensions differ.
pub fn vsbc<D, F: Family>(
    simulations: usize,
    mut simulate: impl FnMut(&mut Stream) -> (Vec<f64>, D),
    mut fit: impl FnMut(&D, u64) -> Result<F>,
    seed: u64,
) -> Result<Vsbc> {
    check_positive("simulations", simulations)?;
    let mut probabilities = Vec::new();
    let mut d = 0;
    for s in 0..simulations as u64 {
        let (truth, data) = simulate(&mut stream(seed, Purpose::Diagnosis, s));
        let q = fit(&data, s)?;
        d = truth.len();
        if q.dim() != d {
            return Err(ErrorKind::Shape {
                what: "dimension of q, which must be that of the simulated latents",
                expected: d,
                found: q.dim(),
            }
            .into());
        }
        let (mean, sd) = (q.mean(), q.standard_deviations());
        probabilities
            .extend(truth.iter().enumerate().map(|(i, z)| norm_cdf((z - mean[i]) / if planted("vsbc_sd_of_prior") { 1.0 } else { sd[i] })));
    }
    let probabilities = Array2::from_shape_vec((simulations, d), probabilities)
        .map_err(|_| Error::from(ErrorKind::Shape { what: "simulated latents, which must all have one length", expected: d, found: 0 }))?;
    Ok(Vsbc { probabilities })
}

impl Vsbc {
    /// The probability, for each latent, of an asymmetry at least as large if the mean of q were unbiased; (d).
    ///
    /// The statistic is sup |F(p) − F̃(p)| between the empirical distributions of p and of 1 − p; under symmetry each p may be exchanged
    /// with its 1 − p, so `reflections` random exchanges give its null distribution exactly (a randomisation test: a p-value of α or
    /// less has probability at most α).
    ///
    /// # Errors
    /// If `reflections` is 0.
    pub fn symmetry_p_values(&self, reflections: usize, seed: u64) -> Result<Vec<f64>> {
        check_positive("reflections", reflections)?;
        let columns = self.probabilities.columns();
        Ok(columns
            .into_iter()
            .enumerate()
            .map(|(i, p)| {
                let mut p = p.to_vec();
                let observed = asymmetry(&p);
                let mut rng = stream(seed, Purpose::Diagnosis, i as u64);
                let as_large = (0..reflections).filter(|_| {
                    reflect(&mut p, &mut rng);
                    asymmetry(&p) >= observed
                });
                (1 + as_large.count()) as f64 / (1 + reflections) as f64
            })
            .collect())
    }
}

fn reflect(p: &mut [f64], rng: &mut impl Rng) {
    for p in p.iter_mut() {
        if rng.random::<bool>() {
            *p = 1.0 - *p;
        }
    }
}

/// sup |F − F̃| between the empirical distributions of p and of 1 − p, times the number of p.
fn asymmetry(p: &[f64]) -> usize {
    // walking up |p − ½| sorted: F(½ − t) − F̃(½ − t) counts the p below ½ − t less those above ½ + t
    let mut from_middle: Vec<(f64, i64)> = p.iter().map(|p| ((p - 0.5).abs(), if *p < 0.5 { 1 } else { -1 })).collect();
    from_middle.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut sum, mut largest) = (0i64, 0);
    for (_, side) in from_middle {
        sum += side;
        largest = largest.max(sum.abs());
    }
    largest as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::MeanField;
    use rand_distr::{Distribution, StandardNormal};

    /// z ~ N(0, 1), y ~ N(z, 1): the posterior is N(y/2, 1/2); q has its mean moved and its standard deviation scaled.
    fn p_value(shift: f64, scale: f64) -> f64 {
        let simulate = |rng: &mut Stream| {
            let z: f64 = StandardNormal.sample(rng);
            let e: f64 = StandardNormal.sample(rng);
            (vec![z], z + e)
        };
        let fit = |y: &f64, _| MeanField::new(&[y / 2.0 + shift], &[scale * 0.5f64.sqrt()]);
        vsbc(1000, simulate, fit, 3).unwrap().symmetry_p_values(9999, 5).unwrap()[0]
    }

    #[test]
    fn a_wrong_mean_shows_and_a_wrong_spread_does_not() {
        // a fixed seed; a right mean fails with probability 1e-3 over seeds
        assert!(p_value(0.0, 1.0) > 1e-3);
        assert!(p_value(0.0, 0.5) > 1e-3);
        // a shift of 0.2 posterior sds moves the statistic by 0.08 · 1000, five times its standard deviation
        assert!(p_value(0.2, 1.0) < 1e-3);
    }

    #[test]
    fn the_statistic_is_the_largest_difference_of_the_two_distributions() {
        assert_eq!(asymmetry(&[0.1, 0.2, 0.3]), 3);
        assert_eq!(asymmetry(&[0.1, 0.9]), 1);
        assert_eq!(asymmetry(&[0.1, 0.95, 0.9, 0.2]), 1);
    }
}
