//! Log evidence, posterior and MAP of the linear Gaussian model, row by row.

use super::{GaussianPosterior, Groups, LinearGaussian, Woodbury};
use crate::criteria::Criteria;
use crate::error::Result;
use crate::model::{Evidence, Infer, LatentModel, MapLatent};
use crate::mutant::planted;
use crate::rows::RowSource;
use crate::sweep::{Block, Merge, Plan, check_shape, map_rows, sweep};
use ndarray::{Array1, Array2, Axis};

/// Calls `visit(woodbury, rows)` for every set of observed columns in a block; `rows` is `None` when all rows are complete.
pub(crate) fn each_pattern(
    model: &LinearGaussian,
    complete: &Woodbury,
    block: &Block<'_>,
    mut visit: impl FnMut(&Woodbury, Option<&[usize]>) -> Result<()>,
) -> Result<()> {
    if !block.has_missing() {
        return visit(complete, None);
    }
    for (columns, rows) in Groups::of(block).groups {
        if columns.len() == model.dim() {
            visit(complete, Some(&rows))?;
        } else {
            visit(&Woodbury::new(model, columns)?, Some(&rows))?;
        }
    }
    Ok(())
}

/// Σ_n w_n log p(x_n), with room for the residuals of a block.
struct LogLikelihood {
    total: f64,
    buffer: Vec<f64>,
}

impl Merge for LogLikelihood {
    fn merge(&mut self, other: Self) {
        self.total += other.total;
    }
}

impl LinearGaussian {
    /// Σ_n w_n log p(x_n) in nats.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn log_likelihood(&self, data: &dyn RowSource) -> Result<f64> {
        check_shape(data, Some(self.dim()))?;
        let complete = self.complete()?;
        let sum = sweep(
            data,
            Plan::new(self.dim(), 0),
            || LogLikelihood { total: 0.0, buffer: Vec::new() },
            |sum, block| {
                each_pattern(self, &complete, block, |pattern, rows| {
                    let (_, log_evidence) = pattern.evidence(block, rows, &mut sum.buffer);
                    sum.total += match block.weights() {
                        None => log_evidence.sum(),
                        Some(w) => (0..log_evidence.len()).map(|i| w[rows.map_or(i, |r| r[i])] * log_evidence[i]).sum(),
                    };
                    sum.total = if planted("log_likelihood_f32") { f64::from(sum.total as f32) } else { sum.total };
                    Ok(())
                })
            },
        )?;
        Ok(sum.total)
    }

    /// Log-likelihood of `data` with what BIC and AIC need.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn criteria(&self, data: &dyn RowSource) -> Result<Criteria> {
        Ok(Criteria { log_likelihood: self.log_likelihood(data)?, n_parameters: self.n_parameters(), n: crate::rows::total_weight(data) })
    }
}

impl Evidence for LinearGaussian {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        check_shape(x, Some(self.dim()))?;
        let complete = self.complete()?;
        let out = map_rows(x, 1, Vec::new, |buffer, block, mut out| {
            each_pattern(self, &complete, block, |pattern, rows| {
                let (_, log_evidence) = pattern.evidence(block, rows, buffer);
                for (i, v) in log_evidence.iter().enumerate() {
                    out[[rows.map_or(i, |r| r[i]), 0]] = *v;
                }
                Ok(())
            })
        })?;
        Ok(out.index_axis_move(Axis(1), 0))
    }
}

impl MapLatent for LinearGaussian {
    /// The posterior is Gaussian: its mode is its mean, M⁻¹ Wᵀ Ψ⁻¹ (x − μ); (N, q).
    fn map_z(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        check_shape(x, Some(self.dim()))?;
        let complete = self.complete()?;
        map_rows(x, self.latents(), Vec::new, |buffer, block, mut out| {
            each_pattern(self, &complete, block, |pattern, rows| {
                let means = pattern.posterior_means(block, rows, buffer);
                match rows {
                    None => out.assign(&means),
                    Some(rows) => rows.iter().zip(means.rows()).for_each(|(&r, z)| out.row_mut(r).assign(&z)),
                }
                Ok(())
            })
        })
    }
}

impl Infer for LinearGaussian {
    const EXACT: bool = true;
    type Q = GaussianPosterior;

    fn infer(&self, x: &dyn RowSource) -> Result<GaussianPosterior> {
        let mean = self.map_z(x)?;
        let patterns = super::imputation::Patterns::of(x)?;
        let covariances = patterns.map(|columns| Ok(Woodbury::new(self, columns.to_vec())?.covariance()))?;
        GaussianPosterior::new(mean, covariances, patterns.index)
    }
}
