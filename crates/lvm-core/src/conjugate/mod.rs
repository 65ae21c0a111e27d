//! Conjugate families: exact posterior, log evidence and predictive distribution in closed form.
//!
//! A value here is a belief about the parameter; seeing data gives the next one, so a posterior is the prior of what comes after it.
//! Evidences are of the data as a sequence (no binomial or multinomial coefficient), in nats, and are written so that nothing cancels:
//! they obey log p(x, y) = log p(x) + log p(y | x) to rounding.

mod beta_bernoulli;
mod dirichlet_categorical;
mod gamma_poisson;
mod normal_gamma;
mod normal_mean;

pub use beta_bernoulli::BetaBernoulli;
pub use dirichlet_categorical::DirichletCategorical;
pub use gamma_poisson::GammaPoisson;
pub use normal_gamma::{NormalGamma, NormalGammaMeanField};
pub use normal_mean::NormalMean;

use crate::error::{Error, Result};
use ndarray::ArrayView1;

/// Number, mean and centred sum of squares of the data, in two passes.
struct Summary {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Summary {
    fn of(data: ArrayView1<'_, f64>) -> Result<Self> {
        if let Some(bad) = data.iter().find(|v| !v.is_finite()) {
            return Err(Error::config("data", format!("{bad} is not finite")));
        }
        let n = data.len() as f64;
        if data.is_empty() {
            return Ok(Self { n, mean: 0.0, squares: 0.0 });
        }
        let rough = data.sum() / n;
        let mean = rough + data.iter().map(|v| v - rough).sum::<f64>() / n;
        Ok(Self { n, mean, squares: data.iter().map(|v| (v - mean) * (v - mean)).sum() })
    }
}

/// Refuses data that is not made of counts.
fn check_counts(field: &'static str, data: ArrayView1<'_, f64>) -> Result<()> {
    match data.iter().find(|v| !(**v >= 0.0 && v.is_finite() && **v == v.floor())) {
        Some(bad) => Err(Error::config(field, format!("{bad} is not one of 0, 1, 2, …"))),
        None => Ok(()),
    }
}
