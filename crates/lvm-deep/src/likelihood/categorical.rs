//! Columns of codes.

use super::{Layout, Likelihood, first_where};
use crate::data::Batch;
use crate::error::{ErrorKind, Result};
use crate::noise::Noise;
use tch::{Kind, Tensor};

/// x_d ∈ {0, …, K−1} with logits a_d(z) of K codes: log p(x | z) = Σ_d [a_d,x_d − log Σ_k e^{a_dk}].
///
/// Outputs are (D, K), the logits of a column together. The mean is that of the codes as numbers; see also
/// [`probabilities`](Self::probabilities).
#[derive(Debug, Clone, Copy)]
pub struct Categorical {
    /// D.
    pub columns: i64,
    /// K, of every column.
    pub codes: i64,
}

impl Categorical {
    /// log p(x_d = k | z), (…, N, D, K).
    pub fn log_probabilities(&self, outputs: &Tensor) -> Tensor {
        let mut size = outputs.size();
        size.pop();
        outputs.reshape([size.as_slice(), &[self.columns, self.codes]].concat()).log_softmax(-1, None)
    }

    /// p(x_d = k | z), (…, N, D, K).
    pub fn probabilities(&self, outputs: &Tensor) -> Tensor {
        self.log_probabilities(outputs).exp()
    }
}

impl Likelihood for Categorical {
    fn n_outputs(&self) -> i64 {
        self.columns * self.codes
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let log_probabilities = self.log_probabilities(outputs);
        // outputs may be the same for all rows, (…, 1, P)
        let leading = outputs.dim() - 2;
        let rows = [&outputs.size()[..leading], batch.x.size().as_slice()].concat();
        let index = batch.x.to_kind(Kind::Int64).expand(rows.as_slice(), false).unsqueeze(-1);
        log_probabilities.expand([rows.as_slice(), &[self.codes]].concat(), false).gather(-1, &index, false).squeeze_dim(-1)
    }

    fn mean(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        // Σ_k k p_k
        let codes = Tensor::arange(self.codes, (outputs.kind(), outputs.device()));
        (self.probabilities(outputs) * codes).sum_dim_intlist([-1].as_slice(), false, None)
    }

    fn mode(&self, outputs: &Tensor, _batch: &Batch) -> Tensor {
        self.log_probabilities(outputs).argmax(-1, false).to_kind(outputs.kind())
    }

    fn sample(&self, outputs: &Tensor, _batch: &Batch, noise: &mut Noise) -> Tensor {
        // the number of codes whose cumulative probability is not above u
        let cumulative = self.probabilities(outputs).cumsum(-1, Kind::Double);
        let mut size = cumulative.size();
        size.pop();
        let u = noise.uniform(&size).to_kind(Kind::Double).unsqueeze(-1);
        let code = cumulative.le_tensor(&u).sum_dim_intlist([-1].as_slice(), false, outputs.kind());
        code.clamp_max((self.codes - 1) as f64)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let x = &batch.x;
        let bad = x.lt(0.0).logical_or(&x.ge(self.codes as f64)).logical_or(&x.ne_tensor(&x.floor()));
        match first_where(&bad, x) {
            None => Ok(()),
            Some((row, column, value)) => {
                let allowed = "whole codes from 0 up to one less than the number of codes: recode the column, or raise `codes`";
                Err(ErrorKind::OutsideSupport { row, column, value, allowed }.into())
            }
        }
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        // a mean code says what the probabilities are only where there are two
        (self.codes == 2).then(|| {
            let logit = mean.clamp(0.001, 0.999).logit(None);
            Tensor::stack(&[&logit.zeros_like(), &logit], -1).view([-1])
        })
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout { planes: 1, depth: self.codes })
    }

    fn narrow(&self, _start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        Some(Box::new(Categorical { columns: length, codes: self.codes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, row, sums_to_one};

    const TWO: Categorical = Categorical { columns: 2, codes: 3 };

    // scipy.special.log_softmax([[0.1, -0.4, 2.0], [50.0, 0.0, -1.0]], 1)[[0, 1], [2, 1]]
    #[test]
    fn golden() {
        let entries = TWO.log_prob_entries(&row(&[0.1, -0.4, 2.0, 50.0, 0.0, -1.0]), &Batch::new(row(&[2.0, 1.0])));
        agrees(&entries, &[-0.21534245978042232, -50.0], 1e-13);
    }

    #[test]
    fn sums_to_one_and_draws_agree() {
        sums_to_one(&Categorical { columns: 1, codes: 4 }, &row(&[0.1, -0.4, 1.0, 0.3]), &[0.0, 1.0, 2.0, 3.0], None);
    }

    #[test]
    fn gradient() {
        gradient_is_right(&TWO, &row(&[0.1, -0.4, 2.0, 0.0, 0.0, -1.0]), &Batch::new(row(&[2.0, 1.0])));
    }

    #[test]
    fn draws_of_latents_stand_before_rows() {
        let outputs = Tensor::stack(&[&row(&[0.1, -0.4, 2.0, 0.0, 0.0, -1.0]), &row(&[0.0; 6])], 0);
        let entries = TWO.log_prob_entries(&outputs, &Batch::new(row(&[2.0, 1.0])));
        assert_eq!(entries.size(), [2, 1, 2]);
        agrees(&entries.select(0, 1), &[-(3f64.ln()); 2], 1e-14);
    }

    #[test]
    fn two_codes_start_at_the_mean() {
        let two = Categorical { columns: 2, codes: 2 };
        let start = two.start(&Tensor::from_slice(&[0.2, 0.7])).unwrap();
        agrees(&two.mean(&start.unsqueeze(0), &Batch::new(row(&[0.0, 0.0]))), &[0.2, 0.7], 1e-14);
    }

    #[test]
    fn codes_out_of_range_are_refused() {
        for (x, text) in [([0.0, 3.0], "value 3 in row 0, column 1"), ([-1.0, 0.0], "value -1"), ([0.5, 0.0], "value 0.5")] {
            let error = TWO.check(&Batch::new(row(&x))).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("recode"), "{error}");
        }
    }
}
