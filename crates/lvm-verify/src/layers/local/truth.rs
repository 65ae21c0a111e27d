//! The posterior of a linear Gaussian model by dense textbook formulas, on LAPACK where it is linked.

use crate::check::{Source, Tolerance};
use crate::layers::shared::covariance_scale;
use crate::oracle::{Lapack, gaussian};
use crate::suite::Problem;
use lvm_core::linalg;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::{Evidence, Infer};
use ndarray::{Array1, Array2, Axis};

/// p(z_n | x_n) = N(z̄_n, Λ⁻¹), log p(x_n) and what follows.
pub(super) struct Truth {
    /// z̄ (N, q).
    pub(super) mean: Array2<f64>,
    /// Λ⁻¹ (q, q).
    pub(super) covariance: Array2<f64>,
    /// Λ = I + Wᵀ Ψ⁻¹ W (q, q).
    pub(super) precision: Array2<f64>,
    /// log p(x_n) in nats (N).
    pub(super) log_evidence: Array1<f64>,
    /// ½ (Σ_i log Λ_ii − log det Λ), the KL of the mean field in every row.
    pub(super) family_gap: f64,
    /// Q by LAPACK, I by lvm-core's own analytic posterior.
    pub(super) source: Source,
    /// What numbers of the size of a log density may be off by, relatively and absolutely.
    pub(super) tolerance: Tolerance,
}

impl Truth {
    /// By D x D matrices on LAPACK; without it, by the analytic posterior of lvm-core.
    pub(super) fn of(model: &LinearGaussian, x: &Array2<f64>) -> Result<Truth, Problem> {
        let (w, psi) = (model.loadings(), model.noise());
        let q = model.latents();
        let precision = Array2::eye(q) + w.t().dot(&(w / &psi.to_owned().insert_axis(Axis(1))));
        let c = model.covariance();
        let (mean, covariance, log_evidence, log_det, source) = match Lapack::get() {
            Some(lapack) => {
                // z̄ = Wᵀ C⁻¹ (x − μ),   Λ⁻¹ = I − Wᵀ C⁻¹ W                                                        PRML 2.113-2.117
                let gain = lapack.inverse(&c)?.dot(w);
                let mean = (x - model.mean()).dot(&gain);
                let log_det = 2.0 * lapack.cholesky(&precision)?.diag().mapv(f64::ln).sum();
                (mean, Array2::eye(q) - w.t().dot(&gain), gaussian::log_density(lapack, x, model.mean(), &c)?, log_det, Source::Q)
            }
            None => {
                let p = model.infer(x)?;
                let log_det = log_det(&precision)?;
                (p.mean().clone(), p.covariance(0).to_owned(), model.log_evidence(x)?, log_det, Source::I)
            }
        };
        let family_gap = 0.5 * (precision.diag().mapv(f64::ln).sum() - log_det);
        let scaled = &c / &covariance_scale(&c);
        let (values, _) = linalg::eigh(scaled.view())?;
        let kappa = values[0] / values[values.len() - 1];
        let unit = 8.0 * x.ncols() as f64 * f64::EPSILON * kappa;
        let tolerance = Tolerance::both(
            unit * 8.0 * x.ncols() as f64,
            2.0 * unit,
            format!("8·D·ε·κ·(2·size + 8D): backward error of the D x D and the q x q route, κ = {kappa:.1e}"),
        );
        Ok(Truth { mean, covariance, precision, log_evidence, family_gap, source, tolerance })
    }

    /// Mean log p(x_n) over the first `rows` rows, nats a row.
    pub(super) fn evidence_of(&self, rows: usize) -> f64 {
        self.log_evidence.iter().take(rows).sum::<f64>() / rows as f64
    }

    /// The tolerance on a mean log density.
    pub(super) fn allowed(&self) -> f64 {
        let size = self.log_evidence.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        self.tolerance.allowed(size)
    }

    /// KL(N(m, S) ‖ N(z̄_n, Λ⁻¹)) = ½ [tr ΛS − q − log det ΛS + (m − z̄)ᵀ Λ (m − z̄)] of row n.
    pub(super) fn kl(&self, n: usize, mean: &Array1<f64>, covariance: &Array2<f64>) -> Result<f64, Problem> {
        let away = mean - &self.mean.row(n);
        let trace = (&self.precision * &covariance.t()).sum();
        let q = mean.len() as f64;
        Ok(0.5 * (trace - q - log_det(&self.precision)? - log_det(covariance)? + away.dot(&self.precision.dot(&away))))
    }
}

/// log det A of a positive definite A.
fn log_det(a: &Array2<f64>) -> Result<f64, Problem> {
    let lower = linalg::cholesky(a.view()).map_err(|e| e.of("a covariance of the posterior"))?;
    Ok(linalg::log_det(lower.view()))
}
