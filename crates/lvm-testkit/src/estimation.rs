//! Laws of iterative estimation.

use crate::{Verdict, broken, compare, raised};
use lvm_core::Result;
use lvm_core::fit::Fitted;
use lvm_core::model::Evidence;
use lvm_core::rows::{RowSource, total_weight};

/// Maximum likelihood never steps down: each objective is at least the one before, up to rounding of a sum of N D terms.
///
/// # Errors
/// The first iteration that steps down.
pub fn trace_is_monotone<M>(fitted: &Fitted<M>, dim: usize) -> Verdict {
    const LAW: &str = "trace is monotone";
    for (t, pair) in fitted.trace.windows(2).enumerate() {
        // VERIFY.md C2: 4 N D eps |value| of the total is 4 D eps |value| of the mean over N rows
        let rounding = 4.0 * dim as f64 * f64::EPSILON * (1.0 + pair[0].abs());
        if !(pair[1] >= pair[0] - rounding) {
            return Err(broken(LAW, format!("iteration {}: {:e} after {:e}", t + 2, pair[1], pair[0])));
        }
    }
    Ok(())
}

/// The objective reported last is the mean log-likelihood of the parameters returned.
///
/// # Errors
/// If it is not, to `1e-11` relative: the same sums in another order.
pub fn objective_belongs_to_the_model<M: Evidence>(fitted: &Fitted<M>, x: &dyn RowSource) -> Verdict {
    const LAW: &str = "the objective belongs to the model returned";
    let log_p = fitted.model.log_evidence(x).map_err(raised(LAW))?;
    let total: f64 = match x.weights() {
        Some(w) => log_p.iter().zip(w).filter(|(_, w)| **w > 0.0).map(|(l, w)| l * w).sum(),
        None => log_p.sum(),
    };
    compare(LAW, "mean log-likelihood", [fitted.objective()], [total / total_weight(x)], |a, _| 1e-11 * (1.0 + a.abs()))
}

/// A fit of exactly so many iterations, from its own start or from a given model.
pub type Continued<'a, M> = &'a dyn Fn(usize, Option<&M>) -> Result<Fitted<M>>;

/// `a` iterations and then `b` more from where they ended are `a + b` iterations, to the last bit.
///
/// # Errors
/// The first number that differs.
pub fn resume_is_one_run<M>(fit: Continued<'_, M>, numbers: &dyn Fn(&M) -> Vec<f64>, a: usize, b: usize) -> Verdict {
    const LAW: &str = "resuming is one run";
    let first = fit(a, None).map_err(raised(LAW))?;
    let second = fit(b, Some(&first.model)).map_err(raised(LAW))?;
    let whole = fit(a + b, None).map_err(raised(LAW))?;
    compare(LAW, "parameters", numbers(&second.model), numbers(&whole.model), |_, _| 0.0)?;
    let joined = first.trace.iter().chain(&second.trace).copied();
    compare(LAW, "trace", joined, whole.trace.iter().copied(), |_, _| 0.0)
}

/// Restarts restart: their final objectives are not all the same number when the start is random and the objective has several modes.
///
/// # Errors
/// If all objectives are equal to the last bit, or the best of them is not the one returned.
pub fn restarts_restart<M>(fitted: &Fitted<M>) -> Verdict {
    const LAW: &str = "restarts restart";
    let first = fitted.restarts[0].to_bits();
    if fitted.restarts.len() > 1 && fitted.restarts.iter().all(|v| v.to_bits() == first) {
        return Err(broken(LAW, format!("{} restarts all ended at {}", fitted.restarts.len(), fitted.restarts[0])));
    }
    let best = fitted.restarts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    compare(LAW, "best restart", [fitted.objective()], [best], |_, _| 0.0)
}
