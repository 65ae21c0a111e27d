//! Overdispersed counts, some of which were lost.

use super::library::Library;
use super::negative_binomial::{self, Dispersion, NegativeBinomial};
use super::{Layout, Likelihood, draws, softplus};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::Scope;
use lvm_core::mutant::planted;
use rand::RngExt;
use tch::{Kind, Tensor};

/// x_d is 0 with probability π_d, else ~ NB(μ_d, θ_d):
///
/// ```text
/// log p(0) = log[π + (1 − π) NB(0)],   log p(x) = log(1 − π) + log NB(x) for x > 0,   π = σ(l)
/// ```
///
/// Outputs are those of [`NegativeBinomial`] with the dropout logits l (D) behind the means (and dispersions), before a latent log ℓ.
/// Lopez et al. 2018, supplement.
#[derive(Debug)]
pub struct ZeroInflated {
    counts: NegativeBinomial,
}

/// The dropout logit that the decoder starts from: π = 0.05.
const START: f64 = -3.0;

impl ZeroInflated {
    /// Of D columns.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, columns: i64, dispersion: Dispersion, library: Library) -> Result<Self> {
        Ok(ZeroInflated { counts: NegativeBinomial::new(scope, columns, dispersion, library)? })
    }

    /// l, in f64.
    fn dropout(&self, outputs: &Tensor) -> Tensor {
        let columns = self.counts.columns();
        outputs.narrow(-1, self.counts.planes() * columns, columns).to_kind(Kind::Double)
    }
}

impl Likelihood for ZeroInflated {
    fn n_outputs(&self) -> i64 {
        self.counts.n_outputs() + self.counts.columns()
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let (log_mean, log_dispersion) = self.counts.parameters(outputs, batch);
        let x = batch.x.to_kind(Kind::Double);
        let counts = negative_binomial::log_prob(&x, &log_mean, &log_dispersion);
        let l = self.dropout(outputs);
        // log(1 − π) = −softplus(l);   log[π + (1 − π) NB(0)] = log(eˡ + NB(0)) − softplus(l)
        let either = match planted("vae_zero_not_inflated") {
            true => counts,
            false => l.logaddexp(&counts).where_self(&x.eq(0.0), &counts),
        };
        (either - softplus(&l)).to_kind(outputs.kind())
    }

    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        // (1 − π) μ
        let (log_mean, _) = self.counts.parameters(outputs, batch);
        ((-self.dropout(outputs)).sigmoid() * log_mean.exp()).to_kind(outputs.kind())
    }

    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
        let (mean, dispersion) = self.counts.means_and_dispersions(outputs, batch);
        let parameters = [&mean, &dispersion, &self.dropout(outputs).sigmoid()];
        let draws =
            draws::each(
                parameters,
                noise,
                |[mean, dispersion, lost], rng| {
                    if rng.random::<f64>() < lost { 0.0 } else { draws::negative_binomial(mean, dispersion, rng) }
                },
            );
        draws.to_kind(outputs.kind())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        self.counts.check(batch)
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        // (1 − π) μ is the mean where the size of the row is not given
        let kept = if self.counts.library() == Library::None { 1.0 + START.exp() } else { 1.0 };
        let counts = self.counts.start(&(mean * kept))?;
        Some(Tensor::cat(&[&counts, &mean.full_like(START)], 0))
    }

    fn sized_columns(&self) -> Vec<Vec<i64>> {
        self.counts.sized_columns()
    }

    fn layout(&self) -> Option<Layout> {
        (self.counts.library().n_outputs() == 0).then_some(Layout { planes: self.counts.planes() + 1, depth: 1 })
    }

    fn narrow(&self, start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        self.counts.part(start, length).map(|counts| Box::new(ZeroInflated { counts }) as Box<dyn Likelihood>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::negative_binomial::tests::entries;
    use crate::likelihood::proof::{agrees, gradient_is_right, row, scoped, sums_to_one};

    fn of(columns: i64, library: Library) -> ZeroInflated {
        ZeroInflated { counts: entries(columns, library) }
    }

    // t = numpy.exp([0.5, -1.0, 2.0]); m = numpy.exp([0.4, -1.0, 2.9]); p = scipy.special.expit([-1.0, 0.5, 2.0]); x = [0, 3, 20]
    // numpy.log(p*(numpy.array(x) == 0) + (1-p)*scipy.stats.nbinom.pmf(x, t, t/(t+m)))
    #[test]
    fn golden() {
        let outputs = row(&[0.4, -1.0, 2.9, 0.5, -1.0, 2.0, -1.0, 0.5, 2.0]);
        let entries = of(3, Library::None).log_prob_entries(&outputs, &Batch::new(row(&[0.0, 3.0, 20.0])));
        agrees(&entries, &[-0.650842630565546, -4.925016100945477, -5.236283583888796], 1e-12);
    }

    #[test]
    fn sums_to_one_and_draws_agree() {
        let counts: Vec<f64> = (0..200).map(f64::from).collect();
        sums_to_one(&of(1, Library::None), &row(&[1.1, 0.3, -0.4]), &counts, None);
        sums_to_one(&of(1, Library::Latent), &row(&[0.6, 0.3, -0.4, 1.1]), &counts, None);
        let columns = scoped(|scope| ZeroInflated::new(scope, 1, Dispersion::Columns, Library::None).unwrap());
        sums_to_one(&columns, &row(&[1.1, -0.4]), &counts, None);
    }

    #[test]
    fn gradient() {
        let batch = Batch::new(row(&[0.0, 3.0, 0.0]));
        gradient_is_right(&of(3, Library::None), &row(&[0.4, -1.0, 2.9, 0.5, -1.0, 2.0, -1.0, 0.0, 2.0]), &batch);
        gradient_is_right(&of(3, Library::Observed), &row(&[0.4, -1.0, 2.9, 0.5, -1.0, 2.0, -1.0, 0.0, 2.0]), &batch);
    }

    #[test]
    fn the_start_has_the_mean() {
        let likelihood = of(2, Library::None);
        let start = likelihood.start(&Tensor::from_slice(&[3.0, 0.5])).unwrap();
        agrees(&likelihood.mean(&start.unsqueeze(0), &Batch::new(row(&[0.0, 0.0]))), &[3.0, 0.5], 1e-12);
    }
}
