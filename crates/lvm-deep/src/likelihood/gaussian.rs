//! Normal observations.

use super::{Layout, Likelihood, columns_of};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use lvm_core::mutant::planted;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use tch::Tensor;

/// Where the variance of normal observations comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// Known: this number for every column.
    Fixed(f64),
    /// One number, trained.
    Shared,
    /// A number for each column, trained.
    Columns,
    /// A number for each entry, delivered by the decoder.
    Entries,
}

/// The log-variance is kept within ± this, so that a decoder that is certain of one entry does not make the whole bound infinite.
pub(crate) const LOG_VARIANCE_LIMIT: f64 = 20.0;

/// x_d ~ N(μ_d(z), σ_d²): log p(x | z) = −½ Σ_d [log 2π + log σ_d² + (x_d − μ_d)²/σ_d²].
///
/// Outputs are μ (D), and with [`Variance::Entries`] log σ² (D) behind it.
#[derive(Debug)]
pub struct Gaussian {
    columns: i64,
    /// log σ² as one number or (D); `None`: the decoder delivers it.
    log_variance: Option<Tensor>,
}

impl Gaussian {
    /// Of D columns.
    ///
    /// # Errors
    /// If the name is taken, or a fixed variance is not positive.
    pub fn new(scope: &mut Scope<'_>, columns: i64, variance: Variance) -> Result<Self> {
        let log_variance = match variance {
            Variance::Fixed(value) if !(value > 0.0 && value.is_finite()) => {
                return Err(lvm_core::Error::config("variance", format!("is {value}; it must be positive")));
            }
            Variance::Fixed(value) => Some(scope.fixed("log_variance", &Tensor::from(value.ln()))?),
            Variance::Shared => Some(scope.trained("log_variance", &[], Start::Zero)?),
            Variance::Columns => Some(scope.trained("log_variance", &[columns], Start::Zero)?),
            Variance::Entries => None,
        };
        Ok(Gaussian { columns, log_variance })
    }

    /// μ and log σ², to be broadcast over each other.
    fn moments(&self, outputs: &Tensor) -> (Tensor, Tensor) {
        let (mean, log_variance) = match &self.log_variance {
            Some(shared) => (outputs.shallow_clone(), shared.shallow_clone()),
            None => (outputs.narrow(-1, 0, self.columns), outputs.narrow(-1, self.columns, self.columns)),
        };
        (mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))
    }
}

impl Likelihood for Gaussian {
    fn n_outputs(&self) -> i64 {
        if self.log_variance.is_some() { self.columns } else { 2 * self.columns }
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let (mean, log_variance) = self.moments(outputs);
        // −½ [log 2π + log σ² + (x − μ)² e^{−log σ²}]
        let constant = if planted("vae_gaussian_two_pi") { 0.0 } else { (2.0 * PI).ln() };
        ((&batch.x - mean).square() * (-&log_variance).exp() + log_variance + constant) * -0.5
    }

    fn mean(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        self.moments(outputs).0
    }

    fn sample(&self, outputs: &Tensor, _batch: &Batch, noise: &mut Noise) -> Tensor {
        let (mean, log_variance) = self.moments(outputs);
        let shape = mean.size();
        mean + (log_variance * 0.5).exp() * noise.normal(&shape)
    }

    fn check(&self, _batch: &Batch) -> Result<()> {
        Ok(())
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        Some(match &self.log_variance {
            Some(_) => mean.shallow_clone(),
            None => Tensor::cat(&[mean, &mean.zeros_like()], 0),
        })
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout { planes: if self.log_variance.is_some() { 1 } else { 2 }, depth: 1 })
    }

    fn narrow(&self, start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        let log_variance = self.log_variance.as_ref().map(|v| columns_of(v, start, length));
        Some(Box::new(Gaussian { columns: length, log_variance }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, integrates_to_one, row, scoped};

    fn of(variance: Variance, columns: i64, log_variance: &[f64]) -> Gaussian {
        scoped(|scope| {
            let gaussian = Gaussian::new(scope, columns, variance).unwrap();
            if let Some(parameter) = &gaussian.log_variance {
                tch::no_grad(|| parameter.shallow_clone().copy_(&Tensor::from_slice(log_variance).view(parameter.size().as_slice())));
            }
            gaussian
        })
    }

    // scipy.stats.norm.logpdf([1.0, -0.5], [0.2, 0.1], numpy.sqrt(v)) for v = 0.25, then v = exp([-1.0, 0.5])
    #[test]
    fn golden_for_every_variance() {
        let batch = Batch::new(row(&[1.0, -0.5]));
        let one = [-1.5057913526447274, -0.9457913526447273];
        let two = [-1.2887887183115674, -1.2781140519529468];
        let (ln, mean) = (0.25f64.ln(), row(&[0.2, 0.1]));
        agrees(&of(Variance::Fixed(0.25), 2, &[ln]).log_prob_entries(&mean, &batch), &one, 1e-14);
        agrees(&of(Variance::Shared, 2, &[ln]).log_prob_entries(&mean, &batch), &one, 1e-14);
        agrees(&of(Variance::Columns, 2, &[-1.0, 0.5]).log_prob_entries(&mean, &batch), &two, 1e-14);
        agrees(&of(Variance::Entries, 2, &[]).log_prob_entries(&row(&[0.2, 0.1, -1.0, 0.5]), &batch), &two, 1e-14);
    }

    #[test]
    fn integrates_to_one_and_draws_agree() {
        integrates_to_one(&of(Variance::Fixed(0.5), 1, &[0.5f64.ln()]), &row(&[0.3]));
        integrates_to_one(&of(Variance::Shared, 1, &[0.4]), &row(&[0.3]));
        integrates_to_one(&of(Variance::Columns, 1, &[0.4]), &row(&[0.3]));
        integrates_to_one(&of(Variance::Entries, 1, &[]), &row(&[0.3, -0.8]));
    }

    #[test]
    fn gradient() {
        let batch = Batch::new(row(&[1.0, -0.5]));
        gradient_is_right(&of(Variance::Columns, 2, &[-1.0, 0.5]), &row(&[0.2, 0.1]), &batch);
        gradient_is_right(&of(Variance::Entries, 2, &[]), &row(&[0.2, 0.1, -1.0, 0.5]), &batch);
    }

    #[test]
    fn a_part_has_the_variances_of_its_columns() {
        let part = of(Variance::Columns, 2, &[-1.0, 0.5]).narrow(1, 1).unwrap();
        agrees(&part.log_prob_entries(&row(&[0.1]), &Batch::new(row(&[-0.5]))), &[-1.2781140519529468], 1e-14);
    }

    #[test]
    fn a_variance_that_is_not_positive_is_refused() {
        scoped(|scope| assert!(Gaussian::new(scope, 2, Variance::Fixed(0.0)).unwrap_err().to_string().contains("must be positive")));
    }
}
