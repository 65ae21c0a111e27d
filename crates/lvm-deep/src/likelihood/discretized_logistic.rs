//! Grey levels.

use super::{Layout, Likelihood, columns_of, first_where};
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use lvm_core::mutant::planted;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Where the scale s of a logistic density comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// One number, trained.
    Shared,
    /// A number for each column, trained.
    #[default]
    Columns,
    /// A number for each entry, delivered by the decoder.
    Entries,
}

/// log s is kept within ± this: at s = e⁻¹⁰ all but nothing lies in one of 256 bins.
const LOG_SCALE_LIMIT: f64 = 10.0;

/// Where a scale starts: a standard deviation of a quarter of the range.
const START: f64 = -2.0;

/// A logistic density with location μ and scale s, cut into G levels x = 0, 1/(G−1), …, 1 with bins of half width h = ½/(G−1):
///
/// ```text
/// log p(x | z) = Σ_d log[σ((x + h − μ)/s) − σ((x − h − μ)/s)]
/// ```
///
/// where the first bin is open to the left (second term 0) and the last to the right (first term 1). Outputs are μ (D), then log s (D) with
/// [`Scale::Entries`]. Kingma et al. 2016, appendix; Salimans et al. 2017, eq. 2.
///
/// *Numerics*: σ(b) − σ(a) = σ(b) σ(−a) (1 − e^{a−b}), whose logarithm cancels nowhere.
#[derive(Debug)]
pub struct DiscretizedLogistic {
    columns: i64,
    levels: i64,
    /// log s as one number or (D); `None`: the decoder delivers it.
    log_scale: Option<Tensor>,
}

impl DiscretizedLogistic {
    /// Of D columns with G levels, 256 for bytes divided by 255.
    ///
    /// # Errors
    /// If there are less than two levels, or the name is taken.
    pub fn new(scope: &mut Scope<'_>, columns: i64, levels: i64, scale: Scale) -> Result<Self> {
        if levels < 2 {
            return Err(Error::config("levels", format!("is {levels}; at least 2 are needed (256 for bytes divided by 255)")));
        }
        let log_scale = match scale {
            Scale::Shared => Some(scope.trained("log_scale", &[], Start::Constant(START))?),
            Scale::Columns => Some(scope.trained("log_scale", &[columns], Start::Constant(START))?),
            Scale::Entries => None,
        };
        Ok(DiscretizedLogistic { columns, levels, log_scale })
    }

    /// μ and log s.
    fn parameters(&self, outputs: &Tensor) -> (Tensor, Tensor) {
        let log_scale = match &self.log_scale {
            Some(shared) => shared.shallow_clone(),
            None => outputs.narrow(-1, self.columns, self.columns),
        };
        (outputs.narrow(-1, 0, self.columns), log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT))
    }

    /// G − 1.
    fn steps(&self) -> f64 {
        (self.levels - 1) as f64
    }
}

impl Likelihood for DiscretizedLogistic {
    fn n_outputs(&self) -> i64 {
        if self.log_scale.is_some() { self.columns } else { 2 * self.columns }
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let (mean, log_scale) = self.parameters(outputs);
        let precision = (-log_scale).exp();
        let half = 0.5 / self.steps();
        let centred = &batch.x - mean;
        let below_upper = ((&centred + half) * &precision).log_sigmoid();
        let above_lower = ((half - centred) * &precision).log_sigmoid();
        // log(1 − e^{−2h/s})
        let width = (-(precision * (-2.0 * half)).expm1()).log();
        let kind = outputs.kind();
        let closed = if planted("vae_levels_end_closed") { half } else { 0.0 };
        let not_first = batch.x.ge(half - closed).to_kind(kind);
        let not_last = batch.x.le(1.0 - half).to_kind(kind);
        below_upper * &not_last + above_lower * &not_first + width * not_first * not_last
    }

    fn mean(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        let (mean, log_scale) = self.parameters(outputs);
        let precision = (-log_scale).exp();
        // E[x] = Σ_{g ≥ 1} p(x ≥ g/(G−1))/(G−1), the sum of one term after the other: all levels at once would take G times the memory
        let mut sum = mean.zeros_like();
        for level in 1..self.levels {
            sum += ((&mean - (level as f64 - 0.5) / self.steps()) * &precision).sigmoid();
        }
        sum / self.steps()
    }

    fn sample(&self, outputs: &Tensor, _batch: &Batch, noise: &mut Noise) -> Tensor {
        let (mean, log_scale) = self.parameters(outputs);
        let u = noise.uniform(&mean.size());
        // μ + s logit u, rounded to the next level
        let x = mean + log_scale.exp() * (u.log() - (-u).log1p());
        (x * self.steps()).round().clamp(0.0, self.steps()) / self.steps()
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let level = &batch.x * self.steps();
        // 1e-3 of a level: what rounding of x to f32 may do to it
        let bad = (&level - level.round()).abs().gt(1e-3).logical_or(&batch.x.lt(0.0)).logical_or(&batch.x.gt(1.0));
        match first_where(&bad, &batch.x) {
            None => Ok(()),
            Some((row, column, value)) => {
                let allowed =
                    "grey levels between 0 and 1 in equal steps, such as bytes divided by 255: divide by the largest, or set `levels`";
                Err(ErrorKind::OutsideSupport { row, column, value, allowed }.into())
            }
        }
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        Some(match &self.log_scale {
            Some(_) => mean.shallow_clone(),
            None => Tensor::cat(&[mean, &mean.full_like(START)], 0),
        })
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout { planes: if self.log_scale.is_some() { 1 } else { 2 }, depth: 1 })
    }

    fn narrow(&self, start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        let log_scale = self.log_scale.as_ref().map(|s| columns_of(s, start, length));
        Some(Box::new(DiscretizedLogistic { columns: length, levels: self.levels, log_scale }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, row, scoped, sums_to_one};
    use tch::Kind;

    fn entries(columns: i64) -> DiscretizedLogistic {
        DiscretizedLogistic { columns, levels: 256, log_scale: None }
    }

    // mpmath at 200 digits, h = 1/510: log(σ((x+h-m)/s) - σ((x-h-m)/s)), x = [0, 100/255, 1, 200/255], m = [.1, .4, .7, .1], s = exp([-2, -3, -1, -6]);
    // the first without its second term, the third with 1 as its first
    const GOLDEN: [f64; 4] = [-1.119567277416655, -3.9338825595505145, -1.1781180843909675, -275.51092702157723];

    #[test]
    fn golden() {
        let outputs = row(&[0.1, 0.4, 0.7, 0.1, -2.0, -3.0, -1.0, -6.0]);
        let batch = Batch::new(row(&[0.0, 100.0 / 255.0, 1.0, 200.0 / 255.0]));
        agrees(&entries(4).log_prob_entries(&outputs, &batch), &GOLDEN, 1e-12);
        // (x − μ)/s = 276 is rounded to 6e-8 of it, and so is log p: 3e-5
        let single = Batch::new(batch.x.to_kind(Kind::Float));
        agrees(&entries(4).log_prob_entries(&outputs.to_kind(Kind::Float), &single), &GOLDEN, 1e-4);
    }

    #[test]
    fn sums_to_one_and_draws_agree() {
        let levels: Vec<f64> = (0..256).map(|g| f64::from(g) / 255.0).collect();
        for (mean, log_scale) in [(0.4, -3.0), (0.02, -2.0), (1.1, -1.0), (0.5, -6.0)] {
            sums_to_one(&entries(1), &row(&[mean, log_scale]), &levels, None);
        }
        let few = scoped(|scope| DiscretizedLogistic::new(scope, 1, 4, Scale::Columns).unwrap());
        sums_to_one(&few, &row(&[0.4]), &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0], None);
        let shared = scoped(|scope| DiscretizedLogistic::new(scope, 1, 256, Scale::Shared).unwrap());
        sums_to_one(&shared, &row(&[0.4]), &levels, None);
    }

    #[test]
    fn gradient() {
        let batch = Batch::new(row(&[0.0, 100.0 / 255.0, 1.0, 200.0 / 255.0]));
        gradient_is_right(&entries(4), &row(&[0.1, 0.4, 0.7, 0.6, -2.0, -3.0, -1.0, -4.0]), &batch);
    }

    #[test]
    fn bytes_that_were_not_divided_are_refused() {
        for x in [[0.0, 17.0], [0.0, 0.5], [-0.1, 0.0]] {
            let error = entries(2).check(&Batch::new(row(&x))).unwrap_err().to_string();
            assert!(error.contains("bytes divided by 255"), "{error}");
        }
        let bytes = Tensor::arange(256, (Kind::Float, tch::Device::Cpu)).view([1, -1]) / 255.0;
        entries(256).check(&Batch::new(bytes)).unwrap();
    }
}
