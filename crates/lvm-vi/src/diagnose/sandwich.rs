//! The evidence from below and from above, and what their distance says.

use super::reason::{Level, Reason};
use lvm_core::bound::Estimate;

/// Nats between the bounds above which they say little: a Bayes factor of e is hardly worth mentioning (Kass & Raftery 1995).
const WIDE: f64 = 1.0;
/// A share of the evidence that may be missing from the draws.
const MISSING: f64 = 0.01;
/// Standard errors by which a bound must be broken before it counts: once in three million.
pub(super) const BOUND_Z: f64 = 5.0;

/// What draws of q say of log p(data).
#[derive(Debug, Clone, Copy)]
pub(super) struct Sandwich {
    pub(super) elbo: Estimate,
    /// The importance-weighted bound by groups of k, with its k.
    pub(super) iwae: (Estimate, usize),
    /// log p(data) by importance sampling.
    pub(super) log_evidence: Estimate,
    /// CUBO₂, where its expectation is known to be finite.
    pub(super) upper: Option<f64>,
}

impl Sandwich {
    /// ELBO ≤ IWAE_k ≤ log p(data) ≤ CUBO₂.
    pub(super) fn reason(&self) -> Reason {
        let (iwae, k) = self.iwae;
        let below = format!("ELBO {:.3} ± {:.3}, IWAE_{k} {:.3} ± {:.3}", self.elbo.mean, self.elbo.std_err, iwae.mean, iwae.std_err);
        let Some(upper) = self.upper else {
            let finding = format!("the log evidence has no bound from above, as Pareto k is not below 1/2; from below: {below}");
            return Reason { level: Level::Pass, finding, remedy: String::new() };
        };
        if upper < iwae.mean - BOUND_Z * iwae.std_err {
            return Reason {
                level: Level::Warn,
                finding: format!("the bounds of the log evidence are upside down: {below}, CUBO {upper:.3}"),
                remedy: "take more draws; if it stays, the densities of q or of the target are not what they claim".into(),
            };
        }
        if upper - iwae.mean > WIDE {
            return Reason {
                level: Level::Warn,
                finding: format!("the log evidence is known to {:.1} nats only: {below}, CUBO {upper:.3}", upper - iwae.mean),
                remedy: "compare models only where they differ by more; a richer family brings the bounds together".into(),
            };
        }
        Reason { level: Level::Pass, finding: format!("log evidence by bounds: {below}, CUBO {upper:.3}"), remedy: String::new() }
    }

    /// The same against the exact log evidence. Draws of a q that misses part of the posterior never see it: they find less of the evidence
    /// than there is, and only this tells.
    pub(super) fn against(&self, exact: f64) -> Reason {
        let (elbo, std_err) = (self.elbo.mean, self.elbo.std_err);
        let rounding = f64::EPSILON.sqrt() * exact.abs();
        if elbo - BOUND_Z * std_err > exact + rounding {
            return Reason {
                level: Level::Fail,
                finding: format!("the ELBO {elbo:.3} ± {std_err:.3} is above the exact log evidence {exact:.3}"),
                remedy: "the log joint, its constants or a Jacobian are wrong: no q can have such a bound".into(),
            };
        }
        let found = self.log_evidence;
        if found.mean + BOUND_Z * found.std_err < exact + (-MISSING).ln_1p() - rounding {
            let share = 100.0 * (found.mean - exact).exp();
            return Reason {
                level: Level::Fail,
                finding: format!("draws of q find {share:.0} % of the exact evidence: {:.3} of {exact:.3} nats", found.mean),
                remedy: "q misses part of the posterior, another mode perhaps (or constants are missing from the log joint)".into(),
            };
        }
        let finding = format!("KL(q ‖ p) = {:.3} nats: the exact log evidence {exact:.3} less the ELBO", exact - elbo);
        Reason { level: Level::Pass, finding, remedy: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(mean: f64, std_err: f64) -> Estimate {
        Estimate { mean, std_err, ..Estimate::from_draws(&[0.0, 0.0]) }
    }

    fn sandwich(iwae: f64, upper: Option<f64>) -> Sandwich {
        Sandwich { elbo: estimate(-10.0, 0.01), iwae: (estimate(iwae, 0.01), 100), log_evidence: estimate(iwae, 0.01), upper }
    }

    #[test]
    fn wide_and_inverted_bounds_warn() {
        let level = |iwae, upper| sandwich(iwae, upper).reason().level;
        assert_eq!(level(-9.9, Some(-9.8)), Level::Pass);
        assert_eq!(level(-9.9, Some(-8.8)), Level::Warn);
        assert_eq!(level(-9.9, Some(-10.0)), Level::Warn);
        // within five standard errors
        assert_eq!(level(-9.9, Some(-9.94)), Level::Pass);
        let none = sandwich(-9.9, None).reason();
        assert!(none.level == Level::Pass && none.finding.contains("no bound from above"), "{none:?}");
    }

    #[test]
    fn the_exact_evidence_finds_what_draws_can_not() {
        let of = |exact| sandwich(-9.9, None).against(exact);
        assert_eq!(of(-9.9).level, Level::Pass);
        assert_eq!(of(-10.2).level, Level::Fail);
        // half of the posterior is elsewhere
        let half = of(-9.9 + 2f64.ln());
        assert!(half.level == Level::Fail && half.finding.contains("50 %"), "{half:?}");
        // 5 standard errors of 0.01 and a hundredth
        assert_eq!(of(-9.9 + 0.055).level, Level::Pass);
    }
}
