//! Adaptive moment estimation.

use lvm_core::mutant::planted;
use lvm_core::{Error, Result};
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
        let first_correction = if planted("adam_uncorrected") { 1.0 } else { 1.0 - self.beta1.powi(state.steps) };
        let second_correction = if state.held || planted("adam_uncorrected") { 1.0 } else { 1.0 - self.beta2.powi(state.steps) };
        for ((g, m), v) in gradient.iter_mut().zip(&mut state.first).zip(&mut state.second) {
            *m = self.beta1 * *m + (1.0 - self.beta1) * *g;
            if !state.held || planted("adam_own_normaliser") {
                *v = self.beta2 * *v + (1.0 - self.beta2) * *g * *g;
            }
            *g = self.step * (*m / first_correction) / ((*v / second_correction).sqrt() + self.epsilon);
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
