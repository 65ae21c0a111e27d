//! V5: a linear autoencoder trained to the end is probabilistic PCA.

use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use crate::tables;
use lvm_core::model::Evidence;
use lvm_core::ppca::PpcaMl;
use lvm_deep::Kind;
use lvm_deep::architecture::Architecture;
use lvm_deep::data::Dataset;
use lvm_deep::objective::{Elbo, Objective};
use lvm_deep::optimizer::Schedule;
use lvm_deep::tensor::{to_matrix, to_values};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use ndarray::{Array1, Array2, Axis};
use std::f64::consts::PI;

/// ELBO of every row of a linear autoencoder in closed form, by textbook formulas on its parameters.
///
/// ```text
/// E_q[log p(x | z)] = −½ [D log 2πσ² + (‖x − W m − μ‖² + Σ_l s_l² ‖w_l‖²)/σ²],   KL = ½ Σ_l (s_l² + m_l² − 1 − log s_l²)
/// ```
fn closed_form(x: &Array2<f64>, mean: &Array2<f64>, log_variance: &Array2<f64>, w: &Array2<f64>, mu: &Array1<f64>, sigma2: f64) -> f64 {
    let norms: Array1<f64> = w.columns().into_iter().map(|c| c.dot(&c)).collect();
    let mut total = 0.0;
    for ((row, m), v) in x.rows().into_iter().zip(mean.rows()).zip(log_variance.rows()) {
        let residual = &row - &(w.dot(&m) + mu);
        let spread: f64 = v.iter().zip(&norms).map(|(v, n)| v.exp() * n).sum();
        let reconstruction = -0.5 * (x.ncols() as f64 * (2.0 * PI * sigma2).ln() + (residual.dot(&residual) + spread) / sigma2);
        let kl: f64 = m.iter().zip(v).map(|(m, v)| 0.5 * (v.exp() + m * m - 1.0 - v)).sum();
        total += reconstruction - kl;
    }
    total / x.nrows() as f64
}

/// V5.
///
/// # Errors
/// If the table can't be read or the library refuses.
pub(in super::super) fn linear(g: &mut Group<'_>, table: &'static str, latents: usize) -> Outcome {
    let mut x = tables::real(table)?.x;
    if table == "wine" {
        // z-scored by 1/N, as in the published figure
        let (mean, sd) = (x.mean_axis(Axis(0)).ok_or("no rows".to_owned())?, x.std_axis(Axis(0), 0.0));
        x = (x - mean) / sd;
    }
    let ppca = PpcaMl { components: latents, ..Default::default() }.fit(&x, 0)?.model;
    let target = ppca.log_evidence(&x)?.mean().ok_or("no rows".to_owned())?;

    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu)?;
    let vae = Vae::new(Architecture::linear(x.ncols() as i64, latents as i64), &data, g.seed(0))?;
    let training = Training {
        objective: Objective::Elbo(Elbo { draws: 4, ..Default::default() }),
        epochs: if g.quick { 3000 } else { 6000 },
        batch_size: x.nrows(),
        learning_rate: Schedule::Cosine { start: 2e-2, end: 1e-6 },
        ..Default::default()
    };
    let trained = training.fit(vae, &data, None, g.seed(1))?.vae;

    let value = |name: &str| trained.parameters.get(name).ok_or_else(|| Problem(format!("no parameter {name}")));
    let (w, mu) = (to_matrix(value("decoder.0.weight")?)?, Array1::from(to_values(value("decoder.0.bias")?)));
    let sigma2 = to_values(value("likelihood.log_variance")?)[0].exp();
    let q = tch::no_grad(|| trained.posterior(&data.rows));
    let moments = q.gaussian().ok_or("q is not Gaussian".to_owned())?;
    let lvm_deep::posterior::Spread::Diagonal(v) = &moments.spread else { return Err("q is not diagonal".to_owned().into()) };
    let elbo = closed_form(&x, &to_matrix(&moments.mean)?, &to_matrix(v)?, &w, &mu, sigma2);
    let gap = Tolerance::absolute(
        1e-3,
        "what is left of the noise of the gradient when the learning rate has fallen to nothing: 1e-3 nats a row (Lucas et al. 2019)",
    );
    g.scalar("ELBO a row, against the evidence of PPCA", Source::E, elbo, target, &gap);
    let above = (elbo - target).max(0.0);
    g.bounded(
        "ELBO never exceeds the maximal evidence",
        Source::E,
        above,
        &Tolerance::absolute(1e-9 * target.abs(), "rounding of the evidence"),
    );
    Ok(())
}
