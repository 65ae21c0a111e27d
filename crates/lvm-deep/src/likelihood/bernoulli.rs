//! Zeros and ones.

use super::{Layout, Likelihood, first_where};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use lvm_core::ErrorKind;
use tch::{Reduction, Tensor};

/// x_d ∈ {0, 1} with logit a_d(z): log p(x | z) = Σ_d [x_d a_d − log(1 + e^{a_d})].
#[derive(Debug, Clone, Copy)]
pub struct Bernoulli {
    /// D.
    pub columns: i64,
}

impl Likelihood for Bernoulli {
    fn n_outputs(&self) -> i64 {
        self.columns
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        // x a − log(1 + eᵃ) = log σ(a) − (1 − x) a, of which libtorch knows the gradient x − σ(a) in one piece
        let (outputs, x) = match outputs.size() == batch.x.size() {
            true => (outputs.shallow_clone(), batch.x.shallow_clone()),
            false => {
                let mut both = Tensor::broadcast_tensors(&[outputs, &batch.x]);
                let x = both.swap_remove(1);
                (both.swap_remove(0), x)
            }
        };
        -outputs.binary_cross_entropy_with_logits(&x, None::<&Tensor>, None::<&Tensor>, Reduction::None)
    }

    fn log_prob_everywhere(&self, outputs: &Tensor, batch: &Batch) -> Option<Tensor> {
        // Σ_d [x log σ(a) + (1 − x) log σ(−a)]: nothing cancels
        let one = outputs.squeeze_dim(-2).log_sigmoid();
        let zero = (-outputs.squeeze_dim(-2)).log_sigmoid();
        Some(one.matmul(&batch.x.tr()) + zero.matmul(&(1.0_f64 - &batch.x).tr()))
    }

    fn mean(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        outputs.sigmoid()
    }

    fn mode(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        outputs.gt(0.0).to_kind(outputs.kind())
    }

    fn sample(&self, outputs: &Tensor, _batch: &Batch, noise: &mut Noise) -> Tensor {
        noise.uniform(&outputs.size()).less_tensor(&outputs.sigmoid()).to_kind(outputs.kind())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let bad = batch.x.ne(0.0).logical_and(&batch.x.ne(1.0));
        match first_where(&bad, &batch.x) {
            None => Ok(()),
            Some((row, column, value)) => {
                Err(ErrorKind::OutsideSupport { row, column, value, allowed: "0 or 1: binarise the table, or choose another likelihood" }
                    .into())
            }
        }
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        // Burda's start: the logit of the mean, kept away from 0 and 1
        Some(mean.clamp(0.001, 0.999).logit(None))
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout { planes: 1, depth: 1 })
    }

    fn narrow(&self, _start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        Some(Box::new(Bernoulli { columns: length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, row, sums_to_one};

    // scipy.stats.bernoulli.logpmf([1, 0, 1], scipy.special.expit([0.3, -2.0, 40.0])); 1 − σ(40) needs log1p(e^40)
    #[test]
    fn golden() {
        let likelihood = Bernoulli { columns: 3 };
        let entries = likelihood.log_prob_entries(&row(&[0.3, -2.0, 40.0]), &Batch::new(row(&[1.0, 0.0, 1.0])));
        agrees(&entries, &[-0.5543552444685271, -0.12692801104297252, -4.248354255291589e-18], 1e-15);
        let far = likelihood.log_prob_entries(&row(&[0.3, -2.0, 40.0]), &Batch::new(row(&[1.0, 0.0, 0.0])));
        agrees(&far.narrow(-1, 2, 1), &[-40.0], 1e-14);
    }

    #[test]
    fn outputs_of_all_rows_give_the_sums_of_entries() {
        let likelihood = Bernoulli { columns: 3 };
        let outputs = Tensor::from_slice(&[0.3, -2.0, 40.0, -800.0, 1e-3, 5.0]).view([2, 1, 3]);
        let batch = Batch::new(Tensor::from_slice(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]).view([3, 3]));
        let one_by_one = likelihood.log_prob_entries(&outputs, &batch).sum_dim_intlist([-1].as_slice(), false, None);
        let together = likelihood.log_prob_everywhere(&outputs, &batch).unwrap();
        assert_eq!(together.size(), [2, 3]);
        agrees(&together, &crate::tensor::to_values(&one_by_one), 1e-12);
    }

    #[test]
    fn sums_to_one_and_draws_agree() {
        sums_to_one(&Bernoulli { columns: 1 }, &row(&[0.7]), &[0.0, 1.0], None);
    }

    #[test]
    fn gradient() {
        // 0 is where log(1 + eᵃ) written with an absolute value would lose its slope
        gradient_is_right(&Bernoulli { columns: 3 }, &row(&[0.0, -2.0, 3.0]), &Batch::new(row(&[1.0, 0.0, 0.0])));
    }

    #[test]
    fn grey_pixels_are_refused() {
        let error = Bernoulli { columns: 2 }.check(&Batch::new(row(&[1.0, 0.5]))).unwrap_err().to_string();
        assert!(error.contains("row 0, column 1") && error.contains("0.5") && error.contains("binarise"), "{error}");
    }
}
