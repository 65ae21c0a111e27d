//! Adaptive moment estimation.

use lvm_core::mutant::planted;
use lvm_core::{Error, Result};
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// ```text
/// m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   λ ← λ + a (m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
/// ```
///
/// Kingma and Ba 2015, algorithm 1, both moments corrected for their start at zero. While v follows the gradient, a step is not linear in
/// it and the mean of the iterates is displaced; a fit therefore holds v from the second stage on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    /// a > 0, in the units of the parameters.
    pub step: f64,
    /// β₁ in [0, 1).
    pub beta1: f64,
    /// β₂ in [0, 1).
    pub beta2: f64,
    /// ε > 0.
    pub epsilon: f64,
}

impl Default for Adam {
    /// a = 0.02, β₁ = 0.9, β₂ = 0.999, ε = 1e-8: those of the paper but for the larger step.
    fn default() -> Self {
        Adam { step: 0.02, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// m, v and t.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdamState {
    /// m (parameters).
    pub first: Vec<f64>,
    /// v (parameters); already corrected while held.
    pub second: Vec<f64>,
    /// t.
    pub steps: i32,
    /// Whether v stays as it is.
    pub held: bool,
    beta2: f64,
}

impl Adam {
    pub(crate) fn init(&self, n: usize) -> Result<AdamState> {
        for (field, value) in [("step", self.step), ("epsilon", self.epsilon)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(field, format!("{value} given; it must be positive")));
            }
        }
        for (field, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::config(field, format!("{value} given; it must be in [0, 1)")));
            }
        }
        Ok(AdamState { first: vec![0.0; n], second: vec![0.0; n], steps: 0, held: false, beta2: self.beta2 })
    }

    /// Replaces the gradient by the step.
    pub(crate) fn direct(&self, state: &mut AdamState, gradient: &mut [f64]) {
        state.steps = state.steps.saturating_add(1);
        let uncorrected = planted("adam_uncorrected");
        let first_correction = if uncorrected { 1.0 } else { 1.0 - self.beta1.powi(state.steps) };
        let second_correction = if state.held || uncorrected { 1.0 } else { 1.0 - self.beta2.powi(state.steps) };
        let moments = Moments {
            rule: *self,
            held: state.held && !planted("adam_own_normaliser"),
            // a (m/c₁) / (√(v/c₂) + ε) with one division an entry
            step: self.step / first_correction,
            shrink: 1.0 / second_correction,
            first: &mut state.first,
            second: &mut state.second,
            gradient,
        };
        Arch::new().dispatch(moments);
    }
}

/// One pass over gradient and moments.
struct Moments<'a> {
    rule: Adam,
    held: bool,
    step: f64,
    shrink: f64,
    first: &'a mut [f64],
    second: &'a mut [f64],
    gradient: &'a mut [f64],
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Adam { beta1, beta2, epsilon, .. } = self.rule;
        let (step, shrink) = (self.step, self.shrink);
        let entries = self.gradient.iter_mut().zip(self.first).zip(self.second);
        let first = |m: f64, g: f64| beta1 * m + (1.0 - beta1) * g;
        let length = |m: f64, v: f64| step * m / ((v * shrink).sqrt() + epsilon);
        if self.held {
            entries.for_each(|((g, m), v)| {
                *m = first(*m, *g);
                *g = length(*m, *v);
            });
        } else {
            entries.for_each(|((g, m), v)| {
                *m = first(*m, *g);
                *v = beta2 * *v + (1.0 - beta2) * *g * *g;
                *g = length(*m, *v);
            });
        }
    }
}

impl AdamState {
    pub(super) fn hold(&mut self) {
        if !self.held && self.steps > 0 {
            let correction = 1.0 - self.beta2.powi(self.steps);
            self.second.iter_mut().for_each(|v| *v /= correction);
            self.held = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_the_ones_of_the_paper() {
        let rule = Adam { step: 0.1, ..Adam::default() };
        let mut state = rule.init(1).unwrap();
        let mut g = [3.0];
        rule.direct(&mut state, &mut g);
        // bias correction: the first step is a · sign(g) whatever the size of g
        assert!((g[0] - 0.1).abs() < 1e-9);
        let mut g = [-1.0];
        rule.direct(&mut state, &mut g);
        // m = (0.9·0.3 − 0.1)/0.19, v = (0.999·0.009 + 0.001)/0.001999
        let expected = 0.1 * ((0.27 - 0.1) / 0.19) / (0.009_991_f64 / 0.001_999).sqrt();
        assert!((g[0] - expected).abs() < 1e-9);
        state.hold();
        let v = state.second[0];
        rule.direct(&mut state, &mut [5.0]);
        assert_eq!(state.second[0], v);
    }
}
