//! V5: a linear autoencoder trained to the end is probabilistic PCA.

use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use crate::tables;
use lvm_core::model::{Evidence, Infer};
use lvm_core::ppca::{Ppca, PpcaMl};
use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::likelihood::Unit;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::Input;
use lvm_deep::objective::{Elbo, Objective};
use lvm_deep::optimizer::Schedule;
use lvm_deep::tensor::{to_matrix, to_values};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use ndarray::{Array1, Array2, ArrayView1, Axis};
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

/// How one table is trained. Directions of nearly equal eigenvalues turn into each other slowly and against the noise of the gradient: as
/// many draws a step as make it small, many steps, and a rate that falls late.
struct Recipe {
    kind: Kind,
    draws: i64,
    steps: usize,
    /// Whether the training is long enough to tell the single directions apart; if not, the space they span is compared.
    directions: bool,
}

fn recipe(table: &str) -> Recipe {
    match table {
        "iris" => Recipe { kind: Kind::Double, draws: 11, steps: 10_000, directions: true },
        // eigenvalues that differ by a tenth, of ten times as many rows: the last turn would take an hour
        "digits" => Recipe { kind: Kind::Float, draws: 4, steps: 16_000, directions: false },
        _ => Recipe { kind: Kind::Double, draws: 16, steps: 20_000, directions: true },
    }
}

/// V5.
///
/// # Errors
/// If the table can't be read or the library refuses.
pub(in super::super) fn linear(g: &mut Group<'_>, table: &'static str, latents: usize) -> Outcome {
    let recipe = recipe(table);
    let mut x = tables::real(table)?.x;
    if table == "wine" {
        // z-scored by 1/N, as in the published figure
        let (mean, sd) = (x.mean_axis(Axis(0)).ok_or("no rows".to_owned())?, x.std_axis(Axis(0), 0.0));
        x = (x - mean) / sd;
    }
    let ppca = PpcaMl { components: latents, ..Default::default() }.fit(&x, 0)?.model;
    let target = ppca.log_evidence(&x)?.mean().ok_or("no rows".to_owned())?;

    let data = Dataset::new(&x, recipe.kind, tch::Device::Cpu)?;
    let architecture = Architecture {
        input: Input::Standardised,
        likelihood: LikelihoodSpec::StandardisedGaussian { variance: Variance::Shared, unit: Unit::Table },
        ..Architecture::linear(x.ncols() as i64, latents as i64)
    };
    let vae = Vae::new(architecture, &data, g.seed(0))?;
    let training = Training {
        objective: Objective::Elbo(Elbo { draws: recipe.draws, ..Default::default() }),
        epochs: recipe.steps,
        batch_size: x.nrows(),
        learning_rate: Schedule::Cosine { start: 2e-2, end: 1e-6 },
        ..Default::default()
    };
    let trained = training.fit(vae, &data, None, g.seed(1))?.vae;

    let value = |name: &str| trained.parameters.get(name).ok_or_else(|| Problem(format!("no parameter {name}")));
    // from the units of training to those of the table
    let scale = to_values(value("likelihood.scale")?)[0];
    let location = Array1::from(to_values(value("likelihood.location")?));
    let w = to_matrix(value("decoder.0.weight")?)? * scale;
    let mu = location + Array1::from(to_values(value("decoder.0.bias")?)) * scale;
    let sigma2 = to_values(value("likelihood.log_variance")?)[0].exp() * scale * scale;
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
    if recipe.directions {
        directions(g, &ppca, &w);
    }
    let angle = subspace_angle(ppca.loadings(), &w);
    g.bounded(
        "angle between the space of the decoder and that of PPCA",
        Source::E,
        angle,
        &Tolerance::absolute(1e-2, "the catalogue's 1e-2 radians: the evidence is flat of second order at its maximum"),
    );
    parameters(g, &ppca, &x, (&w, mu, sigma2), (&to_matrix(&moments.mean)?, &to_matrix(v)?, elbo))
}

/// Columns are principal directions.
fn directions(g: &mut Group<'_>, ppca: &Ppca, w: &Array2<f64>) {
    let length = |c: &ArrayView1<'_, f64>| c.dot(c).sqrt();
    for (l, axis) in ppca.loadings().columns().into_iter().enumerate() {
        let cosine = w.columns().into_iter().map(|c| (c.dot(&axis) / (length(&c) * length(&axis))).abs()).fold(0.0, f64::max);
        g.holds(
            format!("a decoder column along principal direction {l}"),
            format!("|cos| = {cosine:.6}"),
            "|cos| > 0.999",
            cosine > 0.999,
            "Lucas et al. 2019, §4",
        );
    }
}

/// At least the largest angle between the spaces of the columns: the root of Σ_l ‖u_l − P u_l‖², u_l the unit columns of `truth`, P the
/// projection on those of `ours`.
fn subspace_angle(truth: &Array2<f64>, ours: &Array2<f64>) -> f64 {
    // Gram-Schmidt, twice is enough
    let mut basis: Vec<Array1<f64>> = Vec::new();
    let without = |v: Array1<f64>, basis: &[Array1<f64>]| basis.iter().fold(v, |v, b| &v - &(b * b.dot(&v)));
    for column in ours.columns() {
        let v = without(without(column.to_owned(), &basis), &basis);
        let length = v.dot(&v).sqrt();
        basis.push(v / length);
    }
    let residual = |u: Array1<f64>| {
        let length = u.dot(&u).sqrt();
        let r = without(u / length, &basis);
        r.dot(&r)
    };
    truth.columns().into_iter().map(|u| residual(u.to_owned())).sum::<f64>().sqrt()
}

/// σ² is the mean of the discarded eigenvalues, q is the posterior.
fn parameters(
    g: &mut Group<'_>,
    ppca: &Ppca,
    x: &Array2<f64>,
    (w, mu, sigma2): (&Array2<f64>, Array1<f64>, f64),
    (mean, log_variance, elbo): (&Array2<f64>, &Array2<f64>, f64),
) -> Outcome {
    let axes = ppca.loadings();
    // The likelihood is flat of second order at its maximum: 1e-3 nats a row leave √1e-3 of relative error in a parameter, over its curvature.
    let root = Tolerance::absolute(3e-2, "the root of 1e-3 nats a row: the evidence is flat of second order at its maximum");
    g.scalar("sigma^2", Source::E, sigma2 / ppca.noise_variance(), 1.0, &root);
    let (ours, truth) = (w.dot(&w.t()), axes.dot(&axes.t()));
    g.array_norm("W W'", Source::E, &ours, &truth, &Tolerance::relative(3e-2, root.reason.clone()));
    // the posterior of the trained parameters themselves: log p(x) − ELBO is the KL of q to it, row by row
    let trained = Ppca::new(mu, w.to_owned(), sigma2)?;
    let evidence = trained.log_evidence(x)?.mean().ok_or("no rows".to_owned())?;
    let kl = Tolerance::absolute(1e-3, "a part of the gap to the evidence of PPCA, both parts of which are positive: 1e-3 nats a row");
    g.bounded("KL of q to the exact posterior, mean of the rows", Source::E, evidence - elbo, &kl);
    let posterior = trained.infer(x)?;
    let sd = posterior.covariance(0).diag().mapv(f64::sqrt);
    let off = (mean - posterior.mean()) / &sd;
    let worst = off.columns().into_iter().map(|c| (c.dot(&c) / c.len() as f64).sqrt()).fold(0.0, f64::max);
    g.bounded(
        "means of q less posterior means, in posterior sds, root mean square",
        Source::E,
        worst,
        &Tolerance::absolute(0.1, "0.1 posterior standard deviations: what a pass of the verdict means"),
    );
    let ratios = (log_variance * 0.5).mapv(f64::exp) / &sd;
    let worst = ratios.iter().map(|r| (r - 1.0).abs()).fold(0.0, f64::max);
    g.bounded(
        "sds of q over posterior sds, less 1, the worst",
        Source::E,
        worst,
        &Tolerance::absolute(0.15, "15 percent: what a pass of the verdict means"),
    );
    Ok(())
}
