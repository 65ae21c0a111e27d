//! Whether q factors are enough: the likelihood-ratio test against an unrestricted covariance.

use super::degrees_of_freedom;
use super::model::FactorAnalysis;
use crate::error::{ErrorKind, Result};
use crate::linalg;
use crate::model::LatentModel;
use crate::special::gammainc_upper;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// The test of a maximum-likelihood factor model against an unrestricted covariance, with Bartlett's correction.
///
/// ```text
/// F = log det Σ − log det S + tr(Σ⁻¹ S) − D
/// χ² = (N − 1 − (2D + 5)/6 − 2q/3) F   on ((D − q)² − D − q)/2 degrees of freedom          Bartlett 1951
/// ```
///
/// The χ² law is asymptotic, and does not hold for an improper solution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodRatio {
    /// F, in nats times two per row.
    pub discrepancy: f64,
    /// χ².
    pub statistic: f64,
    /// Degrees of freedom; with 0 the model is as free as the covariance and there is nothing to test.
    pub degrees_of_freedom: usize,
    /// P(χ² at least this large) if q factors are enough; NaN with 0 degrees of freedom.
    pub p_value: f64,
}

impl LikelihoodRatio {
    /// Of a model fitted to the 1/N covariance matrix S (D, D) of `n` rows.
    ///
    /// # Errors
    /// If S has another size or is not positive definite (fewer rows than columns): then there is no unrestricted model to compare with.
    pub fn of(model: &FactorAnalysis, covariance: ArrayView2<'_, f64>, n: f64) -> Result<Self> {
        let (d, q) = (model.dim(), model.factors());
        for found in [covariance.nrows(), covariance.ncols()] {
            if found != d {
                return Err(ErrorKind::Shape { what: "size of the covariance matrix", expected: d, found }.into());
            }
        }
        let sample = linalg::cholesky(covariance).map_err(|e| e.of("sample covariance"))?;
        let fitted = linalg::cholesky(model.covariance().view()).map_err(|e| e.of("covariance of the model"))?;
        // tr(Σ⁻¹ S) = ‖L_Σ⁻¹ L_S‖²
        let mut ratio = sample.clone();
        linalg::solve_lower(fitted.view(), ratio.view_mut());
        let trace = ratio.iter().map(|v| v * v).sum::<f64>();
        let discrepancy = linalg::log_det(fitted.view()) - linalg::log_det(sample.view()) + trace - d as f64;
        let statistic = (n - 1.0 - (2.0 * d as f64 + 5.0) / 6.0 - 2.0 * q as f64 / 3.0) * discrepancy;
        let degrees_of_freedom = degrees_of_freedom(d, q).max(0) as usize;
        let p_value = match degrees_of_freedom {
            0 => f64::NAN,
            free => gammainc_upper(0.5 * free as f64, 0.5 * statistic.max(0.0)),
        };
        Ok(LikelihoodRatio { discrepancy, statistic, degrees_of_freedom, p_value })
    }
}
