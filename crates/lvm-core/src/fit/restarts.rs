//! Several starts, and the best of what came of them.

use super::{Fitted, Status};
use crate::error::{Error, Result};

/// Bounded likelihood first, then the objective.
fn rank<M>(fitted: &Fitted<M>) -> (bool, f64) {
    (!fitted.is_floored(), fitted.objective())
}

/// Runs `fit(restart)` `restarts` times and keeps the one with the largest final objective. A restart that was cancelled is the last one,
/// and the whole counts as cancelled whichever restart was the best; one that failed is left out unless all did. A fit that had to floor a
/// covariance loses against one that had not, whatever their objectives: its likelihood is as large as the floor is low and says nothing
/// about the data.
///
/// # Errors
/// The first error, if every restart failed; [`ErrorKind::Config`](crate::ErrorKind::Config) if `restarts` is 0.
///
/// ```
/// use lvm_core::fit::{Fitted, Status, best_of};
/// let run = |restart: usize| {
///     let objective = [-2.0, -1.0, -3.0][restart];
///     Ok(Fitted { model: restart, status: Status::Converged, trace: vec![objective], repairs: vec![], restarts: vec![], seed: 0 })
/// };
/// let best = best_of(3, run)?;
/// assert_eq!((best.model, best.restarts), (1, vec![-2.0, -1.0, -3.0]));
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub fn best_of<M>(restarts: usize, mut fit: impl FnMut(usize) -> Result<Fitted<M>>) -> Result<Fitted<M>> {
    if restarts == 0 {
        return Err(Error::config("restarts", "0 asked for, at least 1 is needed"));
    }
    let mut best: Option<Fitted<M>> = None;
    let mut first_error = None;
    let mut objectives = Vec::with_capacity(restarts);
    let mut cancelled = false;
    for restart in 0..restarts {
        match fit(restart) {
            Ok(fitted) => {
                objectives.push(fitted.objective());
                cancelled = fitted.status == Status::Cancelled;
                if best.as_ref().is_none_or(|b| rank(&fitted) > rank(b)) {
                    best = Some(fitted);
                }
                if cancelled {
                    break;
                }
            }
            // in its start: what came before it is kept
            Err(error) if error.is_cancelled() => {
                if best.is_none() {
                    return Err(error);
                }
                cancelled = true;
                break;
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
            if cancelled {
                best.status = Status::Cancelled;
            }
            Ok(best)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::config("restarts", "no restart was run")),
    }
}
