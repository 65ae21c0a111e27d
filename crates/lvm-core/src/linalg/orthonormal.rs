//! A thin QR decomposition of a few long columns by Cholesky factors of their inner products: products alone, no reflections.

use super::{cholesky, gram_lower, inverse_lower, matmul, matmul_into, mirror_lower, qr};
use crate::error::Result;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// How far QᵀQ may be from I after the first round, so that the second leaves rounding only.
const NEARLY: f64 = 1e-2;

/// A = Q R with orthonormal columns Q (m, n) and upper triangular R (n, n), for m much larger than n.
///
/// ```text
/// D AᵀA D = L Lᵀ,   Q₁ = A D L⁻ᵀ,   R₁ = Lᵀ D⁻¹
/// ```
/// with D = diag(AᵀA)^−½, and the same again for Q₁ (CholeskyQR2, Yamamoto, Nakatsukasa, Yanagisawa & Fukaya 2015). Columns that are nearly
/// dependent, so that one round does not bring QᵀQ near I, go by way of reflections.
///
/// # Errors
/// As [`qr`].
pub fn orthonormal(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let Some((first, r)) = round(a, gram(a)) else { return qr(a) };
    let inner = gram(first.view());
    let off = inner.indexed_iter().fold(0.0, |m: f64, ((i, j), v)| m.max((v - f64::from(u8::from(i == j))).abs()));
    // negated so that a NaN is caught too
    if !(off <= NEARLY) {
        return qr(a);
    }
    match round(first.view(), inner) {
        Some((second, again)) => Ok((second, matmul(again.view(), r.view()))),
        None => qr(a),
    }
}

/// AᵀA.
fn gram(a: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut inner = Array2::zeros((a.ncols(), a.ncols()));
    gram_lower(1.0, a, inner.view_mut());
    mirror_lower(&mut inner);
    inner
}

/// Q and R of one round, from A and AᵀA; `None` if that is not positive definite to rounding.
fn round(a: ArrayView2<'_, f64>, mut inner: Array2<f64>) -> Option<(Array2<f64>, Array2<f64>)> {
    let norms: Array1<f64> = inner.diag().mapv(f64::sqrt);
    if !norms.iter().all(|v| *v > 0.0 && v.is_finite()) {
        return None;
    }
    inner /= &norms;
    inner /= &norms.view().insert_axis(Axis(1));
    let lower = cholesky(inner.view()).ok()?;
    // D L⁻ᵀ
    let right = inverse_lower(lower.view()).reversed_axes() / norms.view().insert_axis(Axis(1));
    let mut q = Array2::zeros(a.raw_dim());
    matmul_into(a, right.view(), q.view_mut());
    Some((q, lower.reversed_axes() * &norms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_rebuilt_from_orthonormal_ones() {
        let (m, n) = (300, 24);
        let a = Array2::from_shape_fn((m, n), |(i, j)| ((i * (j + 3)) as f64 * 0.37 + i as f64 + (j * j) as f64).sin());
        // columns of very different lengths; nearly equal, equal, and zero ones, which need reflections
        let graded = &a * &Array1::from_shape_fn(n, |j| 10_f64.powi(j as i32 - 12));
        let changed = |change: &dyn Fn(usize) -> f64| {
            let mut near = a.clone();
            let column = near.column(3).to_owned();
            near.column_mut(7).assign(&column.iter().enumerate().map(|(i, v)| v + change(i)).collect::<Array1<f64>>());
            near
        };
        let near = changed(&|i| 1e-9 * (i as f64).cos());
        let equal = changed(&|_| 0.0);
        let mut zero = a.clone();
        zero.column_mut(5).fill(0.0);
        for a in [&a, &graded, &near, &equal, &zero] {
            let (q, r) = orthonormal(a.view()).unwrap();
            // n roundings of sums of numbers of size 1, with a factor of ten to spare
            let tolerance = 10.0 * n as f64 * f64::EPSILON;
            assert!((q.t().dot(&q) - Array2::<f64>::eye(n)).iter().all(|e| e.abs() < tolerance));
            assert!(r.indexed_iter().all(|((i, j), v)| i <= j || *v == 0.0));
            let rebuilt = q.dot(&r);
            for ((new, old), size) in rebuilt.columns().into_iter().zip(a.columns()).zip(a.columns()) {
                let norm = size.dot(&size).sqrt();
                assert!(new.iter().zip(old).all(|(n, o)| (n - o).abs() <= tolerance * norm));
            }
        }
    }

    #[test]
    fn one_round_alone_would_not_do() {
        let n = 8;
        let a = Array2::from_shape_fn((300, n), |(i, j)| 1.0 + 1e-5 * (i as f64 * (1.0 + j as f64)).sin());
        let (once, _) = round(a.view(), gram(a.view())).unwrap();
        let off = |q: &Array2<f64>| (q.t().dot(q) - Array2::<f64>::eye(n)).iter().fold(0.0, |m: f64, e| m.max(e.abs()));
        // the condition number of the columns, 1e5, is squared in their inner products
        assert!(off(&once) > 1e-9);
        // n roundings of sums of numbers of size 1, with a factor of ten to spare
        assert!(off(&orthonormal(a.view()).unwrap().0) < 10.0 * n as f64 * f64::EPSILON);
    }
}
