//! Counts without overdispersion.

use super::library::Library;
use super::{Layout, Likelihood, draws};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use tch::{Kind, Tensor};

/// x_d ~ Poisson(μ_d): log p(x | z) = Σ_d [x_d log μ_d − μ_d − log x_d!].
///
/// Outputs are a (D), of which [`Library`] makes log μ.
///
/// *Numerics*: written with u = log μ − log x as x (u − (eᵘ − 1)) + c(x), c(x) = x log x − x − log x!, so that nothing large cancels: in f32
/// the error is about 10⁻⁷ |x − μ|, where x log μ − log x! would lose 10⁻⁷ x log x.
#[derive(Debug, Clone, Copy)]
pub struct Poisson {
    /// D.
    pub columns: i64,
    /// The size of a row.
    pub library: Library,
}

impl Poisson {
    fn log_mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        self.library.log_mean(&outputs.narrow(-1, 0, self.columns), outputs, batch)
    }
}

impl Likelihood for Poisson {
    fn n_outputs(&self) -> i64 {
        self.columns + self.library.n_outputs()
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let x = &batch.x;
        let at_least_one = x.clamp_min(1.0);
        let u = self.log_mean(outputs, batch) - at_least_one.log();
        // x ≥ 1: x u − x (eᵘ − 1) + c(x);   x = 0: u = log μ and −μ = −(eᵘ − 1) − 1
        x * &u - &at_least_one * u.expm1() - (&at_least_one - x) + constant(x)
    }

    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        self.log_mean(outputs, batch).exp()
    }

    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
        draws::each([&self.mean(outputs, batch)], noise, |[mean], rng| draws::poisson(mean, rng))
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        self.library.check(batch)
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        self.library.start(mean)
    }

    fn sized_columns(&self) -> Vec<Vec<i64>> {
        self.library.sized_columns(self.columns)
    }

    fn layout(&self) -> Option<Layout> {
        (self.library.n_outputs() == 0).then_some(Layout { planes: 1, depth: 1 })
    }

    fn narrow(&self, _start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        (self.library == Library::None).then(|| Box::new(Poisson { columns: length, ..*self }) as Box<dyn Likelihood>)
    }
}

/// c(x) = x log x − x − log x!, in f64 before it is rounded.
fn constant(x: &Tensor) -> Tensor {
    let wide = x.to_kind(Kind::Double);
    (wide.xlogy(&wide) - &wide - (&wide + 1.0).lgamma()).to_kind(x.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, row, sums_to_one};

    const PLAIN: Poisson = Poisson { columns: 3, library: Library::None };

    // scipy.stats.poisson.logpmf([0, 3, 20000], numpy.exp([0.4, -1.0, 9.9])), the last digits of the third by mpmath
    #[test]
    fn golden() {
        let entries = PLAIN.log_prob_entries(&row(&[0.4, -1.0, 9.9]), &Batch::new(row(&[0.0, 3.0, 20000.0])));
        agrees(&entries, &GOLDEN, 1e-10);
    }

    const GOLDEN: [f64; 3] = [-1.4918246976412703, -5.159638910399497, -5.992175428989803];

    #[test]
    fn single_precision_keeps_large_counts() {
        let single = |t: Tensor| t.to_kind(Kind::Float);
        let batch = Batch::new(single(row(&[0.0, 3.0, 20000.0])));
        let outputs = single(row(&[0.4, -1.0, 9.9]));
        // outputs and log x round to 6e-8 · 10, which (x − μ) = 70 multiplies: 5e-5
        agrees(&PLAIN.log_prob_entries(&outputs, &batch), &GOLDEN, 1e-4);
    }

    #[test]
    fn sums_to_one_for_every_library() {
        let counts: Vec<f64> = (0..60).map(f64::from).collect();
        let one = |library| Poisson { columns: 1, library };
        sums_to_one(&one(Library::None), &row(&[1.1]), &counts, None);
        sums_to_one(&one(Library::Exposure(0)), &row(&[0.6]), &counts, Some(row(&[0.5])));
        sums_to_one(&one(Library::Condition(0)), &row(&[0.6]), &counts, Some(row(&[1.5])));
        sums_to_one(&one(Library::Latent), &row(&[0.6, 1.3]), &counts, None);
    }

    #[test]
    fn gradient() {
        let batch = Batch::new(row(&[0.0, 3.0, 20.0]));
        gradient_is_right(&PLAIN, &row(&[0.4, -1.0, 2.9]), &batch);
        gradient_is_right(&Poisson { library: Library::Observed, ..PLAIN }, &row(&[0.4, -1.0, 2.9]), &batch);
        gradient_is_right(&Poisson { library: Library::Latent, ..PLAIN }, &row(&[0.4, -1.0, 2.9, 2.0]), &batch);
    }

    #[test]
    fn the_size_of_a_row_is_shared_out_over_the_columns_that_are_there() {
        let likelihood = Poisson { library: Library::Observed, ..PLAIN };
        let mut batch = Batch::new(row(&[4.0, 0.0, 2.0]));
        batch.observed = Some(row(&[1.0, 0.0, 1.0]));
        let shares = [0.5f64, 0.25, 0.25];
        let mean = likelihood.mean(&row(&shares.map(f64::ln)), &batch);
        // ℓ = 6 over shares that sum to 3/4
        agrees(&mean, &[4.0, 2.0, 2.0], 1e-12);
    }

    #[test]
    fn what_is_no_count_is_refused() {
        let refuse = |x: [f64; 3], library| Poisson { library, ..PLAIN }.check(&Batch::new(row(&x))).unwrap_err().to_string();
        assert!(refuse([0.0, -1.0, 2.0], Library::None).contains("value -1 in row 0, column 1"));
        assert!(refuse([0.0, 1.0, 2.5], Library::None).contains("value 2.5 in row 0, column 2"));
        assert!(refuse([0.0, 0.0, 0.0], Library::Observed).contains("leave empty rows out"));
        assert!(refuse([0.0, 1.0, 0.0], Library::Condition(0)).contains("the condition has 0 columns"));
    }
}
