//! Learning rates.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The learning rate over the epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// The same throughout.
    Constant(f64),
    /// From `start` to `end` along half a cosine over all epochs.
    Cosine {
        /// In the first epoch.
        start: f64,
        /// In the last.
        end: f64,
    },
    /// From `start` to `end` by the same factor every epoch.
    Exponential {
        /// In the first epoch.
        start: f64,
        /// In the last.
        end: f64,
    },
    /// 10^(−3 − i/7) for 3^i epochs, i = 0, 1, …: Burda et al. 2016. 3280 epochs are i = 0 … 7.
    Burda,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Constant(1e-3)
    }
}

impl Schedule {
    /// The rate of one epoch (from 0) of `epochs`.
    ///
    /// ```
    /// use lvm_deep::optimizer::Schedule;
    /// assert_eq!(Schedule::Burda.rate(0, 3280), 1e-3);
    /// assert!((Schedule::Burda.rate(1, 3280) - 1e-3 * 10f64.powf(-1.0 / 7.0)).abs() < 1e-18);
    /// assert!((Schedule::Exponential { start: 1e-2, end: 1e-4 }.rate(2, 5) - 1e-3).abs() < 1e-15);
    /// ```
    pub fn rate(&self, epoch: usize, epochs: usize) -> f64 {
        let share = if epochs > 1 { epoch as f64 / (epochs - 1) as f64 } else { 0.0 };
        match *self {
            Schedule::Constant(rate) => rate,
            Schedule::Cosine { start, end } => end + (start - end) * 0.5 * (1.0 + (PI * share).cos()),
            Schedule::Exponential { start, end } => start * (end / start).powf(share),
            Schedule::Burda => {
                let (mut stage, mut done) = (0, 1);
                while epoch >= done {
                    stage += 1;
                    done += 3usize.saturating_pow(stage);
                }
                1e-3 * 10f64.powf(-f64::from(stage) / 7.0)
            }
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let rates = match *self {
            Schedule::Constant(rate) => [rate, rate],
            Schedule::Cosine { start, end } | Schedule::Exponential { start, end } => [start, end],
            Schedule::Burda => return Ok(()),
        };
        match rates.into_iter().find(|r| !(*r > 0.0 && r.is_finite())) {
            Some(rate) => Err(Error::config("learning_rate", format!("{rate} is not a positive number"))),
            None => Ok(()),
        }
    }
}
