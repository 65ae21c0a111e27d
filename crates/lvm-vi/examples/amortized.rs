//! Encoders for a Bernoulli factor model of binary digits: what amortization costs, on rows seen and not seen in training, and what a step
//! or two of refinement give back.
//!
//! Run with `cargo run --release -p lvm-vi --example amortized`.

#![allow(clippy::print_stdout)]

use lvm_core::fit::Stopping;
use lvm_core::model::Evidence;
use lvm_vi::amortized::{Activation, Amortized, AmortizedVi, EncoderConfig};
use lvm_vi::local::{self, Shape};
use lvm_vi::models::bernoulli_factor::{BernoulliFactor, BernoulliFactorEm};
use ndarray::{Array2, Axis};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let digits = lvm_data::datasets::digits()?.x;
    // ink or none, in the pixels that are neither always on nor always off
    let binary = digits.mapv(|v| f64::from(u8::from(v > 8.0)));
    let varying: Vec<usize> = (0..64).filter(|&j| (0.02..0.98).contains(&binary.column(j).mean().unwrap_or(0.0))).collect();
    let rows = |range: std::ops::Range<usize>| binary.select(Axis(1), &varying).select(Axis(0), &range.collect::<Vec<_>>());
    let (train, held_out) = (rows(0..600), rows(1700..1750));

    let stopping = Stopping { max_iterations: 60, tolerance: 1e-5 };
    let fitted = BernoulliFactorEm { latents: 2, stopping, ..Default::default() }.fit(&train, 1)?;
    let model = fitted.model;
    println!("Bernoulli factor model of {} pixels with 2 latents, fitted to {} digits", varying.len(), train.nrows());
    let evidence = model.log_evidence(&held_out)?.mean().unwrap_or(f64::NAN);
    println!("log evidence of {} other digits by quadrature: {evidence:.4} nats a row\n", held_out.nrows());
    println!("{:<18}{:>12}{:>12}{:>14}{:>14}{:>14}", "encoder", "gap, seen", "gap, new", "1 step, new", "3 steps, new", "family, new");
    let configs = [("affine", vec![]), ("one layer of 32", vec![32]), ("two layers of 32", vec![32, 32])];
    for (name, hidden) in configs {
        let encoder = EncoderConfig { hidden, activation: Activation::Tanh, shape: Shape::Full };
        let stopping = Stopping { max_iterations: 40, tolerance: 0.0 };
        let amortized = AmortizedVi { encoder, stopping, ..Default::default() }.fit(&model, &train, 1)?.model;
        report(name, &amortized, &train, &held_out, evidence)?;
    }
    println!(
        "\nAll in nats a row. The gap is what the encoder loses against each row's own best Gaussian; the family's own loss against the"
    );
    println!("evidence is the last column. A richer encoder fits the rows it has seen; refinement helps every row.");
    Ok(())
}

fn report(
    name: &str,
    amortized: &Amortized<BernoulliFactor>,
    train: &Array2<f64>,
    held_out: &Array2<f64>,
    evidence: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let seen = amortized.amortization_gap(train)?.mean;
    let gap = amortized.amortization_gap(held_out)?;
    let best = gap.optimum.mean().unwrap_or(f64::NAN);
    let left = |steps| -> lvm_core::Result<f64> {
        let refined = amortized.refine(held_out, steps)?;
        Ok(best - local::elbo(&amortized.model, &refined, held_out)? / held_out.nrows() as f64)
    };
    println!("{name:<18}{seen:>12.4}{:>12.4}{:>14.6}{:>14.2e}{:>14.4}", gap.mean, left(1)?, left(3)?, evidence - best);
    Ok(())
}
