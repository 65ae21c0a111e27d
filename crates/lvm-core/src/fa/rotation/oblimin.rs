//! Direct oblimin by gradient projection on the matrices with columns of length 1 (Jennrich 2002; Bernaards & Jennrich 2005).

use super::{inverse, pattern};
use crate::error::Result;
use crate::linalg;
use ndarray::{Array2, Axis};

/// Iterations at most.
const ITERATIONS: usize = 10_000;
/// Converged when the projected gradient is this small relative to the size of the criterion's terms.
const GRADIENT: f64 = 1e-11;

/// T with columns of length 1 that minimises the criterion of Λ = A T⁻ᵀ, and whether the gradient vanished.
pub(super) fn rotate(a: &Array2<f64>, start: Array2<f64>, gamma: f64) -> Result<(Array2<f64>, bool)> {
    let scale = a.iter().map(|v| v.powi(4)).sum::<f64>().max(f64::MIN_POSITIVE);
    let mut t = start;
    let mut lambda = pattern(a.view(), t.view())?;
    let (mut value, mut slope) = criterion(&lambda, gamma);
    let mut alpha = 1.0 / scale;
    for _ in 0..ITERATIONS {
        // df/dT = −(Λᵀ ∂f/∂Λ T⁻¹)ᵀ, then without its part along each column of T
        let inner = linalg::matmul(lambda.t(), slope.view());
        let gradient = -linalg::matmul(inner.view(), inverse(t.view())?.view()).reversed_axes();
        let along = (&t * &gradient).sum_axis(Axis(0));
        let projected = &gradient - &(&t * &along);
        let size = projected.iter().map(|v| v * v).sum::<f64>();
        if size.sqrt() <= GRADIENT * scale {
            return Ok((t, true));
        }
        alpha *= 2.0;
        let mut moved = false;
        for _ in 0..40 {
            let mut candidate = &t - &(&projected * alpha);
            for mut column in candidate.columns_mut() {
                let length = column.dot(&column).sqrt();
                column /= length;
            }
            if let Ok(loadings) = pattern(a.view(), candidate.view()) {
                let (new, new_slope) = criterion(&loadings, gamma);
                // Armijo, but for rounding
                if new <= value - 0.5 * alpha * size + 4.0 * f64::EPSILON * scale {
                    (t, lambda, value, slope) = (candidate, loadings, new, new_slope);
                    moved = true;
                    break;
                }
            }
            alpha *= 0.5;
        }
        if !moved {
            return Ok((t, size.sqrt() <= 1e-6 * scale));
        }
    }
    Ok((t, false))
}

/// f = ¼ Σ_{k≠l} Σ_j λ_jk² [(I − γ/D 11ᵀ) Λ²]_jl and ∂f/∂Λ.
pub(super) fn criterion(lambda: &Array2<f64>, gamma: f64) -> (f64, Array2<f64>) {
    let squares = lambda.mapv(|v| v * v);
    let totals = squares.sum_axis(Axis(1)).insert_axis(Axis(1));
    // Σ_{l≠k} λ_jl², less γ times its mean over j
    let mut others = &totals - &squares;
    if let Some(means) = others.mean_axis(Axis(0)) {
        others -= &(means * gamma);
    }
    (0.25 * (&squares * &others).sum(), lambda * &others)
}
