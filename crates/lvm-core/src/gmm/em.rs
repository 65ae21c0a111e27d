//! Maximum likelihood by expectation-maximisation.

use crate::error::{Error, Result, count};
use crate::fit::{Algorithm, Fitted, Passes, Repair, RepairKind, Step, Stopping, Watch, best_of, run_restart, unwatched};
use crate::gmm::columns::Columns;
use crate::gmm::covariance::CovarianceType;
use crate::gmm::expectation::{Expectation, Rule, check_responsibilities};
use crate::gmm::floor::Floor;
use crate::gmm::maximisation::{Parameters, Settled, maximise};
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::reseed::{place_back, reseed};
use crate::gmm::start;
use crate::gmm::statistics::Statistics;
use crate::model::LatentModel;
use crate::mutant::planted;
use crate::rows::RowSource;
use crate::sweep::check_shape;
use ndarray::Array2;

/// Where EM starts.
#[derive(Debug, Clone, Default)]
// one value a fit: its size does not matter, and a Box would be in the way of whoever writes it
#[allow(clippy::large_enum_variant)]
pub enum Start {
    /// Means by k-means++ and a few sweeps of k-means on standardised columns (of a sample, if the table is large), covariances of
    /// the clusters drawn towards their average. Of many restarts, every second from the fourth on starts as `RandomRows` does.
    #[default]
    KMeansPlusPlus,
    /// Random distinct rows as means, the covariance of the table for every component, equal weights.
    RandomRows,
    /// Responsibilities (N, K): the first M-step starts from these.
    Responsibilities(Array2<f64>),
    /// A mixture: the first E-step starts from it.
    Parameters(GaussianMixture),
    /// Where an earlier fit ended: the same iterations follow, bit for bit, and stop where they would have stopped without the
    /// interruption. How often each component was put back and which ones are held at the floor is read off the repairs of that fit,
    /// which stand in the record of this one, too, with iteration 0.
    Resume(Fitted<GaussianMixture>),
}

/// Maximum likelihood for a [`GaussianMixture`] by EM.
///
/// # Objective
/// The mean log-likelihood per row, (1/N) Σ_n w_n log Σ_k π_k N(x_n; μ_k, Σ_k), in nats. It never falls, but for rounding, except in
/// an iteration that puts a component back.
///
/// # Update
/// One iteration is an M-step from the sufficient statistics and then the E-sweep that takes those of the new parameters:
///
/// ```text
/// M:  π_k = N_k / N,   μ_k = (1/N_k) Σ_n γ_nk x_n,   Σ_k = (1/N_k) Σ_n γ_nk (x_n − μ_k)(x_n − μ_k)ᵀ       PRML 9.24–9.27
/// E:  γ_nk ∝ π_k N(x_n; μ_k, Σ_k)                                                                        PRML 9.23
/// ```
///
/// `trace[t]` is the objective of the parameters of M-step t, and the last entry that of the mixture returned. Second moments are
/// taken about the current means and, if a mean moves by more than 100 of its standard deviations, once more about its new place.
///
/// # What it needs
/// At least K rows that are not all equal, and no constant column (unless covariances are spherical or `ridge` is above zero).
/// Memory O(K D²), whatever N, beyond the data. O(N K D²) an iteration for full and tied covariances, O(N K D) for the others.
///
/// # Defaults and why
/// * `start`: k-means++, because equal or random responsibilities start near the saddle at which all components are the same.
/// * `restarts: 3`: EM climbs to the nearest optimum; of the three starts the best one is kept. Given responsibilities or
///   parameters are one start, run once.
/// * `stopping`: 1000 iterations at most, converged when the mean log-likelihood gains less than 1e-7 nats: near an optimum EM gains
///   by a factor ρ < 1 less each time, so about 1e-7 / (1 − ρ) is left, 1e-5 nats a row for a slow ρ = 0.99. That is below what
///   sampling noise makes of a mean log-likelihood of 10⁸ rows. (The often used 1e-3 stops far from the optimum.)
/// * `ridge: 0`, `floor: 1e-12`: regular data get the unregularised maximum-likelihood answer. See below.
///
/// # When it fails, and what is done
/// * A component shrinks onto a row or a plane: its covariance is held at `floor`, relative to the scales of the columns, and
///   [`RepairKind::CovarianceFloored`] tells. Such a likelihood has no maximum, so a start that needed no floor is preferred to one
///   that did, whatever their objectives. `ridge` is the remedy where none does without.
/// * A component loses its rows (N_k below 1e-10 N): it is put back at the row that is explained worst, at most three
///   times, and [`RepairKind::ComponentReseeded`] tells. That iteration does not count as converged.
///
/// # Errors
/// Settings out of range, data that can't be used, fewer rows than components, all rows equal, a constant column, a row or a
/// column without an observed entry.
///
/// # Example
/// ```
/// use lvm_core::gmm::{CovarianceType, GmmEm};
/// use ndarray::array;
/// let x = array![[0.0, 0.1], [0.2, 0.0], [0.1, 0.3], [5.0, 5.2], [5.1, 4.9], [4.8, 5.0]];
/// let em = GmmEm { components: 2, covariance: CovarianceType::Spherical, ..Default::default() };
/// let fitted = em.fit(&x, 1)?;
/// assert!((fitted.model.weights()[0] - 0.5).abs() < 1e-9);
/// assert!(fitted.repairs.is_empty());
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Dempster, Laird & Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, JRSS B 39 (1977). Ghahramani & Jordan,
/// *Supervised learning from incomplete data via an EM approach*, NIPS 6 (1994). Arthur & Vassilvitskii, *k-means++*, SODA (2007).
#[derive(Debug, Clone)]
pub struct GmmEm {
    /// K.
    pub components: usize,
    /// The shape of the covariances.
    pub covariance: CovarianceType,
    /// Where to start.
    pub start: Start,
    /// How many starts; the best is kept.
    pub restarts: usize,
    /// When to stop.
    pub stopping: Stopping,
    /// Added to the variances in every M-step, in squared units of the data.
    pub ridge: f64,
    /// The smallest variance of a component in any direction, as a share of the squared scales of the columns (at most their
    /// variances; not moved by a far outlier).
    pub floor: f64,
}

impl Default for GmmEm {
    fn default() -> Self {
        GmmEm {
            components: 1,
            covariance: CovarianceType::Full,
            start: Start::KMeansPlusPlus,
            restarts: 3,
            stopping: Stopping { max_iterations: 1000, tolerance: 1e-7 },
            ridge: 0.0,
            floor: 1e-12,
        }
    }
}

impl GmmEm {
    /// Fits the mixture to the rows of `data`.
    ///
    /// # Errors
    /// See [the type](GmmEm#errors).
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<GaussianMixture>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration and every pass of a start.
    ///
    /// # Errors
    /// See [the type](GmmEm#errors); [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) if `watch` stops the first start.
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<GaussianMixture>> {
        let restarts = match self.start {
            Start::KMeansPlusPlus | Start::RandomRows => self.restarts,
            Start::Responsibilities(_) | Start::Parameters(_) | Start::Resume(_) => self.restarts.min(1),
        };
        let columns = self.check(data)?;
        Passes::new(&mut *watch, (0, restarts), self.stopping.max_iterations).done()?;
        let mut best = best_of(restarts, |restart| {
            let run = Restart { em: self, columns: &columns, index: restart as u64 };
            run_restart(&run, data, self.stopping, seed, (restart, restarts), &mut *watch)
        })?;
        if let Start::Resume(earlier) = &self.start {
            best.repairs.splice(0..0, earlier.repairs.iter().map(|r| Repair { iteration: 0, kind: r.kind.clone() }));
        }
        Ok(best)
    }

    /// The mixture whose responsibilities restart number `restart` would begin with, for other algorithms that need a start.
    ///
    /// # Errors
    /// See [the type](GmmEm#errors); also for responsibilities as a start, which are no mixture.
    pub fn starting_mixture(&self, data: &dyn RowSource, seed: u64, restart: u64) -> Result<GaussianMixture> {
        let columns = self.check(data)?;
        let floor = Floor::new(&columns, self.floor, self.ridge);
        match self.first_expectation(data, &columns, &floor, (seed, restart), &mut self.unwatched(&mut unwatched))? {
            Expectation { mixture, rule: Rule::Posterior } => Ok(mixture),
            _ => Err(Error::config("start", "responsibilities are not the start of a mixture")),
        }
    }

    /// The passes of a start that nobody looks at.
    fn unwatched<'w>(&self, watch: Watch<'w>) -> Passes<'w> {
        Passes::new(watch, (0, 1), self.stopping.max_iterations)
    }

    /// Checks settings and data.
    fn check(&self, data: &dyn RowSource) -> Result<Columns> {
        let range = |field, value: f64| {
            if value.is_finite() && value >= 0.0 {
                return Ok(());
            }
            Err(Error::config(field, format!("{value}; it must be finite and not negative")))
        };
        if self.components == 0 {
            return Err(Error::config("components", "0 asked for, at least 1 is needed"));
        }
        if self.stopping.max_iterations == 0 {
            return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
        }
        range("tolerance", self.stopping.tolerance)?;
        range("ridge", self.ridge)?;
        if !(1e-30..1.0).contains(&self.floor) {
            return Err(Error::config("floor", format!("{}; it must be at least 1e-30 and below 1", self.floor)));
        }
        check_shape(data, None)?;
        match &self.start {
            Start::Responsibilities(given) => check_responsibilities(given, data.n_rows(), self.components, data)?,
            Start::Parameters(mixture) | Start::Resume(Fitted { model: mixture, .. }) => {
                check_shape(data, Some(mixture.dim()))?;
                if mixture.n_components() != self.components || mixture.covariance_type() != self.covariance {
                    return Err(Error::config(
                        "start",
                        format!(
                            "a mixture of {}, {}; asked for: {}, {}",
                            count(mixture.n_components(), "component"),
                            mixture.covariance_type(),
                            count(self.components, "component"),
                            self.covariance
                        ),
                    ));
                }
            }
            Start::KMeansPlusPlus | Start::RandomRows => {}
        }
        let columns = Columns::new(data, self.components)?;
        columns.check(data, self.components, self.covariance, self.ridge)?;
        Ok(columns)
    }

    /// Where the first responsibilities come from.
    fn first_expectation(
        &self,
        data: &dyn RowSource,
        columns: &Columns,
        floor: &Floor,
        (seed, restart): (u64, u64),
        passes: &mut Passes<'_>,
    ) -> Result<Expectation> {
        Ok(match &self.start {
            Start::Parameters(mixture) | Start::Resume(Fitted { model: mixture, .. }) => {
                Expectation { mixture: mixture.clone(), rule: Rule::Posterior }
            }
            Start::Responsibilities(_) => {
                let centres = columns.mean.broadcast((self.components, data.n_cols()));
                // invariant: a vector broadcasts to rows of its own length
                let mixture = start::reference(columns, centres.expect("rows of D numbers").to_owned())?;
                Expectation { mixture, rule: Rule::Given }
            }
            Start::KMeansPlusPlus if !(restart >= VARIED && restart % 2 == 1) => {
                start::kmeans(self, data, columns, floor, (seed, restart), passes)?
            }
            Start::KMeansPlusPlus | Start::RandomRows => start::random_rows(self, data, columns, floor, (seed, restart), passes)?,
        })
    }

    /// The responsibilities to start from, if those were given.
    fn given(&self) -> Option<&Array2<f64>> {
        match &self.start {
            Start::Responsibilities(given) => Some(given),
            _ => None,
        }
    }

    /// The first state.
    fn begin(&self, data: &dyn RowSource, columns: &Columns, stream: (u64, u64), passes: &mut Passes<'_>) -> Result<GmmState> {
        let floor = Floor::new(columns, self.floor, self.ridge);
        let expectation = self.first_expectation(data, columns, &floor, stream, passes)?;
        let statistics = expectation.gather(data, self.covariance, None, self.given())?;
        passes.done()?;
        let k = self.components;
        let mut state =
            GmmState { columns: columns.clone(), floor, expectation, statistics, floored: vec![false; k], reseeded: vec![0; k] };
        if let Start::Resume(earlier) = &self.start {
            earlier.repairs.iter().for_each(|repair| state.remember(&repair.kind));
        }
        Ok(state)
    }

    /// M-step, with statistics taken again if a mean has moved far, and with dead components put back.
    fn maximise(&self, state: &mut GmmState, data: &dyn RowSource) -> Result<(GaussianMixture, Vec<RepairKind>)> {
        let threshold = DEAD * state.columns.weight;
        let dead: Vec<usize> = (0..self.components).filter(|&k| state.statistics.counts[k] < threshold).collect();
        let before = &state.expectation.mixture;
        let mut settled = maximise(&state.statistics, before.means().view(), &dead, self.ridge, &state.floor).settle(&state.floor)?;
        if settled.moved_far {
            let centres = settled.mixture.means().view();
            let statistics = state.expectation.gather(data, self.covariance, Some(centres), self.given())?;
            settled = maximise(&statistics, centres, &dead, self.ridge, &state.floor).settle(&state.floor)?;
        }
        let Settled { mut mixture, floored, .. } = settled;
        let mut repairs = Vec::new();
        if !dead.is_empty() {
            let mut parameters = Parameters::of(&mixture);
            let (back, given_up): (Vec<usize>, Vec<usize>) = dead.into_iter().partition(|&k| state.reseeded[k] < RESEEDINGS);
            place_back(&mut parameters, &given_up, before);
            if !back.is_empty() {
                let placed = reseed(&mut parameters, &back, data, &state.columns.mean)?;
                repairs.extend(placed.into_iter().map(|(component, row)| RepairKind::ComponentReseeded { component, row }));
            }
            mixture = parameters.mixture()?;
        }
        for (component, floor) in floored.into_iter().enumerate() {
            // reported once, not again while the component stays where it is
            if let Some(floor) = floor
                && !state.floored[component]
            {
                repairs.push(RepairKind::CovarianceFloored { component, floor });
            }
        }
        repairs.iter().for_each(|repair| state.remember(repair));
        Ok((mixture, repairs))
    }
}

/// A component is dead when its share of the rows is less than this: far less than a row of any table in memory, and far more than what
/// rounding makes of the mean and covariance of so little.
const DEAD: f64 = 1e-10;

/// From this restart on every second one starts at random rows: k-means ends in few different places, and where three starts from
/// there were not enough, another kind of start finds more than the same again (spherical and tied mixtures of wine and breast cancer
/// gain 0.03 to 0.12 nats a row).
const VARIED: u64 = 3;

/// How often one component is put back before it is given up.
const RESEEDINGS: u32 = 3;

/// What changes between iterations of [`GmmEm`].
#[derive(Debug, Clone)]
pub struct GmmState {
    columns: Columns,
    floor: Floor,
    /// Where the statistics come from; after an iteration, the posterior of the current mixture.
    expectation: Expectation,
    /// About the means of that mixture.
    statistics: Statistics,
    /// Components whose covariance needed the floor since they were last put somewhere (K).
    floored: Vec<bool>,
    /// How often each component was put back (K).
    reseeded: Vec<u32>,
}

impl GmmState {
    /// What a repair changes in what is known of its component: all of the state that is not in the parameters, so that a list of
    /// repairs brings it back.
    fn remember(&mut self, repair: &RepairKind) {
        match *repair {
            RepairKind::ComponentReseeded { component, .. } if component < self.reseeded.len() => {
                self.reseeded[component] += 1;
                self.floored[component] = false;
            }
            RepairKind::CovarianceFloored { component, .. } if component < self.floored.len() => self.floored[component] = true,
            _ => {}
        }
    }
}

impl<'d> Algorithm<dyn RowSource + 'd> for GmmEm {
    type State = GmmState;
    type Output = GaussianMixture;

    fn init(&self, data: &(dyn RowSource + 'd), seed: u64) -> Result<GmmState> {
        self.init_watched(data, seed, &mut self.unwatched(&mut unwatched))
    }

    fn init_watched(&self, data: &(dyn RowSource + 'd), seed: u64, passes: &mut Passes<'_>) -> Result<GmmState> {
        let columns = self.check(data)?;
        self.begin(data, &columns, (seed, 0), passes)
    }

    fn resumed_at(&self) -> Option<f64> {
        match &self.start {
            Start::Resume(earlier) => earlier.trace.last().copied(),
            _ => None,
        }
    }

    fn step(&self, state: &mut GmmState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        let stale = planted("gmm_stale_objective").then_some(state.statistics.log_likelihood);
        let (mixture, repairs) = self.maximise(state, data)?;
        state.expectation = Expectation { mixture, rule: Rule::Posterior };
        state.statistics = state.expectation.gather(data, self.covariance, None, None)?;
        let objective = stale.unwrap_or(state.statistics.log_likelihood) / state.statistics.weight;
        Ok(Step { objective, converged: false, repairs })
    }

    fn finish(&self, state: GmmState) -> Result<GaussianMixture> {
        match state.expectation.rule {
            Rule::Posterior => Ok(state.expectation.mixture),
            Rule::Hard | Rule::Given => Err(Error::config("max_iterations", "no iteration was done, so there is no mixture yet")),
        }
    }
}

/// One start of several.
struct Restart<'a> {
    em: &'a GmmEm,
    columns: &'a Columns,
    index: u64,
}

impl<'d> Algorithm<dyn RowSource + 'd> for Restart<'_> {
    type State = GmmState;
    type Output = GaussianMixture;

    fn init(&self, data: &(dyn RowSource + 'd), seed: u64) -> Result<GmmState> {
        self.init_watched(data, seed, &mut self.em.unwatched(&mut unwatched))
    }

    fn init_watched(&self, data: &(dyn RowSource + 'd), seed: u64, passes: &mut Passes<'_>) -> Result<GmmState> {
        self.em.begin(data, self.columns, (seed, self.index), passes)
    }

    fn resumed_at(&self) -> Option<f64> {
        Algorithm::<dyn RowSource + 'd>::resumed_at(self.em)
    }

    fn step(&self, state: &mut GmmState, data: &(dyn RowSource + 'd)) -> Result<Step> {
        self.em.step(state, data)
    }

    fn finish(&self, state: GmmState) -> Result<GaussianMixture> {
        Algorithm::<dyn RowSource + 'd>::finish(self.em, state)
    }
}
