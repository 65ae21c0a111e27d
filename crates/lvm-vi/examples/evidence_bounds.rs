//! Four estimates of log p(x) beside the exact value, as the number of latents grows: drawing from the prior fails.
//!
//! Run with `cargo run --release -p lvm-vi --example evidence_bounds`.

#![allow(clippy::print_stdout)]

use lvm_core::bound::{Estimate, importance, iwae};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_vi::local::{self, LocalGaussian, Shape};
use ndarray::{Array1, Array2};
use rand_distr::{Distribution, StandardNormal};

const ROWS: usize = 20;
const DRAWS: usize = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "Factor analysis with q latents and 2q columns, {ROWS} rows; nats a row, estimates minus the exact log p(x); q is the mean field."
    );
    println!("Every sampled column spends {DRAWS} draws a row. ± is one standard error as the method itself reports it.\n");
    println!("{:>3}{:>12}{:>20}{:>20}{:>12}{:>20}", "q", "log p(x)", "prior draws", "importance from q", "ELBO of q", "IWAE of q, k = 100");
    for q in [1, 2, 5, 10, 20, 40] {
        let model = model(q)?;
        let mut rng = stream(2, Purpose::Sample, q as u64);
        let x = model.sample_x(&model.sample_z(ROWS, &mut rng), &mut rng)?;
        let exact = model.log_evidence(&x)?.sum();
        let prior = LocalGaussian::standard(ROWS, q, Shape::Diagonal)?;
        let mean_field = local::mean_field(&model, &x)?;
        let naive = importance(&model, &prior, &x, DRAWS, 3)?.total;
        let weighted = importance(&model, &mean_field, &x, DRAWS, 4)?.total;
        let elbo = local::elbo(&model, &mean_field, &x)?;
        let tighter = iwae(&model, &mean_field, &x, 100, DRAWS / 100, 5)?.total;
        let show = |e: Estimate| format!("{:.3} ± {:.3}", (e.mean - exact) / ROWS as f64, e.std_err / ROWS as f64);
        println!(
            "{q:>3}{:>12.3}{:>20}{:>20}{:>12.3}{:>20}",
            exact / ROWS as f64,
            show(naive),
            show(weighted),
            (elbo - exact) / ROWS as f64,
            show(tighter)
        );
    }
    println!("\nPrior draws are unbiased for p(x), yet with many latents no draw comes near the posterior: the logarithm is too low by");
    println!(
        "dozens of nats, and the standard error, made of the same draws, does not know. Draws from q, even a mean field, find the mass."
    );
    Ok(())
}

/// Loadings with a correlated posterior: independent normal entries.
fn model(q: usize) -> lvm_core::Result<LinearGaussian> {
    let mut rng = stream(1, Purpose::Start, q as u64);
    let loadings = Array2::from_shape_simple_fn((2 * q, q), || {
        let e: f64 = StandardNormal.sample(&mut rng);
        e / (q as f64).sqrt()
    });
    LinearGaussian::new(Array1::zeros(2 * q), loadings, Array1::from_elem(2 * q, 0.3))
}
