//! One loop for every iterative algorithm: it owns convergence, traces, progress and cancellation.
//!
//! An algorithm is a configuration; its state is one value; its result is whole or absent. Not converging is a [`Status`], never an
//! error; an objective that is not finite is an error.

use crate::error::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;

mod passes;
mod repair;
mod restarts;
mod resumed;

pub use passes::Passes;
pub use repair::{Repair, RepairKind};
pub use restarts::best_of;
pub(crate) use resumed::Resumed;

/// An iterative algorithm, seen by [`run`].
pub trait Algorithm<D: ?Sized> {
    /// Everything that changes between iterations.
    type State;
    /// What the algorithm is for.
    type Output;

    /// Checks configuration and data, and makes the first state. The only place that does either.
    ///
    /// # Errors
    /// If the configuration or the data is unusable.
    fn init(&self, data: &D, seed: u64) -> Result<Self::State>;

    /// As [`init`](Self::init), for an algorithm whose start takes several passes over the data and can be given up between them.
    ///
    /// # Errors
    /// As [`init`](Self::init), and what [`Passes::done`] returns.
    fn init_watched(&self, data: &D, seed: u64, _passes: &mut Passes<'_>) -> Result<Self::State> {
        self.init(data, seed)
    }

    /// The objective at which the fit stood that this one goes on from: the first iteration is judged by its change from there. None
    /// for a fit from a start of its own, whose first iteration has nothing to be compared with.
    fn resumed_at(&self) -> Option<f64> {
        None
    }

    /// One iteration.
    ///
    /// # Errors
    /// If the data can't be read or the computation breaks down.
    fn step(&self, state: &mut Self::State, data: &D) -> Result<Step>;

    /// The result, with the parameters whose objective was reported last.
    ///
    /// # Errors
    /// If the state can't be turned into a model.
    fn finish(&self, state: Self::State) -> Result<Self::Output>;
}

/// What one iteration tells the loop.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// The objective of the parameters now in the state, maximised; mean log-likelihood per row in nats for EM.
    pub objective: f64,
    /// Whether the algorithm's own criterion (a gradient norm, say) is met. The loop's rule on the objective holds besides.
    pub converged: bool,
    /// Interventions of this iteration.
    pub repairs: Vec<RepairKind>,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stopping {
    /// Iterations at most.
    pub max_iterations: usize,
    /// Converged when the objective changes by less than this in one iteration. Zero: do exactly `max_iterations`.
    pub tolerance: f64,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// The stopping rule was met.
    Converged,
    /// `max_iterations` were done before it was.
    MaxIterations,
    /// The progress callback asked to stop.
    Cancelled,
    /// No iteration was needed: the answer is in closed form.
    ClosedForm,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Converged => "converged",
            Status::MaxIterations => "max_iterations",
            Status::Cancelled => "cancelled",
            Status::ClosedForm => "closed_form",
        })
    }
}

/// What the progress callback is told, after every iteration and after every pass over the rows that is none: those in which a start is
/// found and those of a closed form. What is told of these has an `objective` of NaN and an `iteration` of 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Restart, from 0.
    pub restart: usize,
    /// Restarts in all.
    pub restarts: usize,
    /// Iterations done in this restart.
    pub iteration: usize,
    /// Iterations at most.
    pub max_iterations: usize,
    /// The objective after this iteration; NaN before the first.
    pub objective: f64,
}

/// Called with [`Progress`]; `ControlFlow::Break(())` cancels the fit and keeps what was reached. Before there is anything to keep (in
/// the start of the first run, in a closed form) the fit ends with [`ErrorKind::Cancelled`].
pub type Watch<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// A watch that never stops.
pub fn unwatched(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A fitted model with the record of how it came about.
///
/// ```
/// use lvm_core::fit::{Fitted, Status};
/// let fitted = Fitted { model: 3.0, status: Status::Converged, trace: vec![-2.0, -1.5], repairs: vec![], restarts: vec![-1.5], seed: 0 };
/// assert_eq!((fitted.iterations(), fitted.objective()), (2, -1.5));
/// assert_eq!(fitted.map(|mean| vec![mean]).model, [3.0]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted<M> {
    /// The parameters; their objective is the last entry of `trace`.
    pub model: M,
    /// Why the loop ended.
    pub status: Status,
    /// The objective after each iteration; mean log-likelihood per row in nats for maximum likelihood.
    pub trace: Vec<f64>,
    /// Interventions, none for regular data.
    pub repairs: Vec<Repair>,
    /// The final objective of every restart, in order; `trace` is the best one's.
    pub restarts: Vec<f64>,
    /// The seed given.
    pub seed: u64,
}

impl<M> Fitted<M> {
    /// Iterations done.
    pub fn iterations(&self) -> usize {
        self.trace.len()
    }

    /// The objective of the parameters returned; NaN if no iteration was done.
    pub fn objective(&self) -> f64 {
        self.trace.last().copied().unwrap_or(f64::NAN)
    }

    /// Whether a covariance, or the noise of PPCA, had to be held at the floor, so that the likelihood is bounded by nothing but the floor.
    pub fn is_floored(&self) -> bool {
        self.repairs.iter().any(|r| matches!(r.kind, RepairKind::CovarianceFloored { .. } | RepairKind::NoiseFloored { .. }))
    }

    /// The fit itself, unless it was cancelled: for uses in which half a fit is none, such as a fold of a cross-validation.
    pub(crate) fn uncancelled(self) -> Result<Self> {
        if self.status == Status::Cancelled { Err(ErrorKind::Cancelled.into()) } else { Ok(self) }
    }

    /// The same record around another value.
    pub fn map<T>(self, f: impl FnOnce(M) -> T) -> Fitted<T> {
        Fitted {
            model: f(self.model),
            status: self.status,
            trace: self.trace,
            repairs: self.repairs,
            restarts: self.restarts,
            seed: self.seed,
        }
    }
}

/// Runs `algorithm` from its own start until the stopping rule, `max_iterations` or the watch ends it.
///
/// # Errors
/// Whatever [`Algorithm::init`] and [`Algorithm::step`] return, and [`ErrorKind::Objective`] if the objective is not finite.
///
/// ```
/// use lvm_core::Result;
/// use lvm_core::fit::{Algorithm, Status, Step, Stopping, run, unwatched};
/// /// √data by Newton's method, which maximises −(θ² − data)².
/// struct Root;
/// impl Algorithm<f64> for Root {
///     type State = f64;
///     type Output = f64;
///     fn init(&self, data: &f64, _seed: u64) -> Result<f64> {
///         Ok(*data)
///     }
///     fn step(&self, theta: &mut f64, data: &f64) -> Result<Step> {
///         *theta = 0.5 * (*theta + data / *theta);
///         Ok(Step { objective: -(*theta * *theta - data).powi(2), ..Step::default() })
///     }
///     fn finish(&self, theta: f64) -> Result<f64> {
///         Ok(theta)
///     }
/// }
/// let fitted = run(&Root, &2.0, Stopping { max_iterations: 50, tolerance: 1e-12 }, 0, &mut unwatched)?;
/// assert!(fitted.status == Status::Converged && (fitted.model - 2.0_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub fn run<D: ?Sized, A: Algorithm<D>>(
    algorithm: &A,
    data: &D,
    stopping: Stopping,
    seed: u64,
    watch: Watch<'_>,
) -> Result<Fitted<A::Output>> {
    run_restart(algorithm, data, stopping, seed, (0, 1), watch)
}

/// As [`run`], for restart `restart.0` of `restart.1`, which is what the watch is told.
///
/// # Errors
/// As [`run`].
pub fn run_restart<D: ?Sized, A: Algorithm<D>>(
    algorithm: &A,
    data: &D,
    stopping: Stopping,
    seed: u64,
    restart: (usize, usize),
    watch: Watch<'_>,
) -> Result<Fitted<A::Output>> {
    let mut state = algorithm.init_watched(data, seed, &mut Passes::new(&mut *watch, restart, stopping.max_iterations))?;
    let mut before = algorithm.resumed_at();
    let mut trace = Vec::new();
    let mut repairs = Vec::new();
    let mut status = Status::MaxIterations;
    for iteration in 1..=stopping.max_iterations {
        let step = algorithm.step(&mut state, data)?;
        if !step.objective.is_finite() {
            return Err(ErrorKind::Objective { iteration, value: step.objective }.into());
        }
        let repaired = !step.repairs.is_empty();
        repairs.extend(step.repairs.into_iter().map(|kind| Repair { iteration, kind }));
        let change = before.replace(step.objective).map_or(f64::INFINITY, |last| (step.objective - last).abs());
        trace.push(step.objective);
        let converged = step.converged || (change < stopping.tolerance && !repaired);
        let progress = Progress {
            restart: restart.0,
            restarts: restart.1,
            iteration,
            max_iterations: stopping.max_iterations,
            objective: step.objective,
        };
        // told of the last iteration too; a wish to stop ends the restarts that would follow
        let cancelled = watch(&progress).is_break();
        if cancelled || converged {
            status = if cancelled { Status::Cancelled } else { Status::Converged };
            break;
        }
    }
    let restarts = vec![trace.last().copied().unwrap_or(f64::NAN)];
    Ok(Fitted { model: algorithm.finish(state)?, status, trace, repairs, restarts, seed })
}
