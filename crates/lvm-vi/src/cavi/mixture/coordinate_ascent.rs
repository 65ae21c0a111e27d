//! Coordinate ascent for the Bayesian Gaussian mixture.

use super::elbo::ElboParts;
use super::model::BayesianMixtureModel;
use super::prior::{ComponentPrior, PriorSettings, Scale};
use super::weights::WeightPrior;
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, best_of, run_restart, unwatched};
use lvm_core::gmm::{CovarianceType, GaussianMixture, GmmEm, QuadraticScores, ResponsibilitySums, SecondMoments, Start};
use lvm_core::mutant::planted;
use lvm_core::rows::RowSource;
use lvm_core::sweep::check_shape;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array2, Axis};

/// Where the ascent starts.
#[derive(Debug, Clone, Default)]
// one value a fit: its size does not matter
#[allow(clippy::large_enum_variant)]
pub enum MixtureStart {
    /// As [`GmmEm`] does by default: k-means++ on standardised columns; every second restart from the fourth on at random rows.
    #[default]
    KMeansPlusPlus,
    /// Random distinct rows as means.
    RandomRows,
    /// Responsibilities (N, K): the first update of the parameters is made from these.
    Responsibilities(Array2<f64>),
    /// The responsibilities under a Gaussian mixture.
    Mixture(GaussianMixture),
    /// Those of a fitted model. A fit that continues so goes through the same iterations as one without the interruption, bit for bit.
    Posterior(BayesianMixtureModel),
}

/// Mean-field variational Bayes for a [`BayesianMixtureModel`] by coordinate ascent.
///
/// # Objective
/// The ELBO, per row (divided by the total weight) in nats, of q(π) q(μ, Λ) and the responsibilities that are best for them; all
/// constants are in it, so it can be compared between K, and with K = 1 it is the log evidence. It never falls, but for rounding.
/// `trace[t]` belongs to the parameters after update t, the last entry to those returned.
///
/// # Update
/// ```text
/// q(π), q(μ, Λ) from N_k, Σ γ x, Σ γ x xᵀ                     PRML 10.58–10.63; Blei & Jordan 2006 for sticks
/// γ_nk ∝ exp(E[log π_k] + E[log N(x_n; μ_k, Λ_k⁻¹)])          PRML 10.46, 10.64–10.66
/// ```
///
/// With sticks, components are put in descending order of N_k where that raises the bound: the order is a choice of q too.
///
/// # What it needs
/// Complete rows. O(N K D²) an iteration (O(N K D) for diagonal covariances) in one pass over the rows; memory O(K D²), whatever N.
///
/// # Defaults and why
/// * `weights`: a Dirichlet process with concentration 1, cut off at `components`: K need only be large enough.
/// * `prior`: one row's worth of belief in the mean and covariance of the table ([`PriorSettings`]), so units do not matter.
/// * `restarts: 3` from k-means++: the ascent ends in the nearest optimum. `stopping`: below 1e-7 nats a row, as for EM.
///
/// # When it fails
/// * Superfluous components empty slowly: a bound that stands still for dozens of iterations may still have a component to lose.
///   Set `tolerance` lower if the number of components matters.
/// * Mean field makes γ and the parameters independent: posterior variances are too small where components overlap.
///
/// # Errors
/// Settings out of range, data that can't be used, missing entries; for starts by k-means fewer rows than components, all rows equal or
/// a constant column.
///
/// # Example
/// ```
/// use lvm_vi::cavi::mixture::{BayesianMixture, WeightPrior};
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((80, 1), |(i, _)| if i % 2 == 0 { 0.0 } else { 5.0 } + (i as f64).sin());
/// let vb = BayesianMixture { components: 4, weights: WeightPrior::Dirichlet { concentration: 0.01 }, ..Default::default() };
/// let fitted = vb.fit(&x, 1)?;
/// // two of four components have kept rows
/// assert_eq!(fitted.model.weights().iter().filter(|w| **w > 0.05).count(), 2);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// As for [`BayesianMixtureModel`].
#[derive(Debug, Clone)]
pub struct BayesianMixture {
    /// K, or for a Dirichlet process where it is cut off.
    pub components: usize,
    /// Full or diagonal.
    pub covariance: CovarianceType,
    /// The prior of the weights.
    pub weights: WeightPrior,
    /// The prior of means and precisions.
    pub prior: PriorSettings,
    /// Where to start.
    pub start: MixtureStart,
    /// How many starts; the best is kept.
    pub restarts: usize,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for BayesianMixture {
    fn default() -> Self {
        BayesianMixture {
            components: 1,
            covariance: CovarianceType::Full,
            weights: WeightPrior::default(),
            prior: PriorSettings::default(),
            start: MixtureStart::KMeansPlusPlus,
            restarts: 3,
            stopping: Stopping { max_iterations: 1000, tolerance: 1e-7 },
        }
    }
}

/// What changes between iterations of [`BayesianMixture`].
#[derive(Debug, Clone)]
pub struct BayesianMixtureState {
    prior: ComponentPrior,
    /// Of the responsibilities that are best for `model`; before the first iteration those of the start.
    sums: ResponsibilitySums,
    model: Option<BayesianMixtureModel>,
    parts: Option<ElboParts>,
}

impl BayesianMixtureState {
    /// The parts of the ELBO after the last update of the parameters, still with the responsibilities from before it; none before the
    /// first iteration. (The objective has the new responsibilities, so it lies between this and the next.)
    pub fn elbo_before_responsibilities(&self) -> Option<ElboParts> {
        self.parts
    }

    /// The model as it stands; none before the first iteration.
    pub fn model(&self) -> Option<&BayesianMixtureModel> {
        self.model.as_ref()
    }
}

impl BayesianMixtureState {
    /// Puts the components in the order that is best for their weights, and updates q(π) and q(μ, Λ).
    pub(super) fn updated(&mut self, weights: WeightPrior) -> Result<BayesianMixtureModel> {
        if let Some(order) = weights.better_order(&self.sums.counts) {
            self.sums = reordered(&self.sums, &order);
        }
        BayesianMixtureModel::update(weights, &self.prior, &self.sums)
    }
}

impl BayesianMixture {
    /// Fits the model to the rows of `data`.
    ///
    /// # Errors
    /// See [the type](BayesianMixture#errors).
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<BayesianMixtureModel>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration.
    ///
    /// # Errors
    /// See [the type](BayesianMixture#errors).
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<BayesianMixtureModel>> {
        let prior = self.check(data)?;
        let random = matches!(self.start, MixtureStart::KMeansPlusPlus | MixtureStart::RandomRows) && self.components > 1;
        let restarts = if random { self.restarts } else { self.restarts.min(1) };
        best_of(restarts, |restart| {
            let run = Restart { ascent: self, prior: &prior, index: restart as u64 };
            run_restart(&run, data, self.stopping, seed, (restart, restarts), &mut *watch)
        })
    }

    /// Checks settings and data, and completes the prior.
    pub(super) fn check(&self, data: &dyn RowSource) -> Result<ComponentPrior> {
        if self.components == 0 {
            return Err(Error::config("components", "0 asked for, at least 1 is needed"));
        }
        if self.stopping.max_iterations == 0 {
            return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
        }
        if !(self.stopping.tolerance >= 0.0 && self.stopping.tolerance.is_finite()) {
            return Err(Error::config("tolerance", format!("{}; it must be finite and not negative", self.stopping.tolerance)));
        }
        self.weights.check()?;
        match &self.start {
            MixtureStart::Posterior(model) => {
                check_shape(data, Some(model.components().dim()))?;
                let diagonal = matches!(model.components().scale_inverse(), SecondMoments::Diagonal(_));
                if model.n_components() != self.components || diagonal != (self.covariance == CovarianceType::Diagonal) {
                    return Err(Error::config("start", "a model of another number of components or another covariance"));
                }
                if model.weight_prior() != self.weights {
                    return Err(Error::config("start", "a model with another prior of the weights"));
                }
                // a fit continues under the prior it began with
                if self.prior == PriorSettings::default() { Ok(model.prior().clone()) } else { self.prior.resolve(data, self.covariance) }
            }
            _ => self.prior.resolve(data, self.covariance),
        }
    }

    /// The first state.
    pub(super) fn begin(&self, data: &dyn RowSource, prior: &ComponentPrior, seed: u64, restart: u64) -> Result<BayesianMixtureState> {
        let em = |start| GmmEm { components: self.components, covariance: self.covariance, start, ..Default::default() };
        let under = |mixture: &GaussianMixture| QuadraticScores::of(mixture)?.sums(data);
        let sums = match &self.start {
            MixtureStart::Responsibilities(given) => self.given(data, prior, given)?,
            MixtureStart::Posterior(model) => model.scores()?.sums(data)?,
            MixtureStart::Mixture(mixture) => {
                if mixture.n_components() != self.components || mixture.covariance_type() != self.covariance {
                    return Err(Error::config("start", "a mixture of another number of components or another covariance"));
                }
                under(mixture)?
            }
            // nothing to choose
            _ if self.components == 1 => self.given(data, prior, &Array2::ones((data.n_rows(), 1)))?,
            MixtureStart::KMeansPlusPlus => under(&em(Start::KMeansPlusPlus).starting_mixture(data, seed, restart)?)?,
            MixtureStart::RandomRows => under(&em(Start::RandomRows).starting_mixture(data, seed, restart)?)?,
        };
        if sums.weight <= 0.0 {
            return Err(ErrorKind::NoWeight.into());
        }
        Ok(BayesianMixtureState { prior: prior.clone(), sums, model: None, parts: None })
    }

    /// Sums of given responsibilities about the prior's mean; once more about the components' means, which may be far from it.
    fn given(&self, data: &dyn RowSource, prior: &ComponentPrior, given: &Array2<f64>) -> Result<ResponsibilitySums> {
        let diagonal = matches!(prior.scale_inverse(), Scale::Diagonal(_));
        // invariant: a vector broadcasts to rows of its own length
        let centres = prior.mean().broadcast((self.components, prior.dim())).expect("rows of D numbers").to_owned();
        let rough = ResponsibilitySums::given(data, given, centres, diagonal)?;
        let counts = (&rough.counts + prior.mean_precision()).insert_axis(Axis(1));
        ResponsibilitySums::given(data, given, &rough.centres + &(&rough.first / &counts), diagonal)
    }

    /// One iteration: parameters from sums, then the sums of their responsibilities.
    fn advance(&self, state: &mut BayesianMixtureState, data: &dyn RowSource) -> Result<f64> {
        let model = state.updated(self.weights)?;
        let parts = model.parts(&state.sums)?;
        state.parts = Some(parts);
        state.sums = model.scores()?.sums(data)?;
        // Σ_n log Σ_k ρ_nk is what the responsibilities' own terms come to at their optimum
        let total = if planted("vb_stale_elbo") { parts.total() } else { state.sums.log_normaliser - model.kl()? };
        let objective = total / state.sums.weight;
        state.model = Some(model);
        Ok(objective)
    }
}

/// The sums of components in another order.
fn reordered(sums: &ResponsibilitySums, order: &[usize]) -> ResponsibilitySums {
    ResponsibilitySums {
        centres: sums.centres.select(Axis(0), order),
        counts: sums.counts.select(Axis(0), order),
        first: sums.first.select(Axis(0), order),
        second: match &sums.second {
            SecondMoments::Full(s) => SecondMoments::Full(s.select(Axis(0), order)),
            SecondMoments::Diagonal(s) => SecondMoments::Diagonal(s.select(Axis(0), order)),
        },
        ..*sums
    }
}

impl<'d> Algorithm<dyn RowSource + 'd> for BayesianMixture {
    type State = BayesianMixtureState;
    type Output = BayesianMixtureModel;

    fn init(&self, data: &(dyn RowSource + 'd), seed: u64) -> Result<BayesianMixtureState> {
        let prior = self.check(data)?;
        self.begin(data, &prior, seed, 0)
    }

    fn step(&self, state: &mut BayesianMixtureState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        Ok(Step { objective: self.advance(state, data)?, ..Default::default() })
    }

    fn finish(&self, state: BayesianMixtureState) -> Result<BayesianMixtureModel> {
        state.model.ok_or_else(|| Error::config("max_iterations", "no iteration was done, so there is no model"))
    }
}

/// One restart of a fit whose prior is already known.
struct Restart<'a> {
    ascent: &'a BayesianMixture,
    prior: &'a ComponentPrior,
    index: u64,
}

impl<'d> Algorithm<dyn RowSource + 'd> for Restart<'_> {
    type State = BayesianMixtureState;
    type Output = BayesianMixtureModel;

    fn init(&self, data: &(dyn RowSource + 'd), seed: u64) -> Result<BayesianMixtureState> {
        self.ascent.begin(data, self.prior, seed, self.index)
    }

    fn step(&self, state: &mut BayesianMixtureState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        self.ascent.step(state, data)
    }

    fn finish(&self, state: BayesianMixtureState) -> Result<BayesianMixtureModel> {
        self.ascent.finish(state)
    }
}
