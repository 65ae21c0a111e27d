//! Stochastic gradient ascent.

use lvm_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// λ_{t+1} = λ_t + a/(b + t)^κ g_t, t = 0, 1, …
///
/// With κ in (½, 1] the steps fulfil Σ ρ = ∞, Σ ρ² < ∞ (Robbins and Monro 1951) and the iterates converge; κ = 0 is a constant step,
/// whose iterates settle in a stationary distribution around the optimum that is averaged and made narrower from stage to stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RobbinsMonro {
    /// a > 0.
    pub step: f64,
    /// b ≥ 1.
    pub offset: f64,
    /// κ: 0, or in (½, 1].
    pub decay: f64,
}

impl RobbinsMonro {
    pub(super) fn check(&self) -> Result<()> {
        if !(self.step > 0.0 && self.step.is_finite()) {
            return Err(Error::config("step", format!("{} given; it must be positive", self.step)));
        }
        if !(self.offset >= 1.0) {
            return Err(Error::config("offset", format!("{} given; it must be at least 1", self.offset)));
        }
        if !(self.decay == 0.0 || (self.decay > 0.5 && self.decay <= 1.0)) {
            return Err(Error::config("decay", format!("{} given; it must be 0 (constant step) or in (0.5, 1]", self.decay)));
        }
        Ok(())
    }

    /// a/(b + t)^κ.
    pub fn length(&self, t: u64) -> f64 {
        self.step * (self.offset + t as f64).powf(-self.decay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_formula() {
        let rule = RobbinsMonro { step: 2.0, offset: 3.0, decay: 1.0 };
        assert_eq!((rule.length(0), rule.length(5)), (2.0 / 3.0, 0.25));
    }
}
