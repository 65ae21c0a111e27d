//! What a run found: as a table for people, as JSON for programs, as a page with pictures.

use crate::check::{Check, Layer, Verdict};
use crate::headline::Headline;
use crate::stochastic::ErrorBudget;
use crate::suite::Budget;
use confusion::Judgement;
use exhibit::Exhibit;
use serde::Serialize;
use variances::GradientVariance;

pub mod chart;
pub mod confusion;
pub mod exhibit;
pub mod headlines;
pub mod html;
pub mod plots;
pub mod posteriors;
pub mod table;
pub mod variances;

/// A whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Format of this object.
    pub schema: &'static str,
    /// What was tested.
    pub subject: String,
    /// Version of the suite.
    pub version: &'static str,
    /// Whether the LAPACK oracle was there.
    pub oracle: bool,
    /// The command line.
    pub command: String,
    /// How long the run was allowed to take.
    pub budget: Budget,
    /// Where its random streams started.
    pub seed: u64,
    /// The family-wise error of its stochastic checks.
    pub error_budget: ErrorBudget,
    /// How many of them it made.
    pub comparisons: usize,
    /// Wall-clock seconds of the run.
    pub seconds: f64,
    /// Counts by layer.
    pub summary: Vec<LayerSummary>,
    /// Every check.
    pub checks: Vec<Check>,
    /// The five numbers of each model.
    pub headlines: Vec<Headline>,
    /// The variances of the gradient estimators.
    pub variances: Vec<GradientVariance>,
    /// The verdict of each q whose truth is known.
    pub judgements: Vec<Judgement>,
    /// Curves and points for the pictures.
    #[serde(skip)]
    pub exhibits: Vec<Exhibit>,
}

/// Counts of one layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its letter, or `all`.
    pub layer: String,
    /// What it is about.
    pub title: String,
    /// Checks that passed.
    pub pass: usize,
    /// Checks that failed.
    pub fail: usize,
    /// Checks that could not certify.
    pub undecided: usize,
    /// Checks not run.
    pub not_run: usize,
    /// Cases of kinds not supported yet.
    pub not_supported: usize,
    /// Numbers compared.
    pub compared: usize,
    /// Seconds on the clock of each check, added up: more than the run took where cases go side by side.
    pub seconds: f64,
    /// The largest difference / tolerance of a check that passed.
    pub closest: f64,
}

impl LayerSummary {
    fn of<'c>(layer: String, title: String, checks: impl Iterator<Item = &'c Check>) -> Self {
        let mut s = LayerSummary { layer, title, ..Default::default() };
        for c in checks {
            match c.verdict {
                Verdict::Pass => s.pass += 1,
                Verdict::Fail => s.fail += 1,
                Verdict::Undecided => s.undecided += 1,
                Verdict::NotRun => s.not_run += 1,
                Verdict::NotSupported => s.not_supported += 1,
            }
            s.compared += c.compared;
            s.seconds += c.seconds;
            if c.verdict == Verdict::Pass && c.ratio().is_finite() {
                s.closest = s.closest.max(c.ratio());
            }
        }
        s
    }
}

/// Counts by layer, in the order of the layers; layers without checks are left out.
pub fn summarise(checks: &[Check]) -> Vec<LayerSummary> {
    Layer::ALL
        .into_iter()
        .filter(|&l| checks.iter().any(|c| c.layer == l))
        .map(|l| LayerSummary::of(l.to_string(), l.title().to_owned(), checks.iter().filter(|c| c.layer == l)))
        .collect()
}

impl Report {
    /// All layers together.
    pub fn total(&self) -> LayerSummary {
        LayerSummary::of("all".to_owned(), "all layers".to_owned(), self.checks.iter())
    }

    /// Whether nothing failed and nothing was left undecided. Checks not run do not count as passed, but do not fail the run.
    pub fn passed(&self) -> bool {
        let total = self.total();
        total.fail == 0 && total.undecided == 0 && total.pass > 0
    }

    /// A line that says so if the run took longer than its budget, with the groups that took most.
    pub fn overrun(&self) -> Option<String> {
        let allowed = self.budget.seconds().filter(|s| self.seconds > *s)?;
        let mut groups: Vec<(String, f64)> = Vec::new();
        for c in &self.checks {
            let name = format!("{} {} {}", c.layer, c.id, c.case);
            match groups.iter_mut().find(|(n, _)| *n == name) {
                Some((_, seconds)) => *seconds += c.seconds,
                None => groups.push((name, c.seconds)),
            }
        }
        groups.sort_by(|a, b| b.1.total_cmp(&a.1));
        let longest: Vec<String> = groups.iter().take(3).map(|(n, s)| format!("{n} ({s:.0} s)")).collect();
        Some(format!("warning: {:.0} s, and the budget is {allowed:.0} s on two cores; longest: {}", self.seconds, longest.join(", ")))
    }

    /// Whether a check was undecided or failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| matches!(c.verdict, Verdict::Fail | Verdict::Undecided))
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// Never for a report made by this crate.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_beyond_its_budget_says_so_and_one_within_does_not() {
        let of = |budget, seconds| Report { budget, seconds, ..Report::default() }.overrun();
        assert!(of(Budget::Quick, 59.0).is_none() && of(Budget::Nightly, 1e5).is_none());
        assert!(of(Budget::Quick, 75.0).unwrap().starts_with("warning: 75 s, and the budget is 60 s"));
        assert!(of(Budget::Full, 901.0).is_some());
    }
}
