//! Steps up a noisy gradient, the average of the iterates, and the test by which a run is known to have ended.
//!
//! An optimizer is a [`Rule`] for the length of a step and a [`Metric`] in which the gradient is read. All that changes is in an
//! [`OptimizerState`], which can be stored: a resumed run goes on bit for bit.

mod adam;
mod average;
mod distance_over_gradients;
mod natural_gradient;
mod robbins_monro;
mod stationarity;

pub use adam::{Adam, AdamState};
pub use average::TailAverage;
pub use distance_over_gradients::{DistanceOverGradients, DistanceState, Weighting};
pub use natural_gradient::Geometry;
pub use robbins_monro::RobbinsMonro;
pub use stationarity::{Assessment, assess};

use lvm_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a stochastic gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// The length of a step.
    pub rule: Rule,
    /// What the gradient is multiplied by.
    pub metric: Metric,
    /// In the Fisher metric no step is longer than this times √d: KL(q_new ‖ q) ≤ d longest²/2. It tames the first steps from a bad
    /// start; near the optimum no step is as long. Steps cut short are counted ([`OptimizerState::cut`]).
    pub longest: f64,
}

impl Default for Optimizer {
    /// [`Optimizer::natural_gradient`]: its steps are in units of q, so that one length suits every posterior.
    fn default() -> Self {
        Self::natural_gradient()
    }
}

impl Optimizer {
    /// Natural gradient with a constant step of 0.1, lowered from stage to stage.
    pub fn natural_gradient() -> Self {
        Optimizer { rule: Rule::RobbinsMonro(RobbinsMonro { step: 0.1, offset: 1.0, decay: 0.0 }), metric: Metric::Fisher, longest: 0.5 }
    }

    /// Adam on the parameters as they are.
    pub fn adam(step: f64) -> Self {
        Optimizer { rule: Rule::Adam(Adam { step, ..Adam::default() }), metric: Metric::Euclidean, longest: 0.5 }
    }

    /// Robbins-Monro on the natural gradient: steps step/(offset + t)^decay.
    pub fn robbins_monro(step: f64, offset: f64, decay: f64) -> Self {
        Optimizer { rule: Rule::RobbinsMonro(RobbinsMonro { step, offset, decay }), metric: Metric::Fisher, longest: 0.5 }
    }

    /// Distance over gradients, free of a step size.
    pub fn distance_over_gradients() -> Self {
        Optimizer { rule: Rule::DistanceOverGradients(DistanceOverGradients::default()), metric: Metric::Fisher, longest: 0.5 }
    }

    /// The state before the first step.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn init(&self, parameters: &[f64]) -> Result<OptimizerState> {
        if !(self.longest > 0.0) {
            return Err(Error::config("longest", format!("{} given; it must be positive", self.longest)));
        }
        let rule = match self.rule {
            Rule::RobbinsMonro(rule) => rule.check().map(|()| RuleState::RobbinsMonro),
            Rule::Adam(rule) => rule.init(parameters.len()).map(RuleState::Adam),
            Rule::DistanceOverGradients(rule) => rule.init(parameters).map(RuleState::DistanceOverGradients),
        }?;
        Ok(OptimizerState { steps: 0, skipped: 0, cut: 0, rule, scratch: Vec::new() })
    }

    /// λ ← λ + scale · calm · step, maximising, with steps of at most `calm` times the longest; `gradient` (parameters) is overwritten. A
    /// gradient or a step that is not finite leaves λ where it is and is counted: then the answer is `false`.
    pub fn step<F: Geometry>(
        &self,
        state: &mut OptimizerState,
        q: &F,
        (scale, calm): (f64, f64),
        gradient: &mut [f64],
        parameters: &mut [f64],
    ) -> bool {
        let scale = scale * calm;
        let largest = largest_of(gradient.iter());
        if !largest.is_finite() {
            state.skipped += 1;
            return false;
        }
        if largest == 0.0 {
            state.steps += 1;
            return true;
        }
        let (mut limit, mut size) = (f64::INFINITY, largest);
        if self.metric == Metric::Fisher {
            // ‖g‖² = gᵀ F⁻¹ g is the squared length of the natural step; computed of g / max|g| so that it can't overflow
            let natural = &mut state.scratch;
            natural.clear();
            natural.extend(gradient.iter().map(|g| g / largest));
            q.precondition(natural);
            let length = largest * natural.iter().zip(gradient.iter()).map(|(n, g)| n * (g / largest)).sum::<f64>().sqrt();
            limit = calm * self.longest * (q.dim() as f64).sqrt() / length;
            gradient.iter_mut().zip(natural).for_each(|(g, n)| *g = *n * largest);
            size = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        }
        // squares are taken of it: beyond 1e100 only its direction counts
        if size > 1e100 {
            gradient.iter_mut().for_each(|g| *g *= 1e100 / size);
            limit *= size / 1e100;
        }
        let taken = match (&self.rule, &mut state.rule) {
            (Rule::RobbinsMonro(rule), RuleState::RobbinsMonro) => {
                let step = rule.length(state.steps) * scale;
                state.cut += u64::from(step > limit);
                gradient.iter_mut().for_each(|g| *g *= step.min(limit));
                true
            }
            (Rule::Adam(rule), RuleState::Adam(adam)) => {
                rule.direct(adam, gradient);
                if scale != 1.0 {
                    gradient.iter_mut().for_each(|g| *g *= scale);
                }
                true
            }
            (Rule::DistanceOverGradients(rule), RuleState::DistanceOverGradients(distance)) => {
                // a way along parameters of the same q is none
                let nearest = &mut state.scratch;
                nearest.clear();
                nearest.extend_from_slice(parameters);
                q.align(&distance.start, nearest);
                let step = rule.length(distance, gradient, nearest) * scale;
                state.cut += u64::from(step > limit);
                gradient.iter_mut().for_each(|g| *g *= step.min(limit));
                true
            }
            // a state of another rule
            _ => false,
        };
        let finite = taken && parameters.iter().zip(gradient.iter()).fold(true, |finite, (p, g)| finite & (p + g).is_finite());
        if !finite {
            state.skipped += 1;
            return false;
        }
        parameters.iter_mut().zip(gradient.iter()).for_each(|(p, g)| *p += g);
        state.steps += 1;
        true
    }
}

/// max |x_i|, infinite if one is not a number.
fn largest_of<'a>(x: impl Iterator<Item = &'a f64>) -> f64 {
    // of numbers without a sign the order is that of their bits, and NaN lies beyond infinity
    let largest = f64::from_bits(x.fold(0, |most, x| most.max(x.abs().to_bits())));
    if largest.is_nan() { f64::INFINITY } else { largest }
}

/// The rule for the length of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// a / (b + t)^κ.
    RobbinsMonro(RobbinsMonro),
    /// Moments of the gradient.
    Adam(Adam),
    /// Distance over gradients.
    DistanceOverGradients(DistanceOverGradients),
}

/// What the gradient is multiplied by before the rule sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Nothing.
    Euclidean,
    /// The inverse Fisher information of q: the natural gradient ([`Geometry`]).
    Fisher,
}

/// Everything of an optimizer that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimizerState {
    /// Steps taken.
    pub steps: u64,
    /// Steps left out because a gradient or a parameter would not have been finite.
    pub skipped: u64,
    /// Steps that would have been longer than [`Optimizer::longest`] allows.
    pub cut: u64,
    /// What the rule remembers.
    pub rule: RuleState,
    /// Holds nothing between steps.
    #[serde(skip)]
    scratch: Vec<f64>,
}

impl OptimizerState {
    /// From now on the preconditioner made from past gradients stays as it is: within a stage a step is then linear in the gradient, and
    /// no correlation of a gradient with its own normaliser can move the mean of the iterates.
    pub fn hold(&mut self) {
        if let RuleState::Adam(adam) = &mut self.rule {
            adam.hold();
        }
    }
}

/// What a rule remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleState {
    /// Nothing.
    RobbinsMonro,
    /// Moments.
    Adam(AdamState),
    /// Distances.
    DistanceOverGradients(DistanceState),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{MeanField, Variational};

    #[test]
    fn a_gradient_that_is_not_finite_is_left_out_and_counted() {
        let q = MeanField::standard(1).unwrap();
        for optimizer in [Optimizer::natural_gradient(), Optimizer::adam(0.1), Optimizer::distance_over_gradients()] {
            let mut state = optimizer.init(q.parameters()).unwrap();
            let mut parameters = q.parameters().to_vec();
            for bad in [f64::NAN, f64::INFINITY] {
                assert!(!optimizer.step(&mut state, &q, (1.0, 1.0), &mut [1.0, bad], &mut parameters));
            }
            assert_eq!((state.skipped, state.steps, parameters[0]), (2, 0, 0.0));
            assert!(optimizer.step(&mut state, &q, (1.0, 1.0), &mut [1.0, 1e300], &mut parameters));
            // half of √d at most in the Fisher metric, 0.1 for Adam, a thousandth for the first step by distance
            assert!(parameters[1] > 1e-4 && parameters[1] < 1.0, "{}", parameters[1]);
        }
    }

    #[test]
    fn settings_outside_their_range_are_refused() {
        for decay in [0.5, 1.1, -1.0] {
            assert!(Optimizer::robbins_monro(0.1, 1.0, decay).init(&[0.0]).is_err());
        }
        assert!(Optimizer::adam(0.0).init(&[0.0]).is_err());
        assert!(Optimizer { longest: f64::NAN, ..Optimizer::default() }.init(&[0.0]).is_err());
    }
}
