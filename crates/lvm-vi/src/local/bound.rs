//! The ELBO of local latents, without draws.

use super::{LocalGaussian, LocalModel, gather};
use lvm_core::rows::RowSource;
use lvm_core::sweep::map_rows;
use lvm_core::{ErrorKind, Result};
use ndarray::{Array1, Axis};

/// E_{q_n}[log p(x_n, z_n)] + H\[q_n\] of each row in nats; (N).
///
/// # Errors
/// If the data does not fit the model or q.
pub fn elbo_rows<M: LocalModel>(model: &M, q: &LocalGaussian, x: &dyn RowSource) -> Result<Array1<f64>> {
    model.check(x)?;
    for (what, expected, found) in
        [("number of rows of q", x.n_rows(), q.mean().nrows()), ("number of latents of q", model.latents(), q.mean().ncols())]
    {
        if expected != found {
            return Err(ErrorKind::Shape { what, expected, found }.into());
        }
    }
    let out = map_rows(x, 1, Vec::new, |row, block, mut out| {
        for i in 0..block.n_rows() {
            let n = block.row_number(i);
            gather(block, i, row);
            let mean = q.mean().row(n).to_vec();
            out[[i, 0]] = model.expected_log_joint(row, &mean, q.covariance(n).view());
        }
        Ok(())
    })?;
    Ok(out.index_axis_move(Axis(1), 0) + q.entropy())
}

/// Σ_n w_n ELBO_n in nats: a lower bound of the total log-likelihood.
///
/// # Errors
/// As [`elbo_rows`].
pub fn elbo<M: LocalModel>(model: &M, q: &LocalGaussian, x: &dyn RowSource) -> Result<f64> {
    Ok(weighted_sum(&elbo_rows(model, q, x)?, x))
}

/// Σ_n w_n v_n; rows of weight zero are not there.
pub(crate) fn weighted_sum(values: &Array1<f64>, x: &dyn RowSource) -> f64 {
    match x.weights() {
        None => values.sum(),
        Some(w) => values.iter().zip(w).filter(|(_, w)| **w > 0.0).map(|(v, w)| w * v).sum(),
    }
}
