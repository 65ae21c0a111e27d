//! One loop for every iterative algorithm: it owns convergence, traces, progress and cancellation.
//!
//! An algorithm is a configuration; its state is one value; its result is whole or absent. Not converging is a [`Status`], never an
//! error; an objective that is not finite is an error.

use crate::error::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;

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

/// An intervention without which there would be no usable answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// Iteration, from 1; 0 before the first, as in the fit that this one goes on from.
    pub iteration: usize,
    /// What was done.
    #[serde(flatten)]
    pub kind: RepairKind,
}

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "repair", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairKind {
    /// Eigenvalues of a component's covariance below the floor were raised to it.
    CovarianceFloored {
        /// Component, from 0.
        component: usize,
        /// The floor, in squared units of the data.
        floor: f64,
    },
    /// A component that had lost its rows was put back at a row the mixture explains badly.
    ComponentReseeded {
        /// Component, from 0.
        component: usize,
        /// The row, from 0.
        row: usize,
    },
    /// Heywood case: the likelihood rises as a uniqueness goes to zero; it was held at the floor.
    Heywood {
        /// Variable, from 0.
        variable: usize,
        /// The floor, as a share of the variable's variance.
        floor: f64,
    },
    /// The noise variance was zero to rounding and was raised to the floor.
    NoiseFloored {
        /// The floor, in squared units of the data.
        floor: f64,
    },
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.iteration {
            0 => "before".to_owned(),
            iteration => format!("iteration {iteration}"),
        };
        match &self.kind {
            RepairKind::CovarianceFloored { component, floor } => {
                write!(f, "{when}: covariance of component {component} raised to the floor {floor:.3e}")
            }
            RepairKind::ComponentReseeded { component, row } => {
                write!(f, "{when}: component {component} had lost its rows and was put back at row {row}")
            }
            RepairKind::Heywood { variable, floor } => write!(
                f,
                "improper solution (Heywood case): the uniqueness of variable {variable} goes to zero and was held at {floor:.3e} of its variance"
            ),
            RepairKind::NoiseFloored { floor } => write!(f, "noise variance zero to rounding, raised to {floor:.3e}"),
        }
    }
}

/// What the progress callback is told.
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
    /// The objective after this iteration.
    pub objective: f64,
}

/// Called after every iteration; `ControlFlow::Break(())` cancels the fit and keeps what was reached.
pub type Watch<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// A watch that never stops.
pub fn unwatched(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A fitted model with the record of how it came about.
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

    /// Whether a covariance had to be held at the floor, so that the likelihood is bounded by nothing but the floor.
    pub fn is_floored(&self) -> bool {
        self.repairs.iter().any(|r| matches!(r.kind, RepairKind::CovarianceFloored { .. }))
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
    let mut state = algorithm.init(data, seed)?;
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
        let change = trace.last().map_or(f64::INFINITY, |last: &f64| (step.objective - last).abs());
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

/// Bounded likelihood first, then the objective.
fn rank<M>(fitted: &Fitted<M>) -> (bool, f64) {
    (!fitted.is_floored(), fitted.objective())
}

/// Runs `fit(restart, watch)` `restarts` times and keeps the one with the largest final objective. A restart that was cancelled is
/// the last one; one that failed is left out unless all did. A fit that had to floor a covariance loses against one that had not,
/// whatever their objectives: its likelihood is as large as the floor is low and says nothing about the data.
///
/// # Errors
/// The first error, if every restart failed; [`ErrorKind::Config`] if `restarts` is 0.
pub fn best_of<M>(restarts: usize, mut fit: impl FnMut(usize) -> Result<Fitted<M>>) -> Result<Fitted<M>> {
    if restarts == 0 {
        return Err(crate::Error::config("restarts", "0 asked for, at least 1 is needed"));
    }
    let mut best: Option<Fitted<M>> = None;
    let mut first_error = None;
    let mut objectives = Vec::with_capacity(restarts);
    for restart in 0..restarts {
        match fit(restart) {
            Ok(fitted) => {
                objectives.push(fitted.objective());
                let cancelled = fitted.status == Status::Cancelled;
                if best.as_ref().is_none_or(|b| rank(&fitted) > rank(b)) {
                    best = Some(fitted);
                }
                if cancelled {
                    break;
                }
            }
            Err(error) => {
                objectives.push(f64::NAN);
                first_error.get_or_insert(error);
            }
        }
    }
    match (best, first_error) {
        (Some(mut best), _) => {
            best.restarts = objectives;
            Ok(best)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(crate::Error::config("restarts", "no restart was run")),
    }
}
