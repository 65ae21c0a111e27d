//! Steps without a step size.

use lvm_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Distance over gradients: with r̄_t = max_{s ≤ t} ‖λ_s − λ_0‖,
///
/// ```text
/// DoG    η_t = r̄_t / √Σ_{s ≤ t} ‖g_s‖²             Ivgi, Hinder and Carmon 2023, eq. 1
/// DoWG   η_t = r̄_t² / √Σ_{s ≤ t} r̄_s² ‖g_s‖²       Khaled, Mishchenko and Jin 2023, algorithm 1
/// ```
///
/// Both need the iterates averaged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DistanceOverGradients {
    /// The first movement, as a share of 1 + ‖λ_0‖; its size hardly matters.
    pub first: f64,
    /// Which of the two.
    pub weighting: Weighting,
}

/// How past gradients count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// Alike: DoG.
    Uniform,
    /// By the distance then reached: DoWG.
    ByDistance,
}

impl Default for DistanceOverGradients {
    fn default() -> Self {
        DistanceOverGradients { first: 1e-3, weighting: Weighting::Uniform }
    }
}

/// λ_0, r̄ and the sum under the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistanceState {
    pub(super) start: Vec<f64>,
    farthest: f64,
    sum: f64,
}

impl DistanceOverGradients {
    pub(super) fn init(&self, parameters: &[f64]) -> Result<DistanceState> {
        if !(self.first > 0.0 && self.first.is_finite()) {
            return Err(Error::config("first", format!("{} given; it must be positive", self.first)));
        }
        let norm = parameters.iter().map(|p| p * p).sum::<f64>().sqrt();
        Ok(DistanceState { start: parameters.to_vec(), farthest: self.first * (1.0 + norm), sum: 0.0 })
    }

    pub(super) fn length(&self, state: &mut DistanceState, gradient: &[f64], parameters: &[f64]) -> f64 {
        let distance = parameters.iter().zip(&state.start).map(|(p, s)| (p - s).powi(2)).sum::<f64>().sqrt();
        state.farthest = state.farthest.max(distance);
        let square = gradient.iter().map(|g| g * g).sum::<f64>();
        let (weight, numerator) = match self.weighting {
            Weighting::Uniform => (1.0, state.farthest),
            Weighting::ByDistance => (state.farthest.powi(2), state.farthest.powi(2)),
        };
        let sum = state.sum + weight * square;
        if !sum.is_finite() {
            // the step would be 0 for ever after; this one is
            return 0.0;
        }
        state.sum = sum;
        if state.sum > 0.0 { numerator / state.sum.sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_formulas() {
        for (weighting, second) in [(Weighting::Uniform, 2.0 / 5.0), (Weighting::ByDistance, 4.0 / (1e-6_f64 * 9.0 + 4.0 * 16.0).sqrt())] {
            let rule = DistanceOverGradients { first: 1e-3, weighting };
            let mut state = rule.init(&[0.0]).unwrap();
            assert!((rule.length(&mut state, &[3.0], &[0.0]) - 1e-3 / 3.0).abs() < 1e-15);
            assert!((rule.length(&mut state, &[4.0], &[2.0]) - second).abs() < 1e-12);
        }
    }
}
