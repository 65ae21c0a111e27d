//! Overdispersed counts.

use super::library::Library;
use super::{Layout, Likelihood, columns_of, draws, softplus};
use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use lvm_core::mutant::planted;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Where the dispersion θ of counts comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispersion {
    /// One number, trained.
    Shared,
    /// A number for each column, trained: gene-wise.
    #[default]
    Columns,
    /// A number for each entry, delivered by the decoder.
    Entries,
}

/// log θ is kept within ± this: at θ = e¹⁵ the density is that of a Poisson.
const LOG_DISPERSION_LIMIT: f64 = 15.0;

/// x_d ~ NB(μ_d, θ_d), with variance μ + μ²/θ:
///
/// ```text
/// log p(x | z) = Σ_d [log Γ(x+θ) − log Γ(θ) − log x! + θ log θ/(θ+μ) + x log μ/(θ+μ)]
/// ```
///
/// Outputs are a (D), of which [`Library`] makes log μ; then log θ (D) with [`Dispersion::Entries`]; then log ℓ with [`Library::Latent`].
///
/// *Numerics*: with δ = log μ − log θ the last two terms are −θ softplus(δ) − x softplus(−δ). Computed in f64 whatever the kind of the outputs,
/// for log Γ(x+θ) − log Γ(θ) cancels when θ is large.
#[derive(Debug)]
pub struct NegativeBinomial {
    columns: i64,
    library: Library,
    /// log θ as one number or (D); `None`: the decoder delivers it.
    log_dispersion: Option<Tensor>,
}

impl NegativeBinomial {
    /// Of D columns; a trained dispersion starts at θ = 1.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, columns: i64, dispersion: Dispersion, library: Library) -> Result<Self> {
        let log_dispersion = match dispersion {
            Dispersion::Shared => Some(scope.trained("log_dispersion", &[], Start::Zero)?),
            Dispersion::Columns => Some(scope.trained("log_dispersion", &[columns], Start::Zero)?),
            Dispersion::Entries => None,
        };
        Ok(NegativeBinomial { columns, library, log_dispersion })
    }

    /// How many planes of D outputs there are.
    pub(super) fn planes(&self) -> i64 {
        if self.log_dispersion.is_some() { 1 } else { 2 }
    }

    pub(super) fn library(&self) -> Library {
        self.library
    }

    pub(super) fn columns(&self) -> i64 {
        self.columns
    }

    /// log μ (…, N, D) and log θ, as many as there are, in f64.
    pub(super) fn parameters(&self, outputs: &Tensor, batch: &Batch) -> (Tensor, Tensor) {
        let log_mean = self.library.log_mean(&outputs.narrow(-1, 0, self.columns), outputs, batch).to_kind(Kind::Double);
        let log_dispersion = match &self.log_dispersion {
            Some(shared) => shared.shallow_clone(),
            None => outputs.narrow(-1, self.columns, self.columns),
        };
        (log_mean, log_dispersion.clamp(-LOG_DISPERSION_LIMIT, LOG_DISPERSION_LIMIT).to_kind(Kind::Double))
    }

    /// μ and θ, (…, N, D) both, in f64.
    pub(super) fn means_and_dispersions(&self, outputs: &Tensor, batch: &Batch) -> (Tensor, Tensor) {
        let (log_mean, log_dispersion) = self.parameters(outputs, batch);
        let size = log_mean.size();
        (log_mean.exp(), log_dispersion.exp().expand(size, false))
    }

    pub(super) fn part(&self, start: i64, length: i64) -> Option<Self> {
        let log_dispersion = self.log_dispersion.as_ref().map(|b| columns_of(b, start, length));
        (self.library == Library::None).then_some(NegativeBinomial { columns: length, library: Library::None, log_dispersion })
    }
}

/// log NB(x; μ, θ) of every entry, all in f64.
pub(super) fn log_prob(x: &Tensor, log_mean: &Tensor, log_dispersion: &Tensor) -> Tensor {
    let theta = log_dispersion.exp();
    let delta = log_mean - log_dispersion;
    // log Γ(x+θ) − log Γ(θ) − log x! − θ log(1 + μ/θ) − x log(1 + θ/μ)
    let factorial = if planted("vae_counts_without_factorial") { x.zeros_like() } else { (x + 1.0).lgamma() };
    (x + &theta).lgamma() - theta.lgamma() - factorial - theta * softplus(&delta) - x * softplus(&-delta)
}

impl Likelihood for NegativeBinomial {
    fn n_outputs(&self) -> i64 {
        self.planes() * self.columns + self.library.n_outputs()
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let (log_mean, log_dispersion) = self.parameters(outputs, batch);
        log_prob(&batch.x.to_kind(Kind::Double), &log_mean, &log_dispersion).to_kind(outputs.kind())
    }

    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        self.parameters(outputs, batch).0.exp().to_kind(outputs.kind())
    }

    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
        let (mean, dispersion) = self.means_and_dispersions(outputs, batch);
        let draws = draws::each([&mean, &dispersion], noise, |[m, t], rng| draws::negative_binomial(m, t, rng));
        draws.to_kind(outputs.kind())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        self.library.check(batch)
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        let a = self.library.start(mean)?;
        Some(if self.planes() == 1 { a } else { Tensor::cat(&[&a, &a.zeros_like()], 0) })
    }

    fn sized_columns(&self) -> Vec<Vec<i64>> {
        self.library.sized_columns(self.columns)
    }

    fn layout(&self) -> Option<Layout> {
        (self.library.n_outputs() == 0).then_some(Layout { planes: self.planes(), depth: 1 })
    }

    fn narrow(&self, start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
        self.part(start, length).map(|part| Box::new(part) as Box<dyn Likelihood>)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, row, scoped, sums_to_one};

    pub(crate) fn entries(columns: i64, library: Library) -> NegativeBinomial {
        NegativeBinomial { columns, library, log_dispersion: None }
    }

    // mpmath at 50 digits: loggamma(x+t) - loggamma(t) - loggamma(x+1) + t*log(t/(t+m)) + x*log(m/(t+m)), t = exp([0.5, -1, 12]),
    // m = exp([0.4, -1, 9.9]), x = [0, 3, 20000]; scipy.stats.nbinom.logpmf agrees to 7e-11
    const GOLDEN: [f64; 3] = [-1.0624304802314164, -3.9509391167653707, -6.036857983851808];

    #[test]
    fn golden() {
        let outputs = row(&[0.4, -1.0, 9.9, 0.5, -1.0, 12.0]);
        let batch = Batch::new(row(&[0.0, 3.0, 20000.0]));
        // log gamma functions of 1.8e5 are 2e6, rounded to 4e-10
        agrees(&entries(3, Library::None).log_prob_entries(&outputs, &batch), &GOLDEN, 1e-8);
        let single = Batch::new(batch.x.to_kind(Kind::Float));
        // outputs round to 5e-7, which the slope in log μ, below 70, multiplies
        agrees(&entries(3, Library::None).log_prob_entries(&outputs.to_kind(Kind::Float), &single), &GOLDEN, 1e-4);
    }

    #[test]
    fn sums_to_one_and_draws_agree() {
        // θ = e^0.3, μ = 3: the tail falls by μ/(μ+θ) = 0.69 a count
        let counts: Vec<f64> = (0..200).map(f64::from).collect();
        sums_to_one(&entries(1, Library::None), &row(&[1.1, 0.3]), &counts, None);
        sums_to_one(&entries(1, Library::Latent), &row(&[1.1, 0.3, 0.9]), &counts, None);
        let shared = |kind| scoped(|scope| NegativeBinomial::new(scope, 1, kind, Library::None).unwrap());
        sums_to_one(&shared(Dispersion::Shared), &row(&[1.1]), &counts, None);
        sums_to_one(&shared(Dispersion::Columns), &row(&[1.1]), &counts, None);
    }

    #[test]
    fn gradient() {
        let batch = Batch::new(row(&[0.0, 3.0, 20.0]));
        // the second entry has μ = θ, where a softplus written with an absolute value would lose its slope
        gradient_is_right(&entries(3, Library::None), &row(&[0.4, -1.0, 2.9, 0.5, -1.0, 2.0]), &batch);
        gradient_is_right(&entries(3, Library::Observed), &row(&[0.4, -1.0, 2.9, 0.5, -1.0, 2.0]), &batch);
    }

    #[test]
    fn much_dispersion_is_a_poisson() {
        let outputs = row(&[0.4, -1.0, 2.9, 15.0, 15.0, 15.0]);
        let batch = Batch::new(row(&[0.0, 3.0, 20.0]));
        let poisson = crate::likelihood::Poisson { columns: 3, library: Library::None };
        let expected = crate::tensor::to_values(&poisson.log_prob_entries(&row(&[0.4, -1.0, 2.9]), &batch));
        // they differ by about ((x − μ)² − x)/(2θ) < 1e-5
        agrees(&entries(3, Library::None).log_prob_entries(&outputs, &batch), &expected, 1e-5);
    }
}
