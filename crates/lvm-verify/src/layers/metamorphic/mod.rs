//! M1: identities that hold whatever the data is. They need no reference, so they find what reference cases happen not to show.

pub mod bayesian;
pub mod factors;
pub mod mixture;
pub mod ppca;

use crate::check::Tolerance;
use ndarray::{Array1, Array2};

/// An invertible, well-conditioned, asymmetric matrix: the identity plus something smooth. Its determinant comes by LU.
pub(crate) fn affine(d: usize) -> Array2<f64> {
    Array2::from_shape_fn((d, d), |(i, j)| if i == j { 1.0 + 0.25 * i as f64 } else { 0.3 * ((3 * i + 5 * j + 1) as f64).sin() / d as f64 })
}

/// An orthogonal matrix: a product of plane rotations.
pub(crate) fn orthogonal(d: usize) -> Array2<f64> {
    let mut q = Array2::eye(d);
    for i in 0..d.saturating_sub(1) {
        let (sin, cos) = (0.4 + 0.3 * i as f64).sin_cos();
        for r in 0..d {
            let (a, b) = (q[[r, i]], q[[r, i + 1]]);
            q[[r, i]] = cos * a - sin * b;
            q[[r, i + 1]] = sin * a + cos * b;
        }
    }
    q
}

/// log |det A| by Gaussian elimination with partial pivoting, the textbook way.
pub(crate) fn log_abs_det(a: &Array2<f64>) -> f64 {
    let mut a = a.clone();
    let n = a.nrows();
    let mut total = 0.0;
    for c in 0..n {
        let pivot = (c..n).max_by(|&i, &j| a[[i, c]].abs().total_cmp(&a[[j, c]].abs())).unwrap_or(c);
        for j in 0..n {
            a.swap([c, j], [pivot, j]);
        }
        total += a[[c, c]].abs().ln();
        for i in c + 1..n {
            let f = a[[i, c]] / a[[c, c]];
            for j in c..n {
                a[[i, j]] -= f * a[[c, j]];
            }
        }
    }
    total
}

/// What two runs that differ by rounding of the data may differ by: every row moves by a few ε of its size, and a log density moves by that
/// times its slope ‖Σ⁻¹(x − μ)‖, which a few standard deviations out is 10/σ. Each iteration adds as much again.
pub(crate) fn rounding_of_rows(x: &Array2<f64>, smallest_sd: f64, iterations: usize) -> Tolerance {
    let largest = x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let d = x.ncols() as f64;
    Tolerance::absolute(
        16.0 * (iterations + 1) as f64 * d * f64::EPSILON * (10.0 * largest / smallest_sd + 16.0),
        format!(
            "16·(iterations+1)·D·ε·10·max|x|/σ_min: rows move by ε·max|x|, a log density by that times 10/σ; σ_min = {smallest_sd:.1e}"
        ),
    )
}

/// Every second row stands twice, the others once: as a table and as weights.
pub(crate) fn doubled(n: usize) -> (Vec<usize>, Array1<f64>) {
    let rows = (0..n).flat_map(|i| if i % 2 == 0 { vec![i, i] } else { vec![i] }).collect();
    (rows, Array1::from_shape_fn(n, |i| if i % 2 == 0 { 2.0 } else { 1.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrices_are_what_they_claim() {
        let q = orthogonal(5);
        assert!((q.t().dot(&q) - Array2::<f64>::eye(5)).iter().all(|v| v.abs() < 1e-15));
        assert!((log_abs_det(&q)).abs() < 1e-14);
        assert!((log_abs_det(&ndarray::array![[0.0, 2.0], [3.0, 1.0]]) - 6f64.ln()).abs() < 1e-15);
    }
}
