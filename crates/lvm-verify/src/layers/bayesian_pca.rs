//! C9: Bayesian PPCA at its end: every factor is the conditional given the others, written out row by row where the library works from the
//! covariance of the table; the bound from its definition; directions without support are switched off.

use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::dist::Univariate;
use lvm_core::fit::Stopping;
use lvm_core::linalg;
use lvm_core::model::LatentModel;
use lvm_core::ppca::Ppca;
use lvm_core::random::{Purpose, stream};
use lvm_core::special::{digamma, lgamma};
use lvm_vi::cavi::bayesian_ppca::{BayesianPpca, BayesianPpcaModel};
use ndarray::{Array1, Array2, Axis, array};
use std::f64::consts::TAU;

/// The check.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::C, "C9", "Bayesian PPCA of two directions in six columns", by_definition);
}

/// E and moments of q(z_n), row by row.
struct Latents {
    mean: Array2<f64>,
    covariance: Array2<f64>,
}

/// E\[WᵀW\].
fn gram(m: &BayesianPpcaModel) -> Array2<f64> {
    m.loadings().t().dot(m.loadings()) + m.loading_covariance() * m.loadings().nrows() as f64
}

/// q(z_n) = N(E\[τ\] Σ_z E\[W\]ᵀ (x_n − E\[μ\]), Σ_z),   Σ_z⁻¹ = I + E\[τ\] E\[WᵀW\]   (Bishop 1999, 18)
fn latents(m: &BayesianPpcaModel, x: &Array2<f64>) -> lvm_core::Result<Latents> {
    let tau = m.noise_precision().mean();
    let precision = Array2::<f64>::eye(m.loadings().ncols()) + gram(m) * tau;
    let covariance = linalg::cholesky_inverse(linalg::cholesky(precision.view()).map_err(|e| e.of("Σ_z⁻¹"))?.view());
    Ok(Latents { mean: (x - m.mean()).dot(m.loadings()).dot(&covariance) * tau, covariance })
}

/// Σ_n E‖x_n − W z_n − μ‖², and Σ_n E[z zᵀ].
fn errors(m: &BayesianPpcaModel, x: &Array2<f64>, z: &Latents) -> (f64, Array2<f64>) {
    let (n, d) = x.dim();
    let second = z.mean.t().dot(&z.mean) + &z.covariance * n as f64;
    let residual = x - m.mean() - z.mean.dot(&m.loadings().t());
    // beyond the residual of the means: the spread of z, of W and of μ
    let spread = (&gram(m) * &second).sum() - (&m.loadings().t().dot(m.loadings()) * &z.mean.t().dot(&z.mean)).sum();
    (residual.iter().map(|r| r * r).sum::<f64>() + spread + (n * d) as f64 * m.mean_sd().powi(2), second)
}

/// KL of Gamma(a, b) from Gamma(a₀, b₀).
fn kl(a: f64, b: f64, a0: f64, b0: f64) -> f64 {
    (a - a0) * digamma(a) - lgamma(a) + lgamma(a0) + a0 * (b.ln() - b0.ln()) + a * (b0 - b) / b
}

fn by_definition(g: &mut Group<'_>) -> Outcome {
    let loadings = Array2::from_shape_fn((6, 2), |(j, i)| 2.0 * ((3 * j + 7 * i + 1) as f64).sin());
    let truth = Ppca::new(array![1.0, 0.0, -2.0, 0.5, 3.0, 0.0], loadings, 0.2)?;
    let mut rng = stream(7, Purpose::Sample, 0);
    let x = truth.sample_x(&truth.sample_z(200, &mut rng), &mut rng)?;
    // until nothing moves: directions are switched off slowly
    let config = BayesianPpca { stopping: Stopping { max_iterations: 20_000, tolerance: 1e-13 }, ..Default::default() };
    let fitted = config.fit(&x, 0)?;
    let m = &fitted.model;
    let ((n, d), q) = (x.dim(), m.loadings().ncols());
    let scale = x.var_axis(Axis(0), 0.0).mean().unwrap_or(f64::NAN);
    let z = latents(m, &x)?;
    let (errors, second) = errors(m, &x, &z);
    let tau = m.noise_precision();
    let exact = Tolerance::relative(1e-10, "made from the loadings that are returned: a sum of D terms");
    // the run ends when a step gains 1e-13 nats a row: distances are the square root of that over the curvature
    let fixed = Tolerance::relative(1e-4, "what an iteration before had, at a gain of 1e-13 nats a row: √1e-13, and a slow geometric end");
    let square = |i: usize| m.loadings().column(i).dot(&m.loadings().column(i)) + d as f64 * m.loading_covariance()[[i, i]];
    let (rates, expected): (Vec<f64>, Vec<f64>) = (0..q).map(|i| (m.relevance()[i].rate(), config.rate * scale + 0.5 * square(i))).unzip();
    g.array("q(α): rate b₀v + ½ E‖w_i‖²", Source::E, &Array1::from(rates), &Array1::from(expected), &exact);
    let shapes: Array1<f64> = m.relevance().iter().map(|a| a.shape()).collect();
    g.array(
        "q(α): shape a₀ + D/2",
        Source::E,
        &shapes,
        &Array1::from_elem(q, config.shape + 0.5 * d as f64),
        &Tolerance::relative(1e-12, "a sum"),
    );
    g.scalar("q(τ): shape a₀ + ND/2", Source::E, tau.shape(), config.shape + 0.5 * (n * d) as f64, &Tolerance::relative(1e-12, "a sum"));
    g.scalar("q(τ): rate b₀v + ½ Σ E‖x − Wz − μ‖²", Source::E, tau.rate(), config.rate * scale + 0.5 * errors, &fixed);
    let mut precision = &second * tau.mean();
    precision.diag_mut().iter_mut().zip(m.relevance()).for_each(|(p, a)| *p += a.mean());
    let product = precision.dot(m.loading_covariance());
    g.array(
        "q(W): Σ_W (diag E[α] + E[τ] Σ E[z zᵀ]) = I",
        Source::E,
        &product,
        &Array2::eye(q),
        &Tolerance::absolute(1e-4, fixed.reason.clone()),
    );

    // E[log p(x, z, W, μ, α, τ)] − E[log q], term by term
    let (df, qf, nf) = (d as f64, q as f64, n as f64);
    let log_det = |a: &Array2<f64>| super::metamorphic::log_abs_det(a);
    let log_tau = digamma(tau.shape()) - tau.rate().ln();
    let likelihood = 0.5 * nf * df * (log_tau - TAU.ln()) - 0.5 * tau.mean() * errors;
    let of_z = -0.5 * (second.diag().sum() - nf * qf - nf * log_det(&z.covariance));
    let of_w: f64 = (0..q)
        .map(|i| {
            let a = &m.relevance()[i];
            0.5 * (df * (digamma(a.shape()) - a.rate().ln()) - a.mean() * square(i))
        })
        .sum::<f64>()
        + 0.5 * df * (log_det(m.loading_covariance()) + qf);
    let (variance, spread) = (m.mean_sd().powi(2), config.mean_spread * scale);
    let away = m.mean() - &x.mean_axis(Axis(0)).ok_or_else(|| "no rows".to_owned())?;
    let of_mean = -0.5 * (df * (variance / spread - 1.0 - (variance / spread).ln()) + away.dot(&away) / spread);
    let b0 = config.rate * scale;
    let of_alpha: f64 = m.relevance().iter().map(|a| kl(a.shape(), a.rate(), config.shape, b0)).sum();
    let elbo = likelihood + of_z + of_w + of_mean - of_alpha - kl(tau.shape(), tau.rate(), config.shape, b0);
    let size = 10.0 * (n * d) as f64;
    g.scalar("ELBO of the fit, by its definition", Source::E, fitted.objective() * nf, elbo, &Tolerance::rounding(n * d, size));
    let used = m.effective_dimension();
    g.holds("directions in use", used.to_string(), "2", used == 2, "two were put in, of variances above ten times the noise");
    Ok(())
}
