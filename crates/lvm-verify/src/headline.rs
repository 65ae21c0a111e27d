//! The five numbers of a model that tell program, optimiser and family apart: log evidence, ELBO at the exact optimum, ELBO reached,
//! optimiser gap, family gap.
//!
//! ```text
//! log p(x)  −  ELBO(q*)      family gap: a property of the family, reproduced and reported, not judged
//! ELBO(q*)  −  ELBO(q)       optimiser gap: a bug or a run that was stopped early
//! ```

use crate::check::{Source, Tolerance, number};
use crate::stochastic::{Estimate, detectable_bias};
use crate::suite::Group;
use serde::Serialize;

/// A number with where it comes from and how well it is known; nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The number.
    #[serde(serialize_with = "number")]
    pub value: f64,
    /// Where it comes from.
    pub source: Source,
    /// What it may be off by, beyond noise: rounding or quadrature.
    #[serde(serialize_with = "number")]
    pub tolerance: f64,
    /// Standard error; 0 for what is not estimated from draws.
    #[serde(serialize_with = "number")]
    pub standard_error: f64,
    /// The smallest bias that would be found, with a miss rate below 1e-6.
    #[serde(serialize_with = "number")]
    pub detectable_bias: f64,
}

impl Figure {
    /// A number computed without draws: a bias beyond its tolerance is found.
    pub fn exact(value: f64, source: Source, tolerance: f64) -> Self {
        Figure { value, source, tolerance, standard_error: 0.0, detectable_bias: tolerance }
    }

    /// A mean of independent draws or runs, judged at z.
    pub fn estimated(estimate: &Estimate, z: f64) -> Self {
        let standard_error = estimate.standard_error();
        let detectable_bias = detectable_bias(standard_error, z);
        Figure { value: estimate.mean, source: Source::M, tolerance: 0.0, standard_error, detectable_bias }
    }

    /// self − other, with the errors of both.
    fn minus(self, other: Self) -> Self {
        Figure {
            value: self.value - other.value,
            source: if self.source == Source::E { other.source } else { self.source },
            tolerance: self.tolerance + other.tolerance,
            standard_error: self.standard_error.hypot(other.standard_error),
            detectable_bias: self.detectable_bias.hypot(other.detectable_bias),
        }
    }

    /// How far from zero this may be without being significant.
    fn noise(self, z: f64) -> f64 {
        self.tolerance + z * self.standard_error
    }
}

/// The five numbers of one model, family and engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Headline {
    /// The model with its data.
    pub case: String,
    /// The family, such as `mean field`.
    pub family: String,
    /// What maximised the ELBO, such as `Adam`.
    pub engine: String,
    /// log p(x).
    pub evidence: Figure,
    /// max ELBO over the family.
    pub optimum: Figure,
    /// The ELBO of the q that the run returned.
    pub reached: Figure,
    /// ELBO(q*) − ELBO(q).
    pub optimiser_gap: Figure,
    /// log p(x) − ELBO(q*).
    pub family_gap: Figure,
}

impl Headline {
    /// From the three numbers that the gaps lie between.
    pub fn new(case: &str, family: &str, engine: &str, evidence: Figure, optimum: Figure, reached: Figure) -> Self {
        Headline {
            case: case.to_owned(),
            family: family.to_owned(),
            engine: engine.to_owned(),
            evidence,
            optimum,
            reached,
            optimiser_gap: optimum.minus(reached),
            family_gap: evidence.minus(optimum),
        }
    }
}

impl Group<'_> {
    /// Puts a headline into the report and checks its order: ELBO(q) ≤ ELBO(q*) ≤ log p(x), and an optimiser gap of at most `margin`
    /// nats that the run had the power to see.
    pub fn headline(&mut self, headline: Headline, margin: f64) {
        let z = crate::stochastic::two_sided(self.alpha_of_look());
        let name = format!("{}, {}", headline.family, headline.engine);
        let (family, optimiser) = (headline.family_gap, headline.optimiser_gap);
        let order = "tolerances of both and z standard errors: a bound is never above what it bounds";
        let below = Tolerance::absolute(family.noise(z), order);
        self.bounded(format!("{name}: ELBO* above log evidence"), family.source, (-family.value).max(0.0), &below);
        let below = Tolerance::absolute(optimiser.noise(z), order);
        self.bounded(format!("{name}: ELBO reached above ELBO*"), optimiser.source, (-optimiser.value).max(0.0), &below);
        let bound = Tolerance::absolute(margin, "the whole interval within the margin (R3)");
        self.bounded(format!("{name}: optimiser gap"), optimiser.source, optimiser.value.abs() + optimiser.noise(z), &bound);
        self.headlines.push(headline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Layer, Verdict};
    use crate::subject::Library;
    use crate::suite::{Selection, Suite};

    fn verdicts(evidence: f64, optimum: f64, reached: Figure) -> Vec<Verdict> {
        let mut suite = Suite::new(&Library, Selection::default());
        suite.group(Layer::O, "O1", "test", |g| {
            let exact = |v| Figure::exact(v, Source::Q, 1e-9);
            g.headline(Headline::new("test", "mean field", "Adam", exact(evidence), exact(optimum), reached), 0.01);
            Ok(())
        });
        assert_eq!(suite.headlines.len(), 1);
        suite.checks.iter().map(|c| c.verdict).collect()
    }

    #[test]
    fn a_bound_above_what_it_bounds_a_gap_and_a_lack_of_power_fail() {
        use Verdict::{Fail, Pass};
        let exact = |v| Figure::exact(v, Source::E, 1e-9);
        assert_eq!(verdicts(-10.0, -12.0, exact(-12.005)), [Pass, Pass, Pass]);
        // an ELBO* above the evidence: a constant was dropped
        assert_eq!(verdicts(-10.0, -9.0, exact(-9.0)), [Fail, Pass, Pass]);
        // reached more than can be reached
        assert_eq!(verdicts(-10.0, -12.0, exact(-11.9)), [Pass, Fail, Fail]);
        // stopped early
        assert_eq!(verdicts(-10.0, -12.0, exact(-12.5)), [Pass, Pass, Fail]);
        // right on average, but too noisy to say so
        let noisy: Estimate = [-13.0, -11.0, -12.5, -11.5].into_iter().collect();
        assert_eq!(verdicts(-10.0, -12.0, Figure::estimated(&noisy, 5.03)), [Pass, Pass, Fail]);
    }

    #[test]
    fn gaps_carry_the_errors_of_both_ends() {
        let of = |value, se| Figure { value, source: Source::Q, tolerance: 1e-3, standard_error: se, detectable_bias: 9.8 * se };
        let h = Headline::new("m", "f", "e", of(-1.0, 0.0), of(-3.0, 0.3), of(-4.0, 0.4));
        assert_eq!((h.family_gap.value, h.optimiser_gap.value), (2.0, 1.0));
        assert!((h.optimiser_gap.standard_error - 0.5).abs() < 1e-15 && (h.optimiser_gap.tolerance - 2e-3).abs() < 1e-15);
    }
}
