//! Promax: an oblique rotation towards the varimax loadings with their contrasts raised (Hendrickson & White 1964).

use super::inverse;
use crate::error::Result;
use crate::linalg;
use ndarray::{Array2, ArrayView2};

/// T of the promax rotation, from the varimax rotation `varimax` (q, q) of loadings A (D, q).
pub(super) fn oblique(a: ArrayView2<'_, f64>, varimax: &Array2<f64>, power: f64) -> Result<Array2<f64>> {
    let x = linalg::matmul(a, varimax.view());
    let target = x.mapv(|v| v.signum() * v.abs().powf(power));
    // U = argmin ‖X U − P‖², by QR
    let (q, r) = linalg::qr(x.view())?;
    let mut u = linalg::matmul(q.t(), target.view());
    let r_inverse = inverse(r.view())?;
    u = linalg::matmul(r_inverse.view(), u.view());
    // columns scaled so that (Uᵀ U)⁻¹ = Φ has a unit diagonal
    let u_inverse = inverse(u.view())?;
    let lengths = u_inverse.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect::<ndarray::Array1<f64>>();
    u *= &lengths;
    // Λ = A V U = A T⁻ᵀ with V the varimax rotation, so T = (V U)⁻ᵀ
    Ok(inverse(linalg::matmul(varimax.view(), u.view()).view())?.reversed_axes())
}
