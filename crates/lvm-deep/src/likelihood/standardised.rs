//! A density of standardised columns, in the units of the data.

use super::{Layout, Likelihood, columns_of};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::Scope;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// What columns are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The standard deviation of each column.
    #[default]
    Columns,
    /// One number for all: the root of the mean variance. What is a shared variance in the new units is one in the old.
    Table,
}

/// y_d = (x_d − a_d)/s_d has the inner density: log p(x | z) = log p(y | z) − Σ_d log s_d.
///
/// Training is in units in which columns are of order one, whatever the data's; evidence, means and draws are in the data's. Location a and
/// scale s come from the training rows and are saved with the model; until they are set they are 0 and 1.
pub struct Standardised {
    inner: Box<dyn Likelihood>,
    unit: Unit,
    /// a (D).
    location: Tensor,
    /// s (D).
    scale: Tensor,
}

impl Standardised {
    /// Around a density of D columns.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, columns: i64, inner: Box<dyn Likelihood>, unit: Unit) -> Result<Self> {
        let options = (scope.kind(), scope.device());
        let location = scope.fixed("location", &Tensor::zeros([columns], options))?;
        let scale = scope.fixed("scale", &Tensor::ones([columns], options))?;
        Ok(Standardised { inner, unit, location, scale })
    }

    fn inner_batch(&self, batch: &Batch) -> Batch {
        let copy = |t: &Option<Tensor>| t.as_ref().map(Tensor::shallow_clone);
        Batch {
            x: (&batch.x - &self.location) / &self.scale,
            observed: copy(&batch.observed),
            condition: copy(&batch.condition),
            weights: copy(&batch.weights),
        }
    }
}

impl Likelihood for Standardised {
    fn n_outputs(&self) -> i64 {
        self.inner.n_outputs()
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        self.inner.log_prob_entries(outputs, &self.inner_batch(batch)) - self.scale.log()
    }

    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        self.inner.mean(outputs, &self.inner_batch(batch)) * &self.scale + &self.location
    }

    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
        self.inner.sample(outputs, &self.inner_batch(batch), noise) * &self.scale + &self.location
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        self.inner.check(&self.inner_batch(batch))
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        self.inner.start(&((mean - &self.location) / &self.scale))
    }

    fn standardise(&self, mean: &Tensor, sd: &Tensor) {
        tch::no_grad(|| {
            self.location.shallow_clone().copy_(mean);
            let scale = match self.unit {
                Unit::Columns => sd.where_self(&sd.gt(0.0), &sd.ones_like()),
                Unit::Table => sd.square().mean(None::<Kind>).sqrt().expand_as(sd),
            };
            self.scale.shallow_clone().copy_(&scale);
        });
    }

    fn sized_columns(&self) -> Vec<Vec<i64>> {
        self.inner.sized_columns()
    }

    fn layout(&self) -> Option<Layout> {
        self.inner.layout()
    }

    fn narrow(&self, start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        let part = |t: &Tensor| columns_of(t, start, length);
        let inner = self.inner.narrow(start, length)?;
        Some(Box::new(Standardised { inner, unit: self.unit, location: part(&self.location), scale: part(&self.scale) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, integrates_to_one, row, scoped};
    use crate::likelihood::{Gaussian, gaussian::Variance};

    fn of(columns: i64, unit: Unit, mean: &[f64], sd: &[f64]) -> Standardised {
        let standardised = scoped(|scope| {
            let inner = Gaussian::new(&mut scope.at("inner"), columns, Variance::Fixed(0.25)).unwrap();
            Standardised::new(scope, columns, Box::new(inner), unit).unwrap()
        });
        standardised.standardise(&Tensor::from_slice(mean), &Tensor::from_slice(sd));
        standardised
    }

    // scipy.stats.norm.logpdf([110.0, -0.5], [100 + 20 * 0.2, 0.1], [20 * 0.5, 3 * 0.5])
    #[test]
    fn is_a_density_in_the_units_of_the_data() {
        let standardised = of(2, Unit::Columns, &[100.0, 0.1], &[20.0, 3.0]);
        let batch = Batch::new(row(&[110.0, -0.5]));
        agrees(&standardised.log_prob_entries(&row(&[0.2, 0.0]), &batch), &[-3.401523626198719, -1.404403641312837], 1e-13);
        agrees(&standardised.mean(&row(&[0.2, 0.0]), &batch), &[104.0, 0.1], 1e-13);
        gradient_is_right(&standardised, &row(&[0.2, 0.0]), &batch);
        integrates_to_one(&of(1, Unit::Columns, &[0.3], &[1.5]), &row(&[0.3]));
    }

    #[test]
    fn one_unit_for_a_table_is_the_root_of_the_mean_variance() {
        let standardised = of(2, Unit::Table, &[0.0, 0.0], &[3.0, 4.0]);
        agrees(&standardised.mean(&row(&[2.0, 2.0]), &Batch::new(row(&[0.0, 0.0]))), &[2.0 * 12.5f64.sqrt(); 2], 1e-13);
    }
}
