//! What is said of a q, and why.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a verdict says of q.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Means and standard deviations of q are the posterior's within the margins asked for.
    Pass,
    /// q itself is outside the margins, or that could not be decided, but the weighted draws give the posterior's moments.
    Warn,
    /// Neither q nor its weighted draws can be trusted.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Pass => "pass",
            Level::Warn => "warn",
            Level::Fail => "fail",
        })
    }
}

/// A reason for a verdict and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What this reason alone would make of the verdict.
    pub level: Level,
    /// What was found, with its figures.
    pub finding: String,
    /// What to do; empty where nothing needs doing.
    pub remedy: String,
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst level of the reasons.
    pub level: Level,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    pub(super) fn of(reasons: Vec<Reason>) -> Self {
        let level = reasons.iter().map(|r| r.level).max().unwrap_or(Level::Pass);
        Verdict { level, reasons }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        for reason in &self.reasons {
            write!(f, "\n  {}: {}", reason.level, reason.finding)?;
            if !reason.remedy.is_empty() {
                write!(f, "; {}", reason.remedy)?;
            }
        }
        Ok(())
    }
}
