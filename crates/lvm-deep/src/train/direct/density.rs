//! log p(x | z) of a panel and its slope in the decoder's outputs, in one pass.
//!
//! ```text
//! Bernoulli  log p = Σ [x a − log(1 + eᵃ)],                          ∂/∂a = x − σ(a)
//! Gaussian   log p = −½ Σ [log 2π + v + (x − μ)² e^{−v}],   ∂/∂μ = (x − μ) e^{−v},   ∂/∂v = ½ ((x − μ)² e^{−v} − 1)
//! ```

use super::elementary::{Real, exp, sigmoid_softplus};
use super::lanes::{LANES, Lanes};
use super::latent::clamp;
use crate::likelihood::gaussian::LOG_VARIANCE_LIMIT;
use pulp::Simd;
use std::f64::consts::PI;

/// A density whose slope is known here.
pub(super) enum Density<E> {
    Bernoulli,
    Gaussian {
        /// v of every column as it is trained or fixed; `None`: the decoder delivers v behind μ.
        log_variance: Option<Vec<E>>,
        /// log 2π + 2 log s of every column, s the unit in which the density is stated.
        constants: Vec<E>,
    },
}

impl<E: Real> Density<E> {
    /// Of D columns with v shared by all (one number), for each (D), or from the decoder.
    pub(super) fn gaussian(log_variance: Option<&[E]>, units: Option<&[E]>, columns: usize) -> Self {
        let constant = |d: usize| E::of((2.0 * PI).ln() + units.map_or(0.0, |s| 2.0 * s[d].wide().ln()));
        let log_variance = log_variance.map(|v| if v.len() == 1 { vec![v[0]; columns] } else { v.to_vec() });
        Density::Gaussian { log_variance, constants: (0..columns).map(constant).collect() }
    }

    /// Adds log p of every row to `sums`; writes into `slope` that of the loss −Σ w log p in the outputs, and adds that in v to `spread`
    /// where v is trained by column. `observed` is empty where all entries are there.
    #[inline(always)]
    pub(super) fn evaluate<S: Simd>(
        &self,
        outputs: &[Lanes<E>],
        (targets, observed): (&[Lanes<E>], &[Lanes<E>]),
        weight: Lanes<E>,
        sums: &mut [f64; LANES],
        slope: &mut [Lanes<E>],
        spread: &mut [Lanes<E>],
    ) {
        let d = targets.len();
        let place = |d: usize| observed.get(d).copied().unwrap_or(Lanes([E::ONE; LANES]));
        let mut sum = Sum::new(sums);
        match self {
            Density::Bernoulli => {
                for (d, ((a, x), slope)) in outputs.iter().zip(targets).zip(slope).enumerate() {
                    let there = place(d);
                    let mut value = Lanes::ZERO;
                    for i in 0..LANES {
                        let (sigma, softplus) = sigmoid_softplus::<S, E>(a.0[i]);
                        value.0[i] = there.0[i] * (x.0[i] * a.0[i] - softplus);
                        slope.0[i] = there.0[i] * weight.0[i] * (sigma - x.0[i]);
                    }
                    sum.add(value);
                }
            }
            Density::Gaussian { log_variance: Some(log_variance), constants } => {
                let limit = E::of(LOG_VARIANCE_LIMIT);
                for (d, x) in targets.iter().enumerate() {
                    let v = clamp(log_variance[d], limit);
                    let precision = exp::<S, E>(-v);
                    let (there, inside) = (place(d), if log_variance[d].abs() > limit { E::ZERO } else { E::HALF });
                    let mut value = Lanes::ZERO;
                    let mut of_v = Lanes::ZERO;
                    for i in 0..LANES {
                        let error = x.0[i] - outputs[d].0[i];
                        let square = error * error * precision;
                        let w = there.0[i] * weight.0[i];
                        value.0[i] = -(E::HALF * there.0[i] * (square + v + constants[d]));
                        slope[d].0[i] = -(w * error * precision);
                        of_v.0[i] = inside * w * (E::ONE - square);
                    }
                    if let Some(spread) = spread.get_mut(d) {
                        *spread = spread.with(of_v, |a, b| a + b);
                    }
                    sum.add(value);
                }
            }
            Density::Gaussian { log_variance: None, constants } => {
                let limit = E::of(LOG_VARIANCE_LIMIT);
                let (of_mean, of_v) = slope.split_at_mut(d);
                for (d, x) in targets.iter().enumerate() {
                    let (there, raw) = (place(d), outputs[targets.len() + d]);
                    let mut value = Lanes::ZERO;
                    for i in 0..LANES {
                        let v = clamp(raw.0[i], limit);
                        let precision = exp::<S, E>(-v);
                        let error = x.0[i] - outputs[d].0[i];
                        let square = error * error * precision;
                        let w = there.0[i] * weight.0[i];
                        value.0[i] = -(E::HALF * there.0[i] * (square + v + constants[d]));
                        of_mean[d].0[i] = -(w * error * precision);
                        of_v[d].0[i] = if raw.0[i].abs() > limit { E::ZERO } else { E::HALF * w * (E::ONE - square) };
                    }
                    sum.add(value);
                }
            }
        }
        sum.finish();
    }
}

/// Sums of rows: a few entries in their own kind of number, those sums in f64.
struct Sum<'a, E> {
    few: Lanes<E>,
    count: usize,
    total: &'a mut [f64; LANES],
}

impl<'a, E: Real> Sum<'a, E> {
    fn new(total: &'a mut [f64; LANES]) -> Self {
        Sum { few: Lanes::ZERO, count: 0, total }
    }

    #[inline(always)]
    fn add(&mut self, value: Lanes<E>) {
        self.few = self.few.with(value, |a, b| a + b);
        self.count += 1;
        if self.count == 8 {
            self.widen();
        }
    }

    #[inline(always)]
    fn widen(&mut self) {
        for (total, few) in self.total.iter_mut().zip(self.few.0) {
            *total += few.wide();
        }
        self.few = Lanes::ZERO;
        self.count = 0;
    }

    #[inline(always)]
    fn finish(mut self) {
        self.widen();
    }
}
