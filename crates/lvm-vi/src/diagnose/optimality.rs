//! How far a Gaussian q is from the best member of its family, from the target's gradient alone.

use crate::estimator::check_dimension;
use crate::family::{Family, draw_noise};
use crate::target::LogDensityGrad;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

/// What remains to be done by the optimiser, for each latent, in units of q.
///
/// At the best mean-field or full-covariance Gaussian q* (Opper & Archambeau 2009, eq. 7–8, with Stein's identity for the second)
///
/// ```text
/// E_q[∇ log p] = 0,        A = I + E_q[(z − m) ∇ log pᵀ] = 0   (of it the diagonal, for mean field)
/// ```
///
/// and one Newton step from q moves the mean by S E_q[∇ log p] and the covariance by A S.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimality {
    /// The remaining step of each mean, in standard deviations of q; (d).
    pub location: Array1<f64>,
    /// Standard errors of `location`.
    pub location_std_err: Array1<f64>,
    /// The remaining step of the logarithm of each standard deviation; (d).
    pub log_scale: Array1<f64>,
    /// Standard errors of `log_scale`.
    pub log_scale_std_err: Array1<f64>,
    /// Draws left out because the target had no usable value there.
    pub skipped: usize,
}

const CHUNK: usize = 256;

impl Optimality {
    /// Estimates the remaining steps by `draws` draws of `q`, at least 2.
    ///
    /// # Errors
    /// If `draws` is below 2, the dimensions differ, the target fails for good, or none of the draws is usable.
    pub fn new<F: Family, T: LogDensityGrad + ?Sized>(q: &F, target: &T, draws: usize, seed: u64) -> Result<Self> {
        if draws < 2 {
            return Err(Error::config("draws", format!("{draws} asked for, at least 2 are needed for a standard error")));
        }
        check_dimension(q, target)?;
        let d = q.dim();
        let (mean, covariance, s) = (q.mean(), q.covariance(), q.standard_deviations());
        let chunks = (0..draws.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let n = CHUNK.min(draws - chunk * CHUNK);
                steps(q, target, &mean, &covariance, &s, n, &mut stream(seed, Purpose::Diagnosis, chunk as u64))
            })
            .collect::<Result<Vec<Vec<Array1<f64>>>>>()?;
        let steps: Vec<Array1<f64>> = chunks.into_iter().flatten().collect();
        if steps.len() < 2 {
            let why = "its log density or gradient was not finite, or an error".into();
            return Err(ErrorKind::NoUsableDraw { draws, why }.into());
        }
        let n = steps.len() as f64;
        let average = steps.iter().fold(Array1::<f64>::zeros(2 * d), |sum, s| sum + s) / n;
        let square = steps.iter().fold(Array1::<f64>::zeros(2 * d), |sum, s| sum + (s - &average).mapv(|v| v * v));
        let std_err = (square / (n * (n - 1.0))).mapv(f64::sqrt);
        let halves = |v: &Array1<f64>| {
            let v = v.to_vec();
            (Array1::from(v[..d].to_vec()), Array1::from(v[d..].to_vec()))
        };
        let ((location, log_scale), (location_std_err, log_scale_std_err)) = (halves(&average), halves(&std_err));
        Ok(Optimality { location, location_std_err, log_scale, log_scale_std_err, skipped: draws - steps.len() })
    }

    /// The largest |remaining step| in its own standard errors; 0 where all steps are 0 exactly.
    pub fn signal_to_noise(&self) -> f64 {
        let ratio = |(value, std_err): (&f64, &f64)| if *value == 0.0 { 0.0 } else { value.abs() / std_err };
        let location = self.location.iter().zip(&self.location_std_err).map(ratio);
        location.chain(self.log_scale.iter().zip(&self.log_scale_std_err).map(ratio)).fold(0.0, f64::max)
    }

    /// The largest remaining step, of a mean in standard deviations or of the logarithm of a standard deviation, less `z` standard
    /// errors (so that it is 0 while the draws can't tell), and the latent it belongs to.
    pub fn worst(&self, z: f64) -> (f64, usize) {
        let certain = |(value, std_err): (&f64, &f64)| (value.abs() - z * std_err).max(0.0);
        let location = self.location.iter().zip(&self.location_std_err).map(certain);
        let scale = self.log_scale.iter().zip(&self.log_scale_std_err).map(certain);
        location.zip(scale).map(|(a, b)| a.max(b)).enumerate().fold((0.0, 0), |best, (i, v)| if v > best.0 { (v, i) } else { best })
    }
}

/// The steps (2 d) that single draws ask for.
fn steps<F: Family, T: LogDensityGrad + ?Sized>(
    q: &F,
    target: &T,
    mean: &Array1<f64>,
    covariance: &Array2<f64>,
    s: &Array1<f64>,
    draws: usize,
    rng: &mut impl rand::Rng,
) -> Result<Vec<Array1<f64>>> {
    let d = q.dim();
    let (mut noise, mut z, mut gradient) = (vec![0.0; q.noise_dim()], vec![0.0; d], vec![0.0; d]);
    let mut steps = Vec::with_capacity(draws);
    for _ in 0..draws {
        draw_noise(rng, &mut noise);
        q.transform(&noise, &mut z);
        match target.log_density_grad(&z, &mut gradient) {
            Ok(value) if value.is_finite() && gradient.iter().all(|g| g.is_finite()) => {}
            Err(error) if !error.is_recoverable() => return Err(ErrorKind::Density(Box::new(error)).into()),
            _ => continue,
        }
        let sign = if planted("optimality_sign") { -1.0 } else { 1.0 };
        let sg = covariance.dot(&Array1::from(gradient.clone())) * sign;
        // E[z − m] = 0 is added to the first and E[(z_i − m_i)²] = S_ii put in place of S_ii in the second: for a Gaussian target at its
        // full-covariance optimum, where S g = −(z − m), every draw then gives 0
        let step = (0..2 * d).map(|i| match i.checked_sub(d) {
            // S E[g] / s
            None => (sg[i] + (z[i] - mean[i])) / s[i],
            // Δ log s_i = (A S)_ii / 2 S_ii
            Some(i) => (z[i] - mean[i]) * ((z[i] - mean[i]) + sg[i]) / (2.0 * s[i] * s[i]),
        });
        steps.push(step.collect());
    }
    Ok(steps)
}
