//! Gaussians of diagonal covariance.

use super::{Family, Gaussian, Variational, check_parameters, check_scales, sample_by_transform, scales};
use lvm_core::mutant::planted;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView2};
use rand::Rng;
use std::f64::consts::TAU;

/// q(z) = Π_i N(z_i; μ_i, σ_i²): the mean-field Gaussian.
///
/// # Symbols
/// | symbol | meaning | in λ | shape |
/// |---|---|---|---|
/// | μ | means | `parameters()[..d]` | d |
/// | log σ | logarithms of the standard deviations | `parameters()[d..]` | d |
///
/// z_i = μ_i + σ_i ε_i.
///
/// ```
/// use lvm_vi::family::{Family, MeanField};
/// let q = MeanField::new(&[1.0, -2.0], &[0.5, 3.0])?;
/// let mut z = [0.0; 2];
/// q.transform(&[2.0, -1.0], &mut z);
/// assert_eq!(z, [2.0, -5.0]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MeanField {
    /// μ (d), then log σ (d).
    parameters: Vec<f64>,
    /// σ (d).
    scale: Vec<f64>,
}

impl MeanField {
    /// The member with these means (d) and standard deviations (d).
    ///
    /// # Errors
    /// If the lengths differ or are 0, a mean is not finite, or a standard deviation is not positive and finite.
    pub fn new(mean: &[f64], standard_deviations: &[f64]) -> Result<Self> {
        if mean.len() != standard_deviations.len() {
            let (expected, found) = (mean.len(), standard_deviations.len());
            return Err(ErrorKind::Shape { what: "standard deviations of a mean-field Gaussian", expected, found }.into());
        }
        if let Some((i, s)) = standard_deviations.iter().enumerate().find(|(_, s)| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::config("standard_deviations", format!("entry {i} is {s}; it must be positive and finite")));
        }
        let log = |s: &f64| if planted("sd_as_log_sd") { *s } else { s.ln() };
        let parameters = mean.iter().copied().chain(standard_deviations.iter().map(log)).collect();
        Self::from_parameters(parameters)
    }

    /// N(0, I) in d dimensions.
    ///
    /// # Errors
    /// If d is 0.
    pub fn standard(d: usize) -> Result<Self> {
        Self::from_parameters(vec![0.0; 2 * d])
    }

    fn from_parameters(parameters: Vec<f64>) -> Result<Self> {
        if parameters.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        let d = parameters.len() / 2;
        check_parameters("parameters of a mean-field Gaussian", &parameters, 2 * d)?;
        let scale = scales(parameters[d..].iter().copied())?;
        Ok(MeanField { parameters, scale })
    }
}

impl Variational for MeanField {
    fn dim(&self) -> usize {
        self.scale.len()
    }

    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        if parameters.len() != self.parameters.len() {
            let (expected, found) = (self.parameters.len(), parameters.len());
            return Err(ErrorKind::Shape { what: "parameters of a mean-field Gaussian", expected, found }.into());
        }
        Self::from_parameters(parameters.to_vec())
    }

    fn assign(&mut self, parameters: &[f64]) -> Result<()> {
        check_parameters("parameters of a mean-field Gaussian", parameters, self.parameters.len())?;
        let log_scales = &parameters[self.dim()..];
        check_scales(log_scales.iter().copied())?;
        self.parameters.copy_from_slice(parameters);
        self.scale.iter_mut().zip(log_scales).for_each(|(s, l)| *s = l.exp());
        Ok(())
    }

    fn sample(&self, rng: &mut dyn Rng, z: &mut [f64]) {
        sample_by_transform(self, rng, z);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        let d = self.dim();
        let quadratic: f64 = z.iter().zip(self.location()).zip(&self.scale).map(|((z, m), s)| ((z - m) / s).powi(2)).sum();
        -0.5 * (quadratic + d as f64 * TAU.ln()) - self.parameters[d..].iter().sum::<f64>()
    }

    fn add_score(&self, z: &[f64], scale: f64, gradient: &mut [f64]) {
        // ∂ log q/∂μ = (z − μ)/σ²,   ∂ log q/∂ log σ = ((z − μ)/σ)² − 1
        let (location, log_scale) = gradient.split_at_mut(self.dim());
        for ((((gm, gs), z), m), s) in location.iter_mut().zip(log_scale).zip(z).zip(self.location()).zip(&self.scale) {
            let e = (z - m) / s;
            *gm += scale * e / s;
            *gs += scale * (e * e - 1.0);
        }
    }

    fn entropy(&self) -> f64 {
        // H = Σ log σ_i + d/2 log 2πe
        self.parameters[self.dim()..].iter().sum::<f64>() + 0.5 * self.dim() as f64 * (TAU.ln() + 1.0)
    }

    fn add_entropy_grad(&self, scale: f64, gradient: &mut [f64]) {
        let d = self.dim();
        gradient[d..].iter_mut().for_each(|g| *g += scale);
    }
}

impl Family for MeanField {
    fn noise_dim(&self) -> usize {
        self.scale.len()
    }

    fn transform(&self, noise: &[f64], z: &mut [f64]) {
        // z = μ + σ ∘ ε
        for (((z, e), m), s) in z.iter_mut().zip(noise).zip(self.location()).zip(&self.scale) {
            *z = m + if planted("sd_as_variance") { s.sqrt() } else { *s } * e;
        }
    }

    fn add_log_prob_grad(&self, z: &[f64], gradient: &mut [f64]) {
        for (((g, z), m), s) in gradient.iter_mut().zip(z).zip(self.location()).zip(&self.scale) {
            *g -= (z - m) / (s * s);
        }
    }

    fn add_pullback(&self, noise: &[f64], z_gradient: &[f64], gradient: &mut [f64]) {
        // ∂z/∂μ = 1,   ∂z/∂ log σ = σ ε
        let (location, log_scale) = gradient.split_at_mut(self.dim());
        for ((((gm, gs), g), e), s) in location.iter_mut().zip(log_scale).zip(z_gradient).zip(noise).zip(&self.scale) {
            *gm += g;
            *gs += g * s * e;
        }
    }

    fn add_expected_pullback(&self, constant: &[f64], slope: ArrayView2<'_, f64>, gradient: &mut [f64]) {
        // E[g] = c,   E[g_i σ_i ε_i] = H_ii σ_i²
        let (location, log_scale) = gradient.split_at_mut(self.dim());
        location.iter_mut().zip(constant).for_each(|(g, c)| *g += c);
        log_scale.iter_mut().zip(slope.diag()).zip(&self.scale).for_each(|((g, h), s)| *g += h * s * s);
    }

    fn mean(&self) -> Array1<f64> {
        Array1::from(self.location().to_vec())
    }

    fn covariance(&self) -> Array2<f64> {
        Array2::from_diag(&self.standard_deviations().mapv(|s| s * s))
    }

    fn standard_deviations(&self) -> Array1<f64> {
        Array1::from(self.scale.clone())
    }
}

impl Gaussian for MeanField {
    fn location(&self) -> &[f64] {
        &self.parameters[..self.scale.len()]
    }

    fn log_det(&self) -> f64 {
        2.0 * self.parameters[self.dim()..].iter().sum::<f64>()
    }

    fn mahalanobis(&self, v: &[f64]) -> f64 {
        v.iter().zip(&self.scale).map(|(v, s)| (v / s).powi(2)).sum()
    }

    fn factor_column(&self, k: usize, column: &mut [f64]) {
        column.fill(0.0);
        column[k] = self.scale[k];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_parameters_are_named() {
        assert!(MeanField::new(&[0.0], &[-1.0]).unwrap_err().to_string().contains("entry 0 is -1"));
        assert!(MeanField::new(&[0.0, f64::NAN], &[1.0, 1.0]).unwrap_err().to_string().contains("entry 1 is NaN"));
        assert!(MeanField::new(&[0.0], &[1.0, 1.0]).is_err());
        assert!(MeanField::standard(0).is_err());
        assert!(MeanField::standard(1).unwrap().with_parameters(&[0.0, 800.0]).unwrap_err().to_string().contains("scale 0"));
    }
}
