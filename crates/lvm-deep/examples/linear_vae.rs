//! A linear autoencoder is probabilistic PCA, found by stochastic gradients: how near does training come to the closed form?
//!
//! `cargo run --release -p lvm-deep --example linear_vae [TABLE [LATENTS [EPOCHS [RATE]]]]`, with TABLE one of iris, wine, tobamovirus, digits.

#![allow(clippy::print_stdout)]

use lvm_core::model::Evidence;
use lvm_core::ppca::PpcaMl;
use lvm_deep::Kind;
use lvm_deep::architecture::Architecture;
use lvm_deep::data::Dataset;
use lvm_deep::objective::{Elbo, Objective};
use lvm_deep::optimizer::Schedule;
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use ndarray::Axis;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, default: &str| arguments.get(i).cloned().unwrap_or_else(|| default.to_owned());
    let (name, latents): (_, usize) = (argument(0, "iris"), argument(1, "2").parse()?);
    let (epochs, rate): (usize, f64) = (argument(2, "4000").parse()?, argument(3, "0.02").parse()?);
    let table = match name.as_str() {
        "iris" => lvm_data::datasets::iris()?,
        "wine" => lvm_data::datasets::wine()?,
        "tobamovirus" => lvm_data::datasets::tobamovirus()?,
        "digits" => lvm_data::datasets::digits()?,
        other => return Err(format!("there is no table {other}; there are iris, wine, tobamovirus, digits").into()),
    };
    let mut x = table.x;
    if name == "wine" {
        let (mean, sd) = (x.mean_axis(Axis(0)).ok_or("no rows")?, x.std_axis(Axis(0), 0.0));
        x = (x - mean) / sd;
    }
    let ppca = PpcaMl { components: latents, ..Default::default() }.fit(&x, 0)?.model;
    let target = ppca.log_evidence(&x)?.mean().ok_or("no rows")?;

    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu)?;
    let vae = Vae::new(Architecture::linear(x.ncols() as i64, latents as i64), &data, 1)?;
    let training = Training {
        objective: Objective::Elbo(Elbo { draws: 1, ..Default::default() }),
        epochs,
        batch_size: x.nrows(),
        learning_rate: Schedule::Cosine { start: rate, end: rate * 1e-4 },
        ..Default::default()
    };
    let trained = training.fit(vae, &data, None, 1)?;
    println!(
        "{name}, {} rows, {} columns, {latents} latents: evidence of probabilistic PCA {target:.6} nats a row, sigma^2 {:.6}",
        x.nrows(),
        x.ncols(),
        ppca.noise_variance()
    );
    for (at, epoch) in trained.epochs.iter().enumerate().filter(|(at, _)| (at + 1) % (epochs / 10).max(1) == 0) {
        println!("epoch {:6}: bound {:.6}, short of it by {:.6}", at + 1, epoch.train.bound, target - epoch.train.bound);
    }
    Ok(())
}
