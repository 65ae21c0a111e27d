//! The stochastic fit: from a start and a target to the averaged optimum, its ELBO, and the error that the optimiser has left.

mod minibatch;
mod remaining;
mod stage;

pub use remaining::RemainingError;
pub use stage::{State, Stopping};

use crate::estimator::Gradient;
use crate::optimizer::{Geometry, Optimizer};
use crate::target::{DataLogDensity, LogDensityGrad};
use lvm_core::bound::Estimate;
use lvm_core::fit::{self, Algorithm, Fitted, Step, Watch};
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, Result};
use minibatch::Batches;
use rand::Rng;

/// Stochastic variational inference by gradients: λ ← λ + ρ ∇̂ELBO(λ) until the average of the iterates is known well enough.
///
/// *Objective* ELBO(λ) = E_q\[log p(z, data) − log q(z; λ)\], maximised.
///
/// *Update* one step of `optimizer` along `gradient`, estimated from `draws` draws.
///
/// *End* Iterates of a constant step settle in a stationary distribution around the optimum. A stage ends when four windows of the last
/// half of its iterates do not differ (R-hat as a test), their effective number is large and the standard error of their mean is small
/// in units of q's standard deviations. The next stage has a quarter of the step. The means of two stages differ by three times what
/// the step still displaces the last one; that displacement and the standard errors are the reported [`RemainingError`]. The run has
/// converged when it
/// is below `stopping.tolerance` and fresh draws find no gradient at the average that would contradict it (Dhaka et al. 2020;
/// Welandawe et al. 2022).
///
/// *Returns* the averaged iterate, never the last one.
///
/// *Panics* of the target are not caught: they unwind through the fit to whoever called it. A target that can't be evaluated somewhere
/// says so by [`TargetError`](crate::target::TargetError).
///
/// *Fails* where the draws of the gradient have no finite variance, on improper targets, and on a start from which no draw has a
/// density: never silently, the status is then `MaxIterations` or there is an error.
///
/// ```
/// use lvm_vi::{expectation::GaussianTarget, family::{Family, MeanField}, fit::Vi};
/// let p = GaussianTarget::from_precision(ndarray::array![1.0, 2.0], ndarray::array![[4.0, 1.0], [1.0, 1.0]])?;
/// let fitted = Vi::new(MeanField::standard(2)?).fit(&p, 1)?;
/// assert_eq!(fitted.status, lvm_core::fit::Status::Converged);
/// assert!((fitted.model.q.mean()[0] - 1.0).abs() < 0.05 * 0.5);
/// assert!(fitted.model.error.largest() < 0.05);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Vi<F> {
    /// The first q; it also says which family.
    pub start: F,
    /// The estimator of the gradient.
    pub gradient: Gradient,
    /// Draws of each estimate.
    pub draws: usize,
    /// How the gradient becomes a step.
    pub optimizer: Optimizer,
    /// When to stop.
    pub stopping: Stopping,
    /// Runs, the first from `start`, the others from starts whose means are drawn from it; the one with the largest ELBO is the answer,
    /// and the others stand beside it in [`Optimum::restarts`].
    pub restarts: usize,
    /// Fresh draws for the ELBO reported.
    pub elbo_draws: usize,
}

/// What a fit ends with.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimum<F> {
    /// The averaged iterate.
    pub q: F,
    /// Its ELBO by fresh draws, in nats; also the last entry of the trace.
    pub elbo: Estimate,
    /// How far q still is from the best member of the family.
    pub error: RemainingError,
    /// Stages completed, each with a quarter of the step of the one before.
    pub stages: usize,
    /// Draws left out because the target had no finite value or gradient there.
    pub skipped_draws: usize,
    /// Steps left out because no draw was usable or the step was not finite.
    pub skipped_steps: u64,
    /// The averaged iterates of all restarts that had one, in order, this one's among them; empty for a single run. Where they differ,
    /// [`Diagnose::run_optimum`](crate::diagnose::Diagnose::run_optimum) says so.
    pub restarts: Vec<F>,
}

/// Where the target of a step comes from.
trait Source: Sync {
    /// Calls `with` on the target of step `step`.
    fn target(&self, seed: u64, step: u64, with: &mut dyn FnMut(&dyn LogDensityGrad) -> Result<()>) -> Result<()>;

    /// The target by all the data.
    fn whole(&self) -> &dyn LogDensityGrad;
}

/// A target that is the same at every step.
struct Whole<'a, T>(&'a T);

impl<T: LogDensityGrad> Source for Whole<'_, T> {
    fn target(&self, _seed: u64, _step: u64, with: &mut dyn FnMut(&dyn LogDensityGrad) -> Result<()>) -> Result<()> {
        with(self.0)
    }

    fn whole(&self) -> &dyn LogDensityGrad {
        self.0
    }
}

impl<F: Geometry> Vi<F> {
    /// Defaults around a start: ten pathwise draws a step, natural gradient, one run.
    pub fn new(start: F) -> Self {
        Vi {
            start,
            gradient: Gradient::default(),
            draws: 10,
            optimizer: Optimizer::default(),
            stopping: Stopping::default(),
            restarts: 1,
            elbo_draws: 1000,
        }
    }

    /// The best q of the family for `target`.
    ///
    /// # Errors
    /// If the configuration is unusable, dimensions disagree, the target fails for good, or no draw from the start has a density.
    pub fn fit<T: LogDensityGrad>(&self, target: &T, seed: u64) -> Result<Fitted<Optimum<F>>> {
        self.fit_watched(target, seed, &mut fit::unwatched)
    }

    /// As [`Vi::fit`], told of every step; its objective is the noisy estimate of that step.
    ///
    /// # Errors
    /// As [`Vi::fit`].
    pub fn fit_watched<T: LogDensityGrad>(&self, target: &T, seed: u64, watch: Watch<'_>) -> Result<Fitted<Optimum<F>>> {
        self.run(&Whole(target), seed, watch)
    }

    /// As [`Vi::fit`], each step by a batch of `batch` rows: every epoch goes through all rows once in an order of its own, and the last
    /// batch is shorter where `batch` does not divide N.
    ///
    /// # Errors
    /// As [`Vi::fit`]; if `batch` is 0 or larger than N.
    pub fn fit_minibatch<T: DataLogDensity>(&self, target: &T, batch: usize, seed: u64) -> Result<Fitted<Optimum<F>>> {
        self.fit_minibatch_watched(target, batch, seed, &mut fit::unwatched)
    }

    /// As [`Vi::fit_minibatch`], told of every step.
    ///
    /// # Errors
    /// As [`Vi::fit_minibatch`].
    pub fn fit_minibatch_watched<T: DataLogDensity>(
        &self,
        target: &T,
        batch: usize,
        seed: u64,
        watch: Watch<'_>,
    ) -> Result<Fitted<Optimum<F>>> {
        self.run(&Batches::new(target, batch)?, seed, watch)
    }

    /// The state before the first step, to be stored, resumed and finished by hand.
    ///
    /// # Errors
    /// As [`Vi::fit`].
    pub fn init<T: LogDensityGrad>(&self, target: &T, seed: u64) -> Result<State<F>> {
        Algorithm::init(self, &Whole(target), seed)
    }

    /// One step; a state that was stored and read back goes on bit for bit.
    ///
    /// # Errors
    /// As [`Vi::fit`].
    pub fn step<T: LogDensityGrad>(&self, state: &mut State<F>, target: &T) -> Result<Step> {
        Algorithm::step(self, state, &Whole(target))
    }

    /// The state before the first step of a run by batches of `batch` rows, as [`Vi::init`].
    ///
    /// # Errors
    /// As [`Vi::fit_minibatch`].
    pub fn init_minibatch<T: DataLogDensity>(&self, target: &T, batch: usize, seed: u64) -> Result<State<F>> {
        Algorithm::init(self, &Batches::new(target, batch)?, seed)
    }

    /// One step by a batch; the rows of a step follow from its number and the seed, so that a state that was stored and read back goes on
    /// bit for bit, with the same `batch`.
    ///
    /// # Errors
    /// As [`Vi::fit_minibatch`].
    pub fn step_minibatch<T: DataLogDensity>(&self, state: &mut State<F>, target: &T, batch: usize) -> Result<Step> {
        Algorithm::step(self, state, &Batches::new(target, batch)?)
    }

    /// The averaged q of a state, or the present one where nothing is averaged yet.
    ///
    /// # Errors
    /// If the state is of another family.
    pub fn average(&self, state: &State<F>) -> Result<F> {
        self.start.with_parameters(&state.average())
    }

    fn run<S: Source>(&self, source: &S, seed: u64, watch: Watch<'_>) -> Result<Fitted<Optimum<F>>> {
        if self.elbo_draws == 0 {
            return Err(Error::config("elbo_draws", "0 is too few; at least 1 is needed"));
        }
        let stopping = fit::Stopping { max_iterations: self.stopping.max_iterations, tolerance: 0.0 };
        let mut all = Vec::new();
        let mut best = fit::best_of(self.restarts, |restart| {
            let (vi, run_seed) = self.restarted(restart, seed)?;
            let mut fitted = fit::run_restart(&vi, source, stopping, run_seed, (restart, self.restarts), watch)?;
            let judged = if planted("elbo_of_the_start") { &vi.start } else { &fitted.model.q };
            fitted.model.elbo = crate::bound::elbo(judged, source.whole(), self.elbo_draws, run_seed)?;
            if self.restarts > 1 {
                all.push(fitted.model.q.clone());
            }
            // the last entry belongs to the q returned, the average
            if let Some(last) = fitted.trace.last_mut() {
                *last = fitted.model.elbo.mean;
            }
            Ok(fitted)
        })?;
        best.seed = seed;
        best.model.restarts = all;
        Ok(best)
    }

    /// The configuration and the seed of a restart.
    fn restarted(&self, restart: usize, seed: u64) -> Result<(Self, u64)> {
        let mut vi = self.clone();
        if restart == 0 {
            return Ok((vi, seed));
        }
        let mut rng = stream(seed, Purpose::Start, restart as u64);
        let mut parameters = self.start.parameters().to_vec();
        let d = self.start.dim();
        self.start.sample(&mut rng, &mut parameters[..d]);
        vi.start = self.start.with_parameters(&parameters)?;
        Ok((vi, rng.next_u64()))
    }
}

impl<F: Geometry, S: Source> Algorithm<S> for Vi<F> {
    type State = State<F>;
    type Output = Optimum<F>;

    fn init(&self, source: &S, seed: u64) -> Result<State<F>> {
        State::new(self, source, seed)
    }

    fn step(&self, state: &mut State<F>, source: &S) -> Result<Step> {
        state.advance(self, source)
    }

    fn finish(&self, state: State<F>) -> Result<Optimum<F>> {
        Ok(Optimum {
            q: self.average(&state)?,
            // estimated by the caller, who has the target
            elbo: Estimate::from_draws(&[]),
            error: state.remaining(self)?,
            stages: state.stages(),
            skipped_draws: state.skipped_draws,
            skipped_steps: state.skipped_steps(),
            restarts: Vec::new(),
        })
    }
}
