//! Bags of words.

use super::library::{check_counts, check_rows_have_counts, log_shares, row_sums};
use super::{Layout, Likelihood};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::tensor::to_values;
use rand_distr::{Binomial, Distribution};
use tch::{Kind, Tensor};

/// x ~ Multinomial(n, ρ) given n = Σ_d x_d, ρ = softmax(a):
///
/// ```text
/// log p(x | z, n) = log n! − Σ_d log x_d! + Σ_d x_d log ρ_d
/// ```
///
/// Outputs are a (D). The entries are the terms x_d log ρ_d; the multinomial coefficient is that of the row. Where columns are missing, n and
/// ρ are those of the columns that are there, which is the density given their sum.
#[derive(Debug, Clone, Copy)]
pub struct Multinomial {
    /// D.
    pub columns: i64,
}

impl Likelihood for Multinomial {
    fn n_outputs(&self) -> i64 {
        self.columns
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        &batch.x * log_shares(outputs, batch.observed.as_ref())
    }

    fn log_prob_row(&self, batch: &Batch) -> Option<Tensor> {
        // log n! − Σ_d log x_d!, in f64 before it is rounded
        let x = batch.x.to_kind(Kind::Double);
        let sum = |t: &Tensor| t.sum_dim_intlist([-1].as_slice(), false, None);
        Some(((sum(&x) + 1.0).lgamma() - sum(&(x + 1.0).lgamma())).to_kind(batch.x.kind()))
    }

    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        log_shares(outputs, batch.observed.as_ref()).exp() * row_sums(&batch.x)
    }

    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
        let shares = log_shares(outputs, batch.observed.as_ref()).exp();
        let size = shares.size();
        let rows = &size[..size.len() - 1];
        let totals = to_values(&row_sums(&batch.x).squeeze_dim(-1).expand(rows, false));
        let shares = to_values(&shares);
        let mut draws = vec![0.0; shares.len()];
        let columns = self.columns as usize;
        for ((rho, draw), total) in shares.chunks(columns).zip(draws.chunks_mut(columns)).zip(totals) {
            draw_row(rho, total as u64, draw, noise);
        }
        Tensor::from_slice(&draws).view(size.as_slice()).to_kind(outputs.kind()).to_device(outputs.device())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        check_counts(batch)?;
        check_rows_have_counts(batch)
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        Some(mean.clamp_min(1e-4).log())
    }

    fn sized_columns(&self) -> Vec<Vec<i64>> {
        vec![(0..self.columns).collect()]
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout { planes: 1, depth: 1 })
    }
}

/// One column after the other: x_d given those before is binomial, with what is left of n and ρ_d over what is left of Σ ρ.
fn draw_row(rho: &[f64], n: u64, draw: &mut [f64], noise: &mut Noise) {
    let mut left = n;
    let mut share_left: f64 = rho.iter().sum();
    for (&share, x) in rho.iter().zip(draw) {
        let p = if share >= share_left { 1.0 } else { share / share_left };
        let count = Binomial::new(left, p).map_or(0, |b| b.sample(noise.rng()));
        *x = count as f64;
        left -= count;
        share_left -= share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, noise, row};

    const THREE: Multinomial = Multinomial { columns: 3 };

    fn log_prob(outputs: &Tensor, batch: &Batch) -> f64 {
        let row = THREE.log_prob_row(batch).unwrap();
        (THREE.log_prob_entries(outputs, batch).sum(Kind::Double) + row.sum(Kind::Double)).double_value(&[])
    }

    // scipy.stats.multinomial.logpmf([3, 0, 4], 7, scipy.special.softmax([0.1, -0.4, 2.0]))
    #[test]
    fn golden() {
        let value = log_prob(&row(&[0.1, -0.4, 2.0]), &Batch::new(row(&[3.0, 0.0, 4.0])));
        assert!((value - -3.6520491569735434).abs() < 1e-12, "{value}");
    }

    #[test]
    fn sums_to_one_over_all_rows_of_a_size() {
        let outputs = row(&[0.1, -0.4, 1.0]);
        let mut total = 0.0;
        for a in 0..=6 {
            for b in 0..=6 - a {
                total += log_prob(&outputs, &Batch::new(row(&[f64::from(a), f64::from(b), f64::from(6 - a - b)]))).exp();
            }
        }
        assert!((total - 1.0).abs() < 1e-13, "{total}");
    }

    #[test]
    fn gradient() {
        gradient_is_right(&THREE, &row(&[0.1, -0.4, 2.0]), &Batch::new(row(&[3.0, 0.0, 4.0])));
    }

    #[test]
    fn draws_have_the_size_and_the_mean() {
        let n = 4000;
        let batch = Batch::new(row(&[3.0, 0.0, 4.0]));
        let outputs = row(&[0.1, -0.4, 1.0]).expand([n, 3], false);
        let x = THREE.sample(&outputs, &batch, &mut noise(5));
        assert_eq!(row_sums(&x).ne(7.0).sum(Kind::Int64).int64_value(&[]), 0);
        // sd of a mean ≤ √(7/4)/√4000 = 0.021; six of them for three columns: fails with probability 6e-9
        let mean = x.mean_dim([0].as_slice(), false, None);
        agrees(&mean, &to_values(&THREE.mean(&row(&[0.1, -0.4, 1.0]), &batch)), 0.126);
    }

    #[test]
    fn columns_that_are_missing_have_no_share() {
        let mut batch = Batch::new(row(&[3.0, 0.0, 4.0]));
        batch.observed = Some(row(&[1.0, 0.0, 1.0]));
        let p = 1.0 / (1.0 + (-1.9f64).exp());
        // a binomial of 7 with 35 ways
        let expected = 35f64.ln() + 3.0 * (1.0 - p).ln() + 4.0 * p.ln();
        assert!((log_prob(&row(&[0.1, -0.4, 2.0]), &batch) - expected).abs() < 1e-12);
    }
}
