//! What a user writes: a conjugate model by its natural parameters.

use super::exponential_family::{ExponentialFamily, same_length};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Block, Merge, Plan, check_shape, sweep};
use lvm_core::{Error, ErrorKind, Result};

/// A model with global latents θ and, for each row, local latents z_n (or none), conjugate given each other.
///
/// # Model
/// ```text
/// p(θ) = h(θ) exp(η₀ᵀ t(θ) − A(η₀))
/// log p(x_n, z_n | θ) = t(θ)ᵀ s(x_n, z_n) + log h(x_n, z_n)          Hoffman, Blei, Wang & Paisley 2013, section 2
/// q(θ) Π_n q(z_n),   q(θ) = h(θ) exp(ηᵀ t(θ) − A(η))
/// ```
///
/// # Symbols
/// | symbol | meaning | in the code | shape |
/// |---|---|---|---|
/// | η₀ | natural parameters of the prior | [`prior`](Self::prior) | (P) |
/// | A, ∇A, t | the family of θ | [`family`](Self::family) | |
/// | E\[t\] | E_q\[t(θ)\], all that q(θ) is to a row | `expected` | (P) |
/// | E\[s_n\] | expected statistics of row n after its local step | `statistics` of [`LocalSums::add`] | (P) |
/// | F_n | local bound of row n | `bound` of [`LocalSums::add`] | |
///
/// The ELBO is Σ_n w_n F_n − KL(q(θ) ‖ p(θ)) with
///
/// ```text
/// F_n = E[t]ᵀ E[s_n] + E[log h(x_n, z_n)] + H[q(z_n)],   largest over q(z_n)
/// ```
///
/// which is log ∫ exp(E\[t\]ᵀ s(x_n, z)) h(x_n, z) dz at the optimum, and where there is no z_n log p(x_n | θ) with E\[t\] in the place of
/// t(θ). Weights of rows w_n, the scale N/B of a minibatch, the prior's own statistics and the divergence are put in by the library.
/// [`check_statistics`](super::check_statistics) finds statistics and bounds that do not belong together.
///
/// A row may be a document or a group: whatever of its latents is not global is its own.
///
/// # Example
/// ```
/// use lvm_core::{Result, conjugate::GammaPoisson, dist::Gamma, special::lgamma, sweep::Block};
/// use lvm_vi::cavi::conjugate::{ConjugateAscent, ConjugateModel, ExponentialFamily, Factor, LocalSums, Natural};
/// use ndarray::array;
/// /// λ ~ Gamma(a, b), x_n ~ Poisson(λ); t(λ) = (log λ, −λ).
/// struct Counts(Gamma);
/// impl ConjugateModel for Counts {
///     fn family(&self) -> &dyn ExponentialFamily {
///         &Factor::Gamma
///     }
///     fn prior(&self) -> Vec<f64> {
///         self.0.natural()
///     }
///     fn n_cols(&self) -> usize {
///         1
///     }
///     // log p(x | λ) = x log λ − λ − log x!
///     fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
///         for (n, x) in rows.column(0).iter().enumerate() {
///             sums.add(n, x * expected[0] + expected[1] - lgamma(x + 1.0), [(0, *x), (1, 1.0)])?;
///         }
///         Ok(())
///     }
/// }
/// let (prior, x) = (Gamma::new(2.0, 1.0)?, array![[3.0], [4.0]]);
/// let fitted = ConjugateAscent::new(&Counts(prior)).fit(&x, 0)?;
/// let exact = GammaPoisson { rate: prior };
/// assert_eq!(Gamma::from_natural(&fitted.model)?, exact.posterior(x.column(0))?.rate);
/// // the ELBO of the posterior is the log evidence
/// assert!((2.0 * fitted.objective() - exact.log_evidence(x.column(0))?).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Hoffman, Blei, Wang & Paisley, *Stochastic variational inference*, JMLR 14 (2013), section 2. Ghahramani & Beal, *Propagation algorithms
/// for variational Bayesian learning*, NIPS 13 (2001).
pub trait ConjugateModel: Sync {
    /// The family of q(θ) and p(θ).
    fn family(&self) -> &dyn ExponentialFamily;

    /// η₀ (P).
    fn prior(&self) -> Vec<f64>;

    /// D, the columns of the tables it is for.
    fn n_cols(&self) -> usize;

    /// The local step for a block of rows: finds q(z_n) under `expected` = E\[t\] (P), and adds every row once, in order.
    ///
    /// Entries of the block are finite, unless the source says that NaN means missing; then the model integrates them out or fails.
    ///
    /// # Errors
    /// Those of [`LocalSums::add`], and the model's own: data outside the support, say.
    fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()>;
}

/// Where a model adds what its rows come to; the weight of each row is put in here.
pub struct LocalSums<'a> {
    totals: &'a mut Totals,
    rows: &'a Block<'a>,
    next: usize,
}

impl LocalSums<'_> {
    /// Adds row `row` of the block: its bound F_n, and the entries of E\[s_n\] that are not zero as (index, value).
    ///
    /// # Errors
    /// If another row was to come next, an index is beyond the statistics, or a number is not finite.
    pub fn add(&mut self, row: usize, bound: f64, statistics: impl IntoIterator<Item = (usize, f64)>) -> Result<()> {
        if row != self.next || row >= self.rows.n_rows() {
            let (next, rows) = (self.next, self.rows.n_rows());
            return Err(Error::config("row", format!("{row} added where {next} of a block of {rows} was next: each once, in order")));
        }
        let number = self.rows.row_number(row);
        if !bound.is_finite() {
            return Err(Error::config("bound", format!("{bound} in row {number} (from 0): the local bound must be finite")));
        }
        let weight = self.rows.weights().map_or(1.0, |w| w[row]);
        let expected = self.totals.statistics.len();
        for (index, value) in statistics {
            let Some(sum) = self.totals.statistics.get_mut(index) else {
                return Err(ErrorKind::Shape { what: "length of the sufficient statistics", expected, found: index + 1 }.into());
            };
            if !value.is_finite() {
                let message = format!("entry {index} is {value} in row {number} (both from 0): expected statistics must be finite");
                return Err(Error::config("statistics", message));
            }
            *sum += weight * value;
        }
        self.totals.bound += weight * bound;
        self.totals.weight += weight;
        self.next += 1;
        Ok(())
    }
}

/// Sums over rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Totals {
    /// Σ_n w_n E\[s_n\] (P).
    pub(super) statistics: Vec<f64>,
    /// Σ_n w_n F_n.
    pub(super) bound: f64,
    /// Σ_n w_n.
    pub(super) weight: f64,
}

impl Merge for Totals {
    fn merge(&mut self, other: Self) {
        self.statistics.iter_mut().zip(other.statistics).for_each(|(a, b)| *a += b);
        self.bound += other.bound;
        self.weight += other.weight;
    }
}

impl Totals {
    /// The local step of all rows under q(θ; η).
    pub(super) fn under<M: ConjugateModel + ?Sized>(model: &M, data: &dyn RowSource, natural: &[f64]) -> Result<Totals> {
        Self::at(model, data, &model.family().expected_statistics(natural)?)
    }

    /// The local step of all rows under E\[t\].
    pub(super) fn at<M: ConjugateModel + ?Sized>(model: &M, data: &dyn RowSource, expected: &[f64]) -> Result<Totals> {
        check_shape(data, Some(model.n_cols()))?;
        same_length(model.family().dim(), expected.len())?;
        let p = expected.len();
        let new = || Totals { statistics: vec![0.0; p], bound: 0.0, weight: 0.0 };
        sweep(data, Plan::new(data.n_cols(), 8 * (p + 2)), new, |totals, rows| {
            let mut sums = LocalSums { totals, rows, next: 0 };
            model.local(expected, rows, &mut sums)?;
            match sums.next == rows.n_rows() {
                true => Ok(()),
                false => Err(Error::config("local", format!("the model added {} of the {} rows of a block", sums.next, rows.n_rows()))),
            }
        })
    }

    /// As [`under`](Self::under), for all the data: some row must be there.
    pub(super) fn of_all<M: ConjugateModel + ?Sized>(model: &M, data: &dyn RowSource, natural: &[f64]) -> Result<Totals> {
        let totals = Self::under(model, data, natural)?;
        if totals.weight > 0.0 { Ok(totals) } else { Err(ErrorKind::NoWeight.into()) }
    }

    /// The ELBO of q(θ; η) under which these sums were made, in nats.
    pub(super) fn elbo<M: ConjugateModel + ?Sized>(&self, model: &M, natural: &[f64]) -> Result<f64> {
        Ok(self.bound - model.family().kl(natural, &model.prior())?)
    }

    /// η̂ = η₀ + scale Σ_n w_n E\[s_n\].
    pub(super) fn update<M: ConjugateModel + ?Sized>(&self, model: &M, scale: f64) -> Result<Vec<f64>> {
        let mut natural = model.prior();
        natural.iter_mut().zip(&self.statistics).for_each(|(eta, s)| *eta += scale * s);
        model.family().check(&natural)?;
        Ok(natural)
    }
}

/// The ELBO of q(θ; η) with the best local factors, all rows together, in nats, every constant counted.
///
/// # Errors
/// If η is outside the domain, the data can't be read or have another number of columns, or the local step fails.
pub fn elbo<M: ConjugateModel + ?Sized>(model: &M, data: &dyn RowSource, natural: &[f64]) -> Result<f64> {
    Totals::of_all(model, data, natural)?.elbo(model, natural)
}
