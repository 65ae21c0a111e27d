//! EM on the sufficient statistics of complete rows.

use super::Ppca;
use crate::error::Result;
use crate::linalg;
use crate::linear_gaussian::LOG_2PI;
use crate::model::LatentModel;
use crate::moments::moments;
use crate::rows::RowSource;
use ndarray::{Array1, Array2};

/// All that complete rows say about a Gaussian.
pub(super) struct Complete {
    /// x̄ (D).
    pub(super) mean: Array1<f64>,
    /// S (D, D).
    covariance: Array2<f64>,
}

impl Complete {
    pub(super) fn of(data: &dyn RowSource) -> Result<Self> {
        let m = moments(data)?;
        Ok(Complete { mean: m.mean, covariance: m.covariance })
    }

    /// S W (D, q) and the Cholesky factor of M = Wᵀ W + σ² I (q, q).
    fn products(&self, model: &Ppca) -> Result<(Array2<f64>, Array2<f64>)> {
        let w = model.loadings();
        let mut m = Array2::eye(model.components()) * model.noise_variance();
        linalg::gram_lower(1.0, w.view(), m.view_mut());
        let lower = linalg::cholesky(m.view()).map_err(|e| e.of("WᵀW + σ²I"))?;
        Ok((linalg::matmul(self.covariance.view(), w.view()), lower))
    }

    /// Mean log-likelihood per row of a model whose mean is x̄.
    pub(super) fn objective(&self, model: &Ppca) -> Result<f64> {
        let (d, q, noise) = (model.dim(), model.components(), model.noise_variance());
        let total = self.covariance.diag().sum();
        // −½ [D log 2π + log det C + tr(C⁻¹ S)],   log det C = (D − q) log σ² + log det M,
        // tr(C⁻¹ S) = (tr S − tr(M⁻¹ Wᵀ S W)) / σ²
        let (log_det, explained) = if q == 0 {
            (0.0, 0.0)
        } else {
            let (sw, lower) = self.products(model)?;
            let mut inner = linalg::matmul(model.loadings().t(), sw.view());
            linalg::cholesky_solve(lower.view(), inner.view_mut());
            (linalg::log_det(lower.view()), inner.diag().sum())
        };
        Ok(-0.5 * (d as f64 * LOG_2PI + (d - q) as f64 * noise.ln() + log_det + (total - explained) / noise))
    }

    /// (x̄, W̃, σ̃²) after one iteration; with `expanded`, W̃ R^{1/2} where R is the mean second moment of z.
    pub(super) fn update(&self, model: &Ppca, expanded: bool) -> Result<(Array1<f64>, Array2<f64>, f64)> {
        let (d, q, noise) = (model.dim() as f64, model.components(), model.noise_variance());
        let total = self.covariance.diag().sum();
        if q == 0 {
            return Ok((self.mean.clone(), model.loadings().clone(), total / d));
        }
        let (sw, lower) = self.products(model)?;
        // B = S W M⁻¹ = Σ E[x zᵀ]/N,   R = Σ E[z zᵀ]/N = σ² M⁻¹ + M⁻¹ Wᵀ B
        let mut b = sw.clone();
        linalg::cholesky_solve(lower.view(), b.view_mut().reversed_axes());
        let mut r = linalg::matmul(model.loadings().t(), b.view());
        linalg::cholesky_solve(lower.view(), r.view_mut());
        r.scaled_add(noise, &linalg::cholesky_inverse(lower.view()));
        r = (&r + &r.t()) * 0.5;
        let root = linalg::cholesky(r.view()).map_err(|e| e.of("second moment of the latents"))?;
        // W̃ = B R⁻¹, which is eq. 29; σ̃² = tr(S − B W̃ᵀ)/D, which is eq. 30   (Tipping & Bishop 1999)
        let mut w = b.clone();
        linalg::cholesky_solve(root.view(), w.view_mut().reversed_axes());
        let new_noise = ((total - (&b * &w).sum()) / d).max(0.0);
        if expanded {
            w = linalg::matmul(w.view(), root.view());
        }
        Ok((self.mean.clone(), w, new_noise))
    }
}
