//! Direct oblimin by gradient projection on the matrices with columns of length 1 (Jennrich 2002; Bernaards & Jennrich 2005).

use super::{inverse, pattern};
use crate::error::Result;
use crate::linalg;
use ndarray::{Array2, Axis};

/// Iterations at most.
const ITERATIONS: usize = 10_000;
/// Converged when the projected gradient is this small relative to the size of the criterion's terms.
const GRADIENT: f64 = 1e-9;
/// What rounding can leave of it where no step helps, or where steps creep within rounding: steps against a gradient g change the criterion by about g², which sinks below
/// its rounding at √eps = 1.5e-8, times the condition of the Hessian.
const STALLED: f64 = 1e-6;
/// Halvings of a step at most.
const HALVINGS: usize = 60;

/// T, the criterion there, and its gradient without the parts along the columns of T.
struct Point {
    t: Array2<f64>,
    value: f64,
    projected: Array2<f64>,
    /// ‖projected‖².
    size: f64,
}

impl Point {
    fn new(a: &Array2<f64>, t: Array2<f64>, gamma: f64) -> Result<Self> {
        let lambda = pattern(a.view(), t.view())?;
        let (value, slope) = criterion(&lambda, gamma);
        // df/dT = −(Λᵀ ∂f/∂Λ T⁻¹)ᵀ
        let inner = linalg::matmul(lambda.t(), slope.view());
        let gradient = -linalg::matmul(inner.view(), inverse(t.view())?.view()).reversed_axes();
        let along = (&t * &gradient).sum_axis(Axis(0));
        let projected = &gradient - &(&t * &along);
        let size = projected.iter().map(|v| v * v).sum::<f64>();
        Ok(Point { t, value, projected, size })
    }

    /// T moved against the gradient, its columns brought back to length 1.
    fn moved(&self, alpha: f64) -> Array2<f64> {
        let mut t = &self.t - &(&self.projected * alpha);
        for mut column in t.columns_mut() {
            let length = column.dot(&column).sqrt();
            column /= length;
        }
        t
    }
}

/// T with columns of length 1 that minimises the criterion of Λ = A T⁻ᵀ, and whether the gradient vanished.
pub(super) fn rotate(a: &Array2<f64>, start: Array2<f64>, gamma: f64) -> Result<(Array2<f64>, bool)> {
    let scale = a.iter().map(|v| v.powi(4)).sum::<f64>().max(f64::MIN_POSITIVE);
    let rounding = 16.0 * f64::EPSILON * scale;
    let mut point = Point::new(a, start, gamma)?;
    let mut alpha = 1.0 / scale;
    for _ in 0..ITERATIONS {
        if point.size.sqrt() <= GRADIENT * scale {
            return Ok((point.t, true));
        }
        alpha *= 2.0;
        let next = (0..HALVINGS).find_map(|_| {
            let needed = 0.5 * alpha * point.size;
            let candidate = Point::new(a, point.moved(alpha), gamma).ok();
            // Armijo; where rounding hides the decrease, the gradient must shrink
            let better = |c: &Point| {
                c.value <= point.value - needed || (needed <= rounding && c.value <= point.value + rounding && c.size < point.size)
            };
            let found = candidate.filter(better);
            if found.is_none() {
                alpha *= 0.5;
            }
            found
        });
        match next {
            Some(next) => point = next,
            None => break,
        }
    }
    let small = point.size.sqrt() <= STALLED * scale;
    Ok((point.t, small))
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
