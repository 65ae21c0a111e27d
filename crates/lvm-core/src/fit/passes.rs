//! Passes over the rows that are no iteration.

use super::{Progress, Watch};
use crate::error::{ErrorKind, Result};

/// Tells a watch of the passes in which a start is found or a closed form computed, and ends the fit if it wishes so.
///
/// ```
/// use lvm_core::fit::Passes;
/// use std::ops::ControlFlow;
/// let mut told = 0;
/// let mut watch = |progress: &lvm_core::fit::Progress| {
///     told += 1;
///     assert!(progress.iteration == 0 && progress.objective.is_nan());
///     if told < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
/// };
/// let mut passes = Passes::new(&mut watch, (0, 1), 100);
/// assert!(passes.done().is_ok());
/// assert!(passes.done().is_err_and(|error| error.is_cancelled()));
/// ```
pub struct Passes<'a> {
    watch: Watch<'a>,
    progress: Progress,
}

impl<'a> Passes<'a> {
    /// For restart `restart.0` of `restart.1`, which will do at most `max_iterations` iterations (0 for a closed form).
    pub fn new(watch: Watch<'a>, restart: (usize, usize), max_iterations: usize) -> Self {
        let (restart, restarts) = restart;
        Passes { watch, progress: Progress { restart, restarts, iteration: 0, max_iterations, objective: f64::NAN } }
    }

    /// One more pass has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] if the watch wishes to stop.
    pub fn done(&mut self) -> Result<()> {
        match (self.watch)(&self.progress).is_break() {
            true => Err(ErrorKind::Cancelled.into()),
            false => Ok(()),
        }
    }
}
