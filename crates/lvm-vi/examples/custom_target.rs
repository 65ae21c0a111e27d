//! A posterior of one's own: a robust regression, written as a log density, checked, fitted in two families, and judged.
//!
//! Run with `cargo run --release -p lvm-vi --example custom_target`.

#![allow(clippy::print_stdout)]

use lvm_core::special::lgamma;
use lvm_vi::check;
use lvm_vi::diagnose::{Diagnose, Diagnosis};
use lvm_vi::family::{Family, FullRank, MeanField};
use lvm_vi::fit::{Optimum, Vi};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2};

/// Degrees of freedom of the noise: heavy tails, so that outliers pull little.
const NU: f64 = 4.0;

/// waiting_n = a + b eruption_n + σ t_ν,   a, b ~ N(0, 100²),   η = log σ ~ N(1, 1);   z = (a, b, η).
struct Robust {
    eruption: Array1<f64>,
    waiting: Array1<f64>,
}

impl LogDensity for Robust {
    fn dim(&self) -> usize {
        3
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 3])
    }
}

impl LogDensityGrad for Robust {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let [a, b, eta] = [z[0], z[1], z[2]];
        let sigma = eta.exp();
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(TargetError::Recoverable(format!("σ = exp({eta}) is no standard deviation")));
        }
        // normal priors
        let log_2pi = std::f64::consts::TAU.ln();
        let mut value = -0.5 * ((a * a + b * b) / 1e4 + (eta - 1.0).powi(2)) - 2.0 * 100f64.ln() - 1.5 * log_2pi;
        gradient.copy_from_slice(&[-a / 1e4, -b / 1e4, 1.0 - eta]);
        // t_ν noise
        let constant = lgamma(0.5 * (NU + 1.0)) - lgamma(0.5 * NU) - 0.5 * (NU * std::f64::consts::PI).ln();
        for (x, y) in self.eruption.iter().zip(&self.waiting) {
            let r = (y - a - b * x) / sigma;
            value += constant - eta - 0.5 * (NU + 1.0) * (r * r / NU).ln_1p();
            let pull = (NU + 1.0) * r / (NU + r * r);
            gradient[0] += pull / sigma;
            gradient[1] += pull * x / sigma;
            gradient[2] += pull * r - 1.0;
        }
        Ok(value)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = lvm_data::datasets::old_faithful()?;
    let target = Robust { eruption: table.x.column(0).to_owned(), waiting: table.x.column(1).to_owned() };
    println!("Old Faithful: minutes to the next eruption = a + b (minutes of this one) + t₄ noise.\n");
    println!("gradient: {}\n", check::gradient(&target, &[vec![30.0, 11.0, 1.5], vec![35.0, 10.0, 2.0]])?);

    let (mean, sd) = ([30.0, 10.0, 1.5], [1.0, 0.3, 0.1]);
    let narrow = Vi::new(MeanField::new(&mean, &sd)?).fit(&target, 1)?.model;
    report("mean field", &narrow, &Diagnose::default().run(&narrow.q, &target, 2)?);
    let start = Array2::from_diag(&Array1::from(sd.map(|s| s * s).to_vec()));
    let full = Vi::new(FullRank::new(&mean, start.view())?).fit(&target, 1)?.model;
    report("full covariance", &full, &Diagnose::default().run(&full.q, &target, 2)?);
    println!(
        "Intercept and slope are strongly correlated: a mean field makes both standard deviations too small, and its verdict says so."
    );
    Ok(())
}

fn report<F: Family>(name: &str, fitted: &Optimum<F>, found: &Diagnosis) {
    println!(
        "{name}: ELBO {:.3} ± {:.3}, log evidence by its weighted draws {:.3}",
        fitted.elbo.mean, fitted.elbo.std_err, found.log_evidence.mean
    );
    let (mean, sd) = (fitted.q.mean(), fitted.q.standard_deviations());
    println!("  {:<8}{:>12}{:>10}{:>22}{:>10}", "", "mean of q", "sd of q", "posterior, weighted", "sd");
    for (i, name) in ["a", "b", "log σ"].iter().enumerate() {
        let m = &found.moments;
        println!("  {name:<8}{:>12.3}{:>10.3}{:>22.3}{:>10.3}", mean[i], sd[i], m.mean[i], m.standard_deviation[i]);
    }
    println!("  verdict: {}\n", found.verdict);
}
