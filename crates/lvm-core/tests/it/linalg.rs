//! Decompositions of matrices so large that they are put together from parts.

use lvm_core::linalg::{NotPositiveDefinite, cholesky, matmul};
use ndarray::Array2;

/// A covariance (n, n): the identity and a few directions.
fn covariance(n: usize) -> Array2<f64> {
    let w = Array2::from_shape_fn((n, 5), |(i, j)| ((i * (2 * j + 3)) as f64 * 0.37).sin());
    matmul(w.view(), w.t()) + Array2::<f64>::eye(n)
}

#[test]
fn large_cholesky_factors_rebuild_the_matrix() {
    for n in [511, 512, 600, 1153] {
        let a = covariance(n);
        // the upper triangle is not read
        let read = Array2::from_shape_fn((n, n), |(i, j)| if j <= i { a[[i, j]] } else { f64::NAN });
        let l = cholesky(read.view()).unwrap();
        assert!(l.indexed_iter().all(|((i, j), v)| j <= i || *v == 0.0));
        // Σ_k |l_ik l_jk| is at most √(a_ii a_jj), here 6; n roundings each
        let tolerance = 6.0 * n as f64 * f64::EPSILON;
        assert!((matmul(l.view(), l.t()) - &a).iter().all(|e| e.abs() <= tolerance), "{n}");
    }
}

#[test]
fn the_minor_that_is_not_positive_is_named_wherever_it_lies() {
    let a = covariance(700);
    for index in [0, 100, 383, 384, 511, 699] {
        let mut bad = a.clone();
        bad[[index, index]] = -1.0;
        assert_eq!(cholesky(bad.view()), Err(NotPositiveDefinite { index }));
        bad[[index, index]] = f64::NAN;
        assert!(cholesky(bad.view()).is_err());
    }
}

#[test]
fn large_cholesky_factors_do_not_depend_on_threads() {
    let a = covariance(700);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cholesky(a.view()).unwrap())
    };
    let one = on(1);
    assert!([2, 7].iter().all(|threads| on(*threads) == one));
}
