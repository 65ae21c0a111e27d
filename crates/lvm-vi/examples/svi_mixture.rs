//! A Bayesian mixture of a table that stays on disk, by stochastic natural gradients: memory does not grow with the rows.
//!
//! Run with `cargo run --release -p lvm-vi --example svi_mixture`.

#![allow(clippy::print_stdout)]

use lvm_core::fit::Stopping;
use lvm_core::random::{Purpose, stream};
use lvm_data::{NpyRows, ReadOptions, output};
use lvm_vi::cavi::mixture::{BayesianMixture, BayesianMixtureModel, StochasticBayesianMixture, WeightPrior};
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
    println!("{ROWS} rows of {COLUMNS} columns on disk, {CLUSTERS} clusters; 12 components under a Dirichlet process prior.\n");

    let mixture = BayesianMixture {
        components: 12,
        weights: WeightPrior::DirichletProcess { concentration: 1.0 },
        stopping: Stopping { max_iterations: 20, tolerance: 1e-4 },
        restarts: 1,
        ..Default::default()
    };
    let batch = mixture.fit(&rows, 1)?;
    let stochastic = StochasticBayesianMixture { batch: 1000, ..StochasticBayesianMixture::new(mixture) }.fit(&rows, 1)?;
    show("coordinate ascent", batch.trace.len(), batch.objective(), &batch.model);
    show("stochastic, batches of 1000", stochastic.trace.len(), stochastic.objective(), &stochastic.model);
    println!("The bound counts every constant, so the two numbers can be compared with each other and across numbers of components.");
    println!("Weights the data does not ask for are near zero: the prior switches superfluous components off.");
    Ok(())
}

fn show(name: &str, passes: usize, elbo: f64, model: &BayesianMixtureModel) {
    let mut weights = model.weights().to_vec();
    weights.sort_by(|a, b| b.total_cmp(a));
    let weights: Vec<String> = weights.iter().map(|w| format!("{w:.3}")).collect();
    println!("{name}: ELBO {elbo:.4} nats a row after {passes} passes");
    println!("  expected weights {}\n", weights.join(" "));
}

/// Unit Gaussians around corners of a cube of side 6.
fn table() -> Array2<f64> {
    let mut rng = stream(3, Purpose::Sample, 0);
    Array2::from_shape_fn((ROWS, COLUMNS), |(n, j)| {
        let e: f64 = StandardNormal.sample(&mut rng);
        6.0 * f64::from(u8::from((n % CLUSTERS) >> (j % 3) & 1 == 1)) + e
    })
}
