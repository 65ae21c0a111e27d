//! The predictive distribution of a component: Student's t.

use super::factors::GaussianWishart;
use lvm_core::dist::{MultivariateT, StudentT, Univariate};
use lvm_core::gmm::{QuadraticScores, SecondMoments, Whitener};
use lvm_core::rows::RowSource;
use lvm_core::special::lgamma_delta;
use lvm_core::sweep::{check_shape, map_rows};
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, Axis};
use rand::Rng;
use std::f64::consts::PI;

/// log w_k + log p(x_n | z_n = k) (N, K).
///
/// ```text
/// full: St(x; m, (1 + β)/(β d) W⁻¹, d),  d = ν + 1 − D                               PRML 10.81, 10.82
/// diag: Π_j St(x_j; m_j, (1 + β)/(β ν) s_j, ν)
/// ```
pub(super) fn log_joint(q: &GaussianWishart, log_weights: &Array1<f64>, x: &dyn RowSource) -> Result<Array2<f64>> {
    match q.whitener() {
        Whitener::Full(_) => full(q, log_weights, x),
        Whitener::Diagonal(scales) => diagonal(q, scales, log_weights, x),
    }
}

fn full(q: &GaussianWishart, log_weights: &Array1<f64>, x: &dyn RowSource) -> Result<Array2<f64>> {
    let (k, d) = q.means().dim();
    let zeros = Array1::zeros(k);
    // −½ (x − m)ᵀ W (x − m)
    let mut out = QuadraticScores::new(&zeros, &zeros, q.means().clone(), q.whitener().clone())?.log_scores(x)?;
    let half = 0.5 * d as f64;
    for (k, mut column) in out.axis_iter_mut(Axis(1)).enumerate() {
        let (df, beta) = (q.dof()[k] + 1.0 - d as f64, q.mean_precision()[k]);
        // the degrees of freedom cancel between normaliser and scale
        let normaliser = log_weights[k] + lgamma_delta(0.5 * df, half) - half * (PI.ln() + (1.0 / beta).ln_1p()) - 0.5 * q.log_det()[k];
        column.mapv_inplace(|v| normaliser - (0.5 * df + half) * (-2.0 * v * (beta / (1.0 + beta))).ln_1p());
    }
    Ok(out)
}

fn diagonal(q: &GaussianWishart, scales: &Array2<f64>, log_weights: &Array1<f64>, x: &dyn RowSource) -> Result<Array2<f64>> {
    let (k, d) = q.means().dim();
    check_shape(x, Some(d))?;
    let constant = |k: usize| {
        let (nu, beta) = (q.dof()[k], q.mean_precision()[k]);
        let each = lgamma_delta(0.5 * nu, 0.5) - 0.5 * (PI.ln() + (1.0 / beta).ln_1p());
        log_weights[k] + d as f64 * each - 0.5 * q.log_det()[k]
    };
    let constants: Vec<f64> = (0..k).map(constant).collect();
    map_rows(
        x,
        k,
        || (),
        |(), block, mut out| {
            if block.has_missing() {
                return Err(Error::config("data", "rows with missing entries; a Bayesian mixture needs complete rows"));
            }
            for (k, mut out) in out.axis_iter_mut(Axis(1)).enumerate() {
                let share = q.mean_precision()[k] / (1.0 + q.mean_precision()[k]);
                out.fill(constants[k]);
                for j in 0..d {
                    let (m, a) = (q.means()[[k, j]], scales[[k, j]]);
                    for (o, x) in out.iter_mut().zip(block.column(j)) {
                        let y = (x - m) * a;
                        *o -= 0.5 * (q.dof()[k] + 1.0) * (y * y * share).ln_1p();
                    }
                }
            }
            Ok(())
        },
    )
}

/// One draw for each label (N, D).
pub(super) fn sample(q: &GaussianWishart, z: &Array1<usize>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
    let d = q.dim();
    let mut out = Array2::zeros((z.len(), d));
    let mut full: Vec<Option<MultivariateT>> = vec![None; q.n_components()];
    for (mut row, &k) in out.outer_iter_mut().zip(z) {
        let spread = 1.0 + 1.0 / q.mean_precision()[k];
        match q.scale_inverse() {
            SecondMoments::Full(s) => {
                let t = match &mut full[k] {
                    Some(t) => t,
                    empty => {
                        let df = q.dof()[k] + 1.0 - d as f64;
                        let scale = s.index_axis(Axis(0), k).mapv(|v| v * (spread / df));
                        empty.insert(MultivariateT::new(df, q.means().row(k), scale.view())?)
                    }
                };
                row.assign(&t.sample(rng));
            }
            SecondMoments::Diagonal(s) => {
                for j in 0..d {
                    let nu = q.dof()[k];
                    row[j] = StudentT::new(nu, q.means()[[k, j]], (spread * s[[k, j]] / nu).sqrt())?.sample(rng);
                }
            }
        }
    }
    Ok(out)
}
