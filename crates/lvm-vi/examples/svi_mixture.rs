//! A Bayesian mixture of a table that stays on disk, by stochastic natural gradients: memory does not grow with the rows.
//!
//! Run with `cargo run --release -p lvm-vi --example svi_mixture`.

#![allow(clippy::print_stdout)]

use lvm_core::fit::Stopping;
use lvm_core::random::{Purpose, stream};
use lvm_data::{NpyRows, ReadOptions, output};
use lvm_vi::cavi::mixture::{BayesianMixture, StochasticBayesianMixture, WeightPrior};
use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};

const ROWS: usize = 100_000;
const COLUMNS: usize = 4;
const CLUSTERS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("clusters.npy");
    output::write_npy(&file, &table())?;
    let rows = NpyRows::open(&file, &ReadOptions::default())?;
    println!("{ROWS} rows of {COLUMNS} columns on disk, in {CLUSTERS} clusters. ELBO, nats a row, every constant counted:\n");
    println!(
        "{:>12}{:>20}{:>8}{:>28}{:>8}   expected weights",
        "components", "coordinate ascent", "passes", "stochastic, batches of 1000", "passes"
    );
    let mut best = (f64::NEG_INFINITY, 0);
    for components in 3..=8 {
        let mixture = BayesianMixture {
            components,
            weights: WeightPrior::Dirichlet { concentration: 1.0 },
            stopping: Stopping { max_iterations: 50, tolerance: 1e-5 },
            restarts: 1,
            ..Default::default()
        };
        let batch = mixture.fit(&rows, 1)?;
        let stochastic = StochasticBayesianMixture { batch: 1000, ..StochasticBayesianMixture::new(mixture) }.fit(&rows, 1)?;
        let weights: Vec<String> = stochastic.model.weights().iter().map(|w| format!("{w:.3}")).collect();
        let (a, b) = (batch.objective(), stochastic.objective());
        println!("{components:>12}{a:>20.5}{:>8}{b:>28.5}{:>8}   {}", batch.trace.len(), stochastic.trace.len(), weights.join(" "));
        if b > best.0 {
            best = (b, components);
        }
    }
    println!("\nThe bound is largest with {} components: it pays for each of them, which a likelihood does not.", best.1);
    println!(
        "A stochastic pass reads a batch at a time, so memory does not grow with the rows; where coordinate ascent creeps it needs fewer passes."
    );
    Ok(())
}

/// Unit Gaussians around corners of a cube of side 6.
fn table() -> Array2<f64> {
    let mut rng = stream(3, Purpose::Sample, 0);
    Array2::from_shape_fn((ROWS, COLUMNS), |(n, j)| {
        let e: f64 = StandardNormal.sample(&mut rng);
        6.0 * f64::from(u8::from((n % CLUSTERS) >> (j % 3) & 1 == 1)) + e
    })
}
