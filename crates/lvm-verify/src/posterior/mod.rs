//! Posterior models as a user of the library writes them: log joint over unconstrained parameters, gradient by hand, data from a case.
//!
//! A model is found by what the case says of it ([`read`]), not by the name of the case: another data set, other prior scales or
//! another number of coefficients of a form known here are the same model. What no form written by hand covers is compiled from its
//! words ([`written`]); words not understood in full are a failure that says which.

pub mod arma;
mod columns;
mod design;
mod formula;
pub mod gaussian_process;
pub mod generalized_linear;
pub mod hierarchical_logit;
pub mod linear_regression;
mod quadrature;
mod scale;
pub mod schools;
mod terms;
mod text;
pub mod two_normals;
pub mod varying_intercepts;
pub mod written;

pub use text::Prior;

use crate::case::{Case, CaseError};
use lvm_core::special::HALF_LOG_2PI;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensityGrad, TargetError};

/// A posterior model over unconstrained parameters.
pub trait Posterior: LogDensityGrad + Send {
    /// The form of the model, in words.
    fn form(&self) -> &'static str;

    /// The same model by rows, if its likelihood is a product over rows.
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        None
    }

    /// Its expectations under Gaussians: of terms in closed form, or by Gauss-Hermite quadrature over the few latents that need it.
    ///
    /// # Errors
    /// If the terms or the rule are refused.
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>>;

    /// About how many numbers one evaluation of log p reads.
    fn cost(&self) -> usize {
        self.by_rows().map_or(1, |rows| rows.n_data()) * self.dim()
    }

    /// Whether some of these expectations are by a product rule, whose error grows with the width of q.
    fn is_integrated(&self) -> bool {
        false
    }
}

/// log p over all the rows, from the parts of a model that is written by rows.
macro_rules! all_rows {
    ($model:ty) => {
        impl LogDensity for $model {
            fn dim(&self) -> usize {
                DataLogDensity::dim(self)
            }
            fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
                self.log_density_grad(z, &mut vec![0.0; z.len()])
            }
        }
        impl LogDensityGrad for $model {
            fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
                lvm_vi::target::FullData::new(self).log_density_grad(z, gradient)
            }
        }
    };
}
use all_rows;

/// How normal effects of unknown mean and scale are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parametrisation {
    /// The effects themselves, θ_j ~ N(μ, τ²).
    Centred,
    /// z_j ~ N(0, 1), θ_j = μ + τ z_j.
    NonCentred,
}

impl Parametrisation {
    /// θ_j.
    fn effect(self, z: f64, mu: f64, eta: f64) -> f64 {
        match self {
            Parametrisation::Centred => z,
            Parametrisation::NonCentred => mu + eta.exp() * z,
        }
    }

    /// Adds the derivatives of something whose derivative by θ_j is `slope`; μ and log τ stand at `places`.
    fn add_effect_grad(self, slope: f64, j: usize, z: &[f64], gradient: &mut [f64], places: [usize; 2]) {
        match self {
            Parametrisation::Centred => gradient[j] += slope,
            Parametrisation::NonCentred => {
                let tau = z[places[1]].exp();
                gradient[j] += slope * tau;
                gradient[places[0]] += slope;
                gradient[places[1]] += slope * tau * z[j];
            }
        }
    }

    /// Σ_j log p(z_j | μ, τ) of the first `n` entries, whose derivatives are written to their places and added to those of μ and log τ.
    fn log_prior_grad(self, n: usize, mu: f64, eta: f64, z: &[f64], gradient: &mut [f64], places: [usize; 2]) -> f64 {
        let count = n as f64;
        match self {
            Parametrisation::NonCentred => {
                gradient[..n].iter_mut().zip(z).for_each(|(g, z)| *g = -z);
                -0.5 * z[..n].iter().map(|z| z * z).sum::<f64>() - count * HALF_LOG_2PI
            }
            Parametrisation::Centred => {
                let precision = (-2.0 * eta).exp();
                let mut squares = 0.0;
                for j in 0..n {
                    let r = z[j] - mu;
                    squares += r * r;
                    gradient[j] = -precision * r;
                    gradient[places[0]] += precision * r;
                }
                gradient[places[1]] += precision * squares - count;
                -0.5 * precision * squares - count * (eta + HALF_LOG_2PI)
            }
        }
    }
}

/// A value that must be finite to be a log density.
fn finite(value: f64) -> Result<f64, TargetError> {
    if value.is_finite() { Ok(value) } else { Err(TargetError::Recoverable(format!("the log density is {value} here"))) }
}

/// The model a case states; the words that are not understood if it can't be told.
///
/// # Errors
/// If a field of the case is missing or its data can't be read.
pub fn read(case: &Case) -> Result<Result<Box<dyn Posterior>, String>, CaseError> {
    let s = text::Statement::of(case)?;
    Ok(match by_hand(&s) {
        Some(found) => Ok(found),
        None => compiled(&s),
    })
}

/// As [`read`]; none if not every word is understood.
///
/// # Errors
/// As [`read`].
pub fn recognise(case: &Case) -> Result<Option<Box<dyn Posterior>>, CaseError> {
    Ok(read(case)?.ok())
}

/// The model compiled from the words of the case, also where there is one written by hand.
///
/// # Errors
/// As [`read`].
pub fn second_reading(case: &Case) -> Result<Result<Box<dyn Posterior>, String>, CaseError> {
    Ok(compiled(&text::Statement::of(case)?))
}

fn compiled(s: &text::Statement) -> Result<Box<dyn Posterior>, String> {
    written::Written::of(s).map(|w| Box::new(w) as Box<dyn Posterior>)
}

/// The forms written by hand, as a user of the library writes them.
fn by_hand(s: &text::Statement) -> Option<Box<dyn Posterior>> {
    fn boxed<P: Posterior + 'static>(p: P) -> Box<dyn Posterior> {
        Box::new(p)
    }
    linear_regression::LinearRegression::of(s)
        .map(boxed)
        .or_else(|| generalized_linear::GeneralizedLinear::of(s).map(boxed))
        .or_else(|| schools::Schools::of(s).map(boxed))
        .or_else(|| varying_intercepts::VaryingIntercepts::of(s).map(boxed))
        .or_else(|| hierarchical_logit::HierarchicalLogit::of(s).map(boxed))
        .or_else(|| gaussian_process::GaussianProcess::of(s).map(boxed))
        .or_else(|| arma::Arma::of(s).map(boxed))
        .or_else(|| two_normals::TwoNormals::of(s).map(boxed))
}

#[cfg(test)]
mod tests;
