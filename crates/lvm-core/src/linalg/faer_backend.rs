//! Decompositions by faer.

use super::{NotPositiveDefinite, descending, owned};
use crate::error::{ErrorKind, Result};
use faer::Side;
use faer::linalg::cholesky::llt::factor::LltError;
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2};

pub(super) fn cholesky(a: ArrayView2<'_, f64>) -> std::result::Result<Array2<f64>, NotPositiveDefinite> {
    match a.into_faer().llt(Side::Lower) {
        Ok(llt) => {
            let l = owned(llt.L());
            // a NaN pivot passes faer's test for positivity
            match l.diag().iter().position(|v| !v.is_finite()) {
                Some(index) => Err(NotPositiveDefinite { index }),
                None => Ok(l),
            }
        }
        Err(LltError::NonPositivePivot { index }) => Err(NotPositiveDefinite { index }),
    }
}

pub(super) fn eigh(a: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let evd =
        a.into_faer().self_adjoint_eigen(Side::Lower).map_err(|_| ErrorKind::Decomposition { what: "symmetric eigen-decomposition" })?;
    let values: Array1<f64> = evd.S().column_vector().iter().copied().collect();
    Ok(descending(values.view(), owned(evd.U()).view()))
}

pub(super) fn svd(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>, Array2<f64>)> {
    let svd = a.into_faer().thin_svd().map_err(|_| ErrorKind::Decomposition { what: "singular value decomposition" })?;
    let s = svd.S().column_vector().iter().copied().collect();
    Ok((owned(svd.U()), s, owned(svd.V().transpose())))
}

pub(super) fn qr(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let qr = a.into_faer().qr();
    Ok((owned(qr.compute_thin_Q().as_ref()), owned(qr.thin_R())))
}
