//! Adam, with all its state in the open so that a run can be resumed exactly.

use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::raw::{Number, slice, slice_mut, visible};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ + η m̂/(√v̂ + ε), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
///
/// Kingma & Ba 2015, algorithm 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The state of [`Adam`].
#[derive(Debug)]
pub struct Moments {
    /// t, the steps taken.
    pub steps: u64,
    /// m of every trained parameter.
    pub first: Vec<Tensor>,
    /// v of every trained parameter.
    pub second: Vec<Tensor>,
}

impl Moments {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> Self {
        let zeros = || parameters.trained().map(|p| p.value.detach().zeros_like()).collect();
        Moments { steps: 0, first: zeros(), second: zeros() }
    }
}

/// Numbers of one parameter handled by one thread at a time.
const CHUNK: usize = 1 << 14;

impl Adam {
    pub(crate) fn check(&self) -> Result<()> {
        for (field, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::config(field, format!("is {value}; it must be in [0, 1)")));
            }
        }
        if !(self.epsilon > 0.0) {
            return Err(Error::config("epsilon", format!("is {}; it must be positive", self.epsilon)));
        }
        Ok(())
    }

    /// One step along the gradients that lie at the parameters (of a loss, so downwards), each times `scale`.
    pub(crate) fn step(&self, parameters: &Parameters, moments: &mut Moments, rate: f64, scale: f64) {
        moments.steps += 1;
        let t = moments.steps.min(i32::MAX as u64) as i32;
        let rule = Rule {
            beta1: self.beta1,
            beta2: self.beta2,
            // η m̂/(√v̂ + ε) = η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε √(1 − β₂ᵗ))
            rate: rate / (1.0 - self.beta1.powi(t)),
            root: 1.0 / (1.0 - self.beta2.powi(t)).sqrt(),
            epsilon: self.epsilon,
            scale,
        };
        for ((parameter, m), v) in parameters.trained().zip(&mut moments.first).zip(&mut moments.second) {
            let mut value = parameter.value.shallow_clone();
            let gradient = value.grad();
            if !gradient.defined() {
                continue;
            }
            match value.kind() {
                Kind::Float if visible::<f32>(&gradient) => rule.slices::<f32>(&mut value, &gradient, m, v),
                Kind::Double if visible::<f64>(&gradient) => rule.slices::<f64>(&mut value, &gradient, m, v),
                _ => tch::no_grad(|| rule.tensors(&mut value, &gradient, m, v)),
            }
        }
    }
}

/// One step, worked out once for all parameters.
#[derive(Clone, Copy)]
struct Rule {
    beta1: f64,
    beta2: f64,
    rate: f64,
    root: f64,
    epsilon: f64,
    scale: f64,
}

/// Arithmetic of one number.
trait Update: Number {
    fn update(rule: &Rule, theta: &mut [Self], gradient: &[Self], m: &mut [Self], v: &mut [Self]);
}

macro_rules! update {
    ($number:ty) => {
        impl Update for $number {
            fn update(rule: &Rule, theta: &mut [Self], gradient: &[Self], m: &mut [Self], v: &mut [Self]) {
                let (b1, b2, rate) = (rule.beta1 as $number, rule.beta2 as $number, rule.rate as $number);
                let (c1, c2) = ((1.0 - rule.beta1) as $number, (1.0 - rule.beta2) as $number);
                let (root, epsilon, scale) = (rule.root as $number, rule.epsilon as $number, rule.scale as $number);
                for (((theta, g), m), v) in theta.iter_mut().zip(gradient).zip(m).zip(v) {
                    let g = g * scale;
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *theta -= rate * *m / (v.sqrt() * root + epsilon);
                }
            }
        }
    };
}

update!(f32);
update!(f64);

impl Rule {
    fn slices<E: Update>(&self, value: &mut Tensor, gradient: &Tensor, m: &mut Tensor, v: &mut Tensor) {
        if let (Some(theta), Some(g), Some(m), Some(v)) =
            (slice_mut::<E>(value), slice::<E>(gradient), slice_mut::<E>(m), slice_mut::<E>(v))
        {
            let chunks = theta.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(m.par_chunks_mut(CHUNK)).zip(v.par_chunks_mut(CHUNK));
            chunks.for_each(|(((theta, g), m), v)| E::update(self, theta, g, m, v));
        }
    }

    fn tensors(&self, value: &mut Tensor, gradient: &Tensor, m: &mut Tensor, v: &mut Tensor) {
        let g = gradient * self.scale;
        m.copy_(&(&*m * self.beta1 + &g * (1.0 - self.beta1)));
        v.copy_(&(&*v * self.beta2 + g.square() * (1.0 - self.beta2)));
        value.copy_(&(&*value - &*m * self.rate / (v.sqrt() * self.root + self.epsilon)));
    }
}

/// Σ g² over all gradients; NaN or infinite where one of them is.
pub(crate) fn square_norm(parameters: &Parameters) -> f64 {
    fn of<E: Number + Into<f64>>(g: &[E]) -> f64 {
        // chunks of fixed size, summed in order: the same on any number of threads
        let parts: Vec<f64> = g.par_chunks(CHUNK).map(|c| c.iter().map(|&v| v.into() * v.into()).sum()).collect();
        parts.iter().sum()
    }
    parameters
        .trained()
        .map(|p| {
            let g = p.value.grad();
            if !g.defined() {
                0.0
            } else if let Some(g) = slice::<f32>(&g) {
                of(g)
            } else if let Some(g) = slice::<f64>(&g) {
                of(g)
            } else {
                g.square().sum(Kind::Double).double_value(&[])
            }
        })
        .sum()
}
