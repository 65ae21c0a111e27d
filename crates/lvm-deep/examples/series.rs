//! Windows of a numeric time series by an autoregressive decoder: generation, and detection of planted anomalies.
//!
//! `cargo run --release -p lvm-deep --example series -- [--quick] [--device cuda] [--minutes M] [--seed 1]`
//!
//! No data is needed: the signal is simulated like a pulse wave. A sharp systolic peak and a smaller one behind it in every beat, a rate that
//! wanders, breathing in the baseline and in the amplitude, and noise. p(x | z) = Π_t N(x_t; μ_t, σ_t²) with μ_t, σ_t from a gated recurrent net
//! over x_<t and z. Anomalies are planted in windows that training has not seen; a window's score is −ELBO, and with it −the worst step's log p.
//! The epoch is chosen by windows of a third stretch of the signal, in which nothing is planted and of which nothing is reported.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_core::random::{Purpose, stream};
use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::evidence::{EvaluationMemory, elbo};
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::{Cell, RecurrentSpec, Steps};
use lvm_deep::objective::{Elbo, KlTerm, Objective};
use lvm_deep::optimizer::Schedule;
use lvm_deep::tasks::auroc;
use lvm_deep::tasks::generation::simulate;
use lvm_deep::tensor::{to_matrix, to_values};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use ndarray::{Array2, ArrayViewMut1, Axis};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use shared::{Arguments, Outcome, activity, device, mean_of, train};
use std::f64::consts::TAU;

/// Samples a window: about three beats.
const LENGTH: usize = 64;

fn main() -> Outcome {
    let arguments = Arguments::new();
    let (quick, seed) = (arguments.flag("quick"), arguments.option("seed", 1)?);
    let device = device(&arguments)?;
    let (n, m) = if quick { (1500, 300) } else { (10_000, 1000) };
    let x = windows(&pulse(n * LENGTH, seed, 0));
    let clean = windows(&pulse(m * LENGTH, seed, 1));
    let data = Dataset::new(&x, Kind::Float, device)?;
    let test = Dataset::new(&clean, Kind::Float, device)?;
    let valid = Dataset::new(&windows(&pulse(m * LENGTH, seed, 2)), Kind::Float, device)?;

    let spec = RecurrentSpec { steps: Steps::Numbers { columns: 1 }, cell: Cell::Gru, hidden: 48, layers: 1 };
    let architecture = Architecture {
        encoder: EncoderSpec::Recurrent(spec.clone()),
        decoder: DecoderSpec::Recurrent(spec),
        likelihood: LikelihoodSpec::Gaussian(Variance::Entries),
        ..Architecture::mlp(LENGTH as i64, 8, &[])
    };
    let epochs = arguments.option("epochs", if quick { 15 } else { 40 })?;
    let training = Training {
        objective: Objective::Elbo(Elbo { free_nats: 0.1, ..Elbo::default() }),
        epochs,
        batch_size: 64,
        learning_rate: Schedule::Exponential { start: 5e-3, end: 5e-4 },
        clip_norm: Some(100.0),
        warm_up: epochs / 3,
        ..Training::default()
    };
    let vae = train(&training, Vae::new(architecture, &data, seed)?, &data, Some(&valid), &arguments)?.vae;
    let bound = |data: &Dataset| elbo(&vae, &data.rows, KlTerm::Analytic, 4, EvaluationMemory::default(), 7);
    let usual = bound(&test)?;
    let (nats, error) = mean_of(&usual);
    println!("test ELBO {nats:.2} +- {error:.2} nats a window of {LENGTH} standardised samples");
    activity(&vae, &test.rows)?;

    // log p(x_t | x_<t, z) of the worst step at the mode of q
    let worst = |data: &Dataset| {
        let _no_grad = tch::no_grad_guard();
        let z = vae.posterior(&data.rows).mode();
        let steps = vae.parts.likelihood.log_prob_entries(&vae.parts.decoder.outputs(&z, &data.rows), &data.rows);
        to_values(&-steps.amin([-1].as_slice(), false))
    };
    let scores = |bound: &lvm_core::bound::Bound| bound.rows.iter().map(|r| -r.mean).collect::<Vec<f64>>();
    let (usual, usual_worst) = (scores(&usual), worst(&test));
    println!("planted anomaly                            AUROC by -ELBO   by the worst step");
    let (mut all, mut all_worst) = (Vec::new(), Vec::new());
    for (kind, anomaly) in Anomaly::ALL.into_iter().enumerate() {
        let mut strange = clean.clone();
        for (row, mut window) in strange.axis_iter_mut(Axis(0)).enumerate() {
            anomaly.plant(&mut window, &mut stream(seed, Purpose::Sample, (kind * m + row) as u64));
        }
        let strange = Dataset::new(&strange, Kind::Float, device)?;
        let (score, step) = (scores(&bound(&strange)?), worst(&strange));
        println!("{:42} {:14.3} {:19.3}", anomaly.name(), auroc(&usual, &score)?, auroc(&usual_worst, &step)?);
        all.extend(score);
        all_worst.extend(step);
    }
    println!("{:42} {:14.3} {:19.3}", "all together", auroc(&usual, &all)?, auroc(&usual_worst, &all_worst)?);

    println!("\nthree windows drawn from the model, and below them three of the signal:");
    for window in to_matrix(&simulate(&vae, 3, None, seed)?.batch.x)?.outer_iter().chain(clean.outer_iter().take(3)) {
        let level = |v: &f64| ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][((v + 2.0) * 1.6).clamp(0.0, 7.0) as usize];
        println!("  {}", window.iter().map(level).collect::<String>());
    }
    Ok(())
}

/// n samples of the signal, about mean 0 and variance 1.
fn pulse(n: usize, seed: u64, part: u64) -> Vec<f64> {
    let rng = &mut stream(seed, Purpose::Split, 1 + part);
    let normal = |rng: &mut lvm_core::random::Stream| rng.sample::<f64, _>(StandardNormal);
    let (mut phase, mut rate, mut noise) = (0.0, 1.0 / 21.0, 0.0);
    (0..n)
        .map(|t| {
            // the rate wanders about 21 samples a beat
            rate += 0.02 * (1.0 / 21.0 - rate) + 0.0006 * normal(rng);
            phase += rate;
            let beat = TAU * phase;
            let breath = (TAU * t as f64 / 97.0).sin();
            let bump = |centre: f64, width: f64| (((beat - centre).cos() - 1.0) / width).exp();
            noise = 0.6 * noise + 0.08 * normal(rng);
            (2.6 + 0.35 * breath) * bump(1.2, 0.25) + 1.1 * bump(3.0, 0.35) - 1.25 + 0.25 * breath + noise
        })
        .collect()
}

fn windows(signal: &[f64]) -> Array2<f64> {
    Array2::from_shape_fn((signal.len() / LENGTH, LENGTH), |(n, t)| signal[n * LENGTH + t])
}

/// What goes wrong in a monitor.
#[derive(Debug, Clone, Copy)]
enum Anomaly {
    Spike,
    LostContact,
    Shift,
    Noise,
    MissedBeat,
    DoubleRate,
}

impl Anomaly {
    const ALL: [Self; 6] = [Self::Spike, Self::LostContact, Self::Shift, Self::Noise, Self::MissedBeat, Self::DoubleRate];

    fn name(self) -> &'static str {
        match self {
            Self::Spike => "a spike of one sample (1 sd)",
            Self::LostContact => "a sensor that holds its value (10 samples)",
            Self::Shift => "a level that jumps by half a sd",
            Self::Noise => "more noise (0.3 sd for 20 samples)",
            Self::MissedBeat => "a beat of half the height",
            Self::DoubleRate => "a stretch at double rate",
        }
    }

    fn plant(self, window: &mut ArrayViewMut1<'_, f64>, rng: &mut impl Rng) {
        let at = rng.random_range(8..LENGTH - 24);
        match self {
            Self::Spike => window[at] += if rng.random::<bool>() { 1.0 } else { -1.0 },
            Self::LostContact => {
                let value = window[at];
                (at..at + 10).for_each(|t| window[t] = value);
            }
            Self::Shift => (at..LENGTH).for_each(|t| window[t] += 0.5),
            Self::Noise => (at..at + 20).for_each(|t| window[t] += 0.3 * rng.sample::<f64, _>(StandardNormal)),
            Self::MissedBeat => (at..at + 21).for_each(|t| window[t] = -1.0 + 0.5 * (window[t] + 1.0)),
            Self::DoubleRate => {
                let before = window.to_vec();
                (0..12).for_each(|t| window[at + t] = before[at + 2 * t]);
            }
        }
    }
}
