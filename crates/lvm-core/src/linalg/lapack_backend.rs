//! Decompositions by LAPACK, through ndarray-linalg.

use super::{NotPositiveDefinite, descending, mirror_lower};
use crate::error::{ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use ndarray_linalg::{Cholesky, Eigh, JobSvd, QR, SVDDC, UPLO};

/// A symmetric copy in row-major order made from the lower triangle, as LAPACK is to see it.
fn symmetric(a: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut copy = a.as_standard_layout().into_owned();
    mirror_lower(&mut copy);
    copy
}

pub(super) fn cholesky(a: ArrayView2<'_, f64>) -> std::result::Result<Array2<f64>, NotPositiveDefinite> {
    let a = symmetric(a);
    let l = a.cholesky(UPLO::Lower).map_err(|_| NotPositiveDefinite { index: first_bad_minor(&a) })?;
    match l.diag().iter().position(|v| !v.is_finite()) {
        Some(index) => Err(NotPositiveDefinite { index }),
        None => Ok(l),
    }
}

/// ndarray-linalg does not pass on which minor LAPACK refused: bisect.
fn first_bad_minor(a: &Array2<f64>) -> usize {
    let (mut good, mut bad) = (0, a.nrows());
    while bad - good > 1 {
        let n = (good + bad) / 2;
        let rows = a.slice_axis(Axis(0), Slice::from(..n));
        let minor = rows.slice_axis(Axis(1), Slice::from(..n)).to_owned();
        if minor.cholesky(UPLO::Lower).is_ok() {
            good = n;
        } else {
            bad = n;
        }
    }
    bad - 1
}

pub(super) fn eigh(a: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let (values, vectors) =
        symmetric(a).eigh(UPLO::Lower).map_err(|_| ErrorKind::Decomposition { what: "symmetric eigen-decomposition" })?;
    Ok(descending(values.view(), vectors.view()))
}

pub(super) fn svd(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>, Array2<f64>)> {
    let failed = || ErrorKind::Decomposition { what: "singular value decomposition" };
    let a = a.as_standard_layout().into_owned();
    let (u, s, vt) = a.svddc(JobSvd::Some).map_err(|_| failed())?;
    Ok((u.ok_or_else(failed)?, s, vt.ok_or_else(failed)?))
}

pub(super) fn qr(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let a = a.as_standard_layout().into_owned();
    Ok(a.qr().map_err(|_| ErrorKind::Decomposition { what: "QR decomposition" })?)
}
