//! The posterior of probabilistic PCA on 1797 handwritten digits by five methods, each judged by the exact one.
//!
//! Run with `cargo run --release -p lvm-vi --example infer_ppca`.

#![allow(clippy::print_stdout)]

use lvm_core::linalg;
use lvm_core::linear_gaussian::{GaussianPosterior, LinearGaussian};
use lvm_core::model::{Evidence, Infer};
use lvm_core::ppca::PpcaMl;
use lvm_core::random::{Purpose, stream};
use lvm_vi::amortized::LinearEncoderNewton;
use lvm_vi::local::{self, CoordinateAscent, LocalGaussian, PerDatum, Shape};
use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let x = lvm_data::datasets::digits()?.x;
    let ppca = PpcaMl { components: 10, ..Default::default() }.fit(&x, 0)?.model;
    println!("probabilistic PCA, {} rows, {} columns, 10 latents, parameters at the maximum of the likelihood", x.nrows(), x.ncols());

    println!("\nPrincipal axes: WᵀW is diagonal, the latents are independent given x, and the mean field is exact.");
    judge(ppca.linear_gaussian(), &x)?;

    // W R has the same W Wᵀ for any rotation R: the same density of x, but another posterior of z
    let mut rng = stream(1, Purpose::Start, 0);
    let noise = Array2::from_shape_simple_fn((10, 10), || StandardNormal.sample(&mut rng));
    let (rotation, _) = linalg::qr(noise.view())?;
    let turned = LinearGaussian::new(ppca.mean().clone(), ppca.loadings().dot(&rotation), ppca.linear_gaussian().noise().clone())?;
    println!("\nThe same density with the axes turned at random: the latents depend on each other, which a mean field can't say.");
    judge(&turned, &x)
}

fn judge(model: &LinearGaussian, x: &Array2<f64>) -> Result<(), Box<dyn std::error::Error>> {
    let evidence = model.log_evidence(x)?;
    let posterior = model.infer(x)?;
    println!("log evidence {:.6} nats a row", evidence.mean().unwrap_or(f64::NAN));
    println!("{:<34}{:>14}{:>14}{:>12}{:>12}{:>11}", "method", "ELBO a row", "gap a row", "mean KL", "sd ratio", "time");
    timed("closed form, mean field", model, &posterior, x, || local::mean_field(model, x))?;
    timed("coordinate ascent, mean field", model, &posterior, x, || Ok(CoordinateAscent::default().fit(model, x)?.model))?;
    let diagonal = PerDatum { shape: Shape::Diagonal, ..Default::default() };
    timed("gradients, mean field", model, &posterior, x, || Ok(diagonal.fit(model, x)?.model))?;
    timed("gradients, full covariance", model, &posterior, x, || Ok(PerDatum::default().fit(model, x)?.model))?;
    let encoder = LinearEncoderNewton { shape: Shape::Full, ..Default::default() };
    timed("affine encoder, full covariance", model, &posterior, x, || encoder.fit(model, x)?.model.infer(x))
}

fn timed(
    name: &str,
    model: &LinearGaussian,
    posterior: &GaussianPosterior,
    x: &Array2<f64>,
    infer: impl Fn() -> lvm_core::Result<LocalGaussian>,
) -> Result<(), Box<dyn std::error::Error>> {
    // the first call warms up
    infer()?;
    let start = Instant::now();
    let q = infer()?;
    let time = start.elapsed();
    let elbo = local::elbo_rows(model, &q, x)?.mean().unwrap_or(f64::NAN);
    let gap = model.log_evidence(x)?.mean().unwrap_or(f64::NAN) - elbo;
    let kl = q.kl(posterior)?.mean().unwrap_or(f64::NAN);
    let exact = posterior.covariance(0).diag().mapv(f64::sqrt);
    let ratio = (&q.standard_deviations().row(0) / &exact).fold(f64::INFINITY, |m: f64, v| m.min(*v));
    println!("{name:<34}{elbo:>14.6}{gap:>14.2e}{kl:>12.2e}{ratio:>12.4}{:>9.2} ms", time.as_secs_f64() * 1e3);
    Ok(())
}
