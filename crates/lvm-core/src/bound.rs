//! Estimates of bounds of the evidence, with their standard errors.

use serde::{Deserialize, Serialize};

/// A Monte Carlo estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean of the draws.
    pub mean: f64,
    /// Its standard error: the standard deviation of the draws (divisor S − 1) over √S; infinite for one draw, 0 for a value known exactly.
    pub std_err: f64,
    /// S, the number of independent draws; 0 for a value known exactly.
    pub draws: usize,
}

impl Estimate {
    /// A value known exactly.
    pub fn exact(value: f64) -> Self {
        Estimate { mean: value, std_err: 0.0, draws: 0 }
    }

    /// The mean of independent draws; NaN without any.
    ///
    /// ```
    /// use lvm_core::bound::Estimate;
    /// let e = Estimate::from_draws(&[1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(e.mean, 2.5);
    /// assert!((e.std_err - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
    /// ```
    pub fn from_draws(draws: &[f64]) -> Self {
        let s = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / s;
        // Var(mean) = Σ (x − x̄)² / (S (S − 1))
        let std_err = match draws.len() {
            0 | 1 => f64::INFINITY,
            _ => (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (s * (s - 1.0))).sqrt(),
        };
        Estimate { mean, std_err, draws: draws.len() }
    }
}
