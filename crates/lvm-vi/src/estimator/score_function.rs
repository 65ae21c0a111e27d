//! The score-function gradient: no derivative of log p, no reparameterisation, so discrete latents as well.
//!
//! Ranganath, Gerrish & Blei 2014; leave-one-out: Kool, van Hoof & Welling 2019.

use super::draw::{Tally, check_dimension, check_positive, next_value};
use super::{Control, Drawn, Memory, mean};
use crate::family::Variational;
use crate::target::LogDensity;
use lvm_core::mutant::planted;
use lvm_core::{Error, ErrorKind, Result};
use rand::Rng;

/// (1/S) Σ_s (f_s − b_s) ∇_λ log q(z_s; λ) with f = log p − log q and a baseline b_s independent of z_s, written over `gradient`.
///
/// As [`Gradient::estimate`](super::Gradient::estimate), for families without reparameterisation and targets without gradient.
///
/// # Errors
/// As there; and if fewer than two draws are asked for, or are usable, with [`Control::LeaveOneOut`], or the decay is outside [0, 1).
pub fn score_function<V: Variational, T: LogDensity + ?Sized>(
    q: &V,
    target: &T,
    control: Control,
    draws: usize,
    memory: &mut Memory,
    rng: &mut dyn Rng,
    gradient: &mut [f64],
) -> Result<Drawn> {
    check_dimension(q, target)?;
    check_positive("draws", draws)?;
    let (expected, found) = (q.parameters().len(), gradient.len());
    if expected != found {
        return Err(ErrorKind::Shape { what: "buffer of the gradient", expected, found }.into());
    }
    if draws < 2 && control == Control::LeaveOneOut {
        return Err(Error::config("draws", "the leave-one-out control variate needs at least 2 draws a step"));
    }
    gradient.fill(0.0);
    let mut tally = Tally::default();
    let mut samples = Vec::with_capacity(draws);
    for _ in 0..draws {
        let mut z = vec![0.0; q.dim()];
        if let Some(log_joint) = next_value(q, target, rng, &mut z, &mut tally)? {
            let log_q = if planted("score_without_q") { 0.0 } else { q.log_prob(&z) };
            samples.push((log_joint - log_q, z));
        }
    }
    tally.used = samples.len();
    let values: Vec<f64> = samples.iter().map(|(f, _)| *f).collect();
    let coefficients = match control {
        Control::None => values.clone(),
        Control::LeaveOneOut => leave_one_out(&values, &mut tally)?,
        Control::RunningMean { decay } => running_mean(q, target, decay, &values, memory, rng)?,
    };
    for ((_, z), coefficient) in samples.iter().zip(&coefficients) {
        q.add_score(z, *coefficient, gradient);
    }
    mean(values.iter().sum(), &tally, gradient)
}

/// f_s − mean of the others = S/(S − 1) (f_s − f̄).
fn leave_one_out(values: &[f64], tally: &mut Tally) -> Result<Vec<f64>> {
    if values.len() == 1 {
        tally.used = 0;
        tally.leave_out("it was the only usable one, and the leave-one-out control variate needs two".into());
    }
    tally.weight()?;
    let s = values.len() as f64;
    let mean = values.iter().sum::<f64>() / s;
    let others = if planted("baseline_of_its_own_draw") { 1.0 } else { s / (s - 1.0) };
    Ok(values.iter().map(|f| others * (f - mean)).collect())
}

/// f_s − b_s, b_{s+1} = decay b_s + (1 − decay) f_s. The very first baseline is f at a draw of its own, which the gradient does not use.
fn running_mean<V: Variational, T: LogDensity + ?Sized>(
    q: &V,
    target: &T,
    decay: f64,
    values: &[f64],
    memory: &mut Memory,
    rng: &mut dyn Rng,
) -> Result<Vec<f64>> {
    if !(0.0..1.0).contains(&decay) {
        return Err(Error::config("decay", format!("{decay} is outside [0, 1)")));
    }
    let mut baseline = match memory.baseline {
        Some(b) => b,
        None => {
            let mut z = vec![0.0; q.dim()];
            next_value(q, target, rng, &mut z, &mut Tally::default())?.map_or(0.0, |log_joint| log_joint - q.log_prob(&z))
        }
    };
    let coefficients = values
        .iter()
        .map(|f| {
            let coefficient = f - baseline;
            baseline = decay * baseline + (1.0 - decay) * f;
            coefficient
        })
        .collect();
    memory.baseline = Some(baseline);
    Ok(coefficients)
}
