//! The linear algebra the models need, on ndarray and f64. The only files that name a linear-algebra library.
//!
//! Decompositions come from faer, or from LAPACK with one of the `lapack` features; products come from faer always.
//!
//! # Panics
//! These are the building blocks of the models, on matrices that the calling code has made: shapes that do not fit each other are a slip
//! in that code, like an index beyond the end of a slice, and end in a panic that names them, in every function here that has no
//! [`Result`] to return. What the numbers are never does: a matrix that is not positive definite, or not finite, is an error.

use crate::error::{Error, ErrorKind, Result};
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, Par};
use faer_ext::IntoFaer;
#[cfg(not(feature = "lapack-base"))]
use faer_ext::IntoNdarray;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;

#[cfg(not(feature = "lapack-base"))]
mod faer_backend;
#[cfg(not(feature = "lapack-base"))]
use faer_backend as backend;

#[cfg(feature = "lapack-base")]
mod lapack_backend;
#[cfg(feature = "lapack-base")]
use lapack_backend as backend;

pub(crate) mod lanczos;
mod orthonormal;
pub use orthonormal::orthonormal;

/// The leading minor (from 0) that is not positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPositiveDefinite {
    /// Index of the minor.
    pub index: usize,
}

impl NotPositiveDefinite {
    /// The error, with the name of the matrix.
    pub fn of(self, what: impl Into<String>) -> Error {
        ErrorKind::NotPositiveDefinite { what: what.into(), index: self.index }.into()
    }
}

/// Stops where two sizes differ that the calling code has to make equal.
#[track_caller]
fn fit(what: &str, a: usize, b: usize) {
    // invariant: the module says so under Panics
    assert!(a == b, "{what}: {a} and {b}");
}

/// Lower Cholesky factor L of A = L Lᵀ; reads the lower triangle of `a`, the upper of the result is zero.
///
/// ```
/// use lvm_core::linalg::{cholesky, cholesky_solve, log_det};
/// use ndarray::array;
/// let l = cholesky(array![[4.0, 2.0], [2.0, 5.0]].view()).unwrap();
/// assert_eq!(l, array![[2.0, 0.0], [1.0, 2.0]]);
/// assert!((log_det(l.view()) - 16.0_f64.ln()).abs() < 1e-15 * 4.0);
/// let mut x = array![[8.0], [12.0]];
/// cholesky_solve(l.view(), x.view_mut());
/// assert!((x - array![[1.0], [2.0]]).iter().all(|e: &f64| e.abs() < 1e-14));
/// ```
///
/// # Errors
/// If a leading minor is not positive or not finite.
///
/// # Panics
/// If the matrix is not square.
pub fn cholesky(a: ArrayView2<'_, f64>) -> std::result::Result<Array2<f64>, NotPositiveDefinite> {
    fit("rows and columns of a matrix to factorise", a.nrows(), a.ncols());
    backend::cholesky(a)
}

/// Eigenvalues in descending order and eigenvectors as columns of a symmetric matrix; reads the lower triangle.
///
/// ```
/// use lvm_core::linalg::eigh;
/// use ndarray::array;
/// let (values, vectors) = eigh(array![[2.0, 1.0], [1.0, 2.0]].view())?;
/// assert!((values[0] - 3.0).abs() < 1e-14 && (values[1] - 1.0).abs() < 1e-14);
/// assert!((vectors[[0, 0]] - vectors[[1, 0]]).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the iteration does not converge, or the matrix is not finite or not square.
pub fn eigh(a: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    if a.nrows() != a.ncols() {
        return Err(ErrorKind::Shape { what: "columns of a symmetric matrix", expected: a.nrows(), found: a.ncols() }.into());
    }
    if a.iter().any(|v| !v.is_finite()) {
        return Err(ErrorKind::Decomposition { what: "eigen-decomposition of a matrix that is not finite" }.into());
    }
    backend::eigh(a)
}

/// Thin singular value decomposition A = U diag(s) Vᵀ, s descending: U (m, r), s (r), Vᵀ (r, n) with r = min(m, n).
///
/// ```
/// use lvm_core::linalg::svd;
/// use ndarray::array;
/// let (u, s, vt) = svd(array![[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]].view())?;
/// assert!((s[0] - 3.0).abs() < 1e-14 && (s[1] - 2.0).abs() < 1e-14);
/// assert_eq!((u.dim(), vt.dim()), ((3, 2), (2, 2)));
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the iteration does not converge or the matrix is not finite.
pub fn svd(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>, Array2<f64>)> {
    if a.iter().any(|v| !v.is_finite()) {
        return Err(ErrorKind::Decomposition { what: "singular value decomposition of a matrix that is not finite" }.into());
    }
    backend::svd(a)
}

/// Thin QR decomposition A = Q R of a matrix (m, n) with m ≥ n: Q (m, n), R (n, n) upper triangular.
///
/// # Errors
/// If LAPACK refuses the matrix, or if it has fewer rows than columns.
pub fn qr(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    if a.nrows() < a.ncols() {
        return Err(ErrorKind::Shape { what: "rows of a tall matrix, at least", expected: a.ncols(), found: a.nrows() }.into());
    }
    backend::qr(a)
}

/// Solves L X = B for lower triangular L, in place.
///
/// # Panics
/// If L is not square, or B has another number of rows.
pub fn solve_lower(l: ArrayView2<'_, f64>, b: ArrayViewMut2<'_, f64>) {
    fit("rows and columns of a triangular matrix", l.nrows(), l.ncols());
    fit("rows of a triangular matrix and of its right side", l.nrows(), b.nrows());
    faer::linalg::triangular_solve::solve_lower_triangular_in_place(l.into_faer(), b.into_faer(), Par::Seq);
}

/// Solves Lᵀ X = B for lower triangular L, in place.
///
/// # Panics
/// As [`solve_lower`].
pub fn solve_lower_transposed(l: ArrayView2<'_, f64>, b: ArrayViewMut2<'_, f64>) {
    fit("rows and columns of a triangular matrix", l.nrows(), l.ncols());
    fit("rows of a triangular matrix and of its right side", l.nrows(), b.nrows());
    faer::linalg::triangular_solve::solve_upper_triangular_in_place(l.reversed_axes().into_faer(), b.into_faer(), Par::Seq);
}

/// Solves L Lᵀ X = B, in place.
///
/// # Panics
/// As [`solve_lower`].
pub fn cholesky_solve(l: ArrayView2<'_, f64>, mut b: ArrayViewMut2<'_, f64>) {
    solve_lower(l, b.view_mut());
    solve_lower_transposed(l, b);
}

/// L⁻¹ for lower triangular L.
///
/// # Panics
/// If L is not square.
pub fn inverse_lower(l: ArrayView2<'_, f64>) -> Array2<f64> {
    // columns by the block: what stands above the diagonal needs no solving
    const COLUMNS: usize = 64;
    fit("rows and columns of a triangular matrix", l.nrows(), l.ncols());
    let n = l.nrows();
    let mut inverse = Array2::eye(n);
    inverse.axis_chunks_iter_mut(Axis(1), COLUMNS).into_par_iter().enumerate().for_each(|(block, mut columns)| {
        let below = Slice::from(block * COLUMNS..);
        let corner = l.slice_axis(Axis(0), below).slice_axis_move(Axis(1), below);
        solve_lower(corner, columns.slice_axis_mut(Axis(0), below));
    });
    inverse
}

/// (L Lᵀ)⁻¹ for lower triangular L, exactly symmetric.
///
/// # Panics
/// If L is not square.
pub fn cholesky_inverse(l: ArrayView2<'_, f64>) -> Array2<f64> {
    let inverse = inverse_lower(l);
    let mut out = Array2::zeros(l.raw_dim());
    gram_lower(1.0, inverse.view(), out.view_mut());
    mirror_lower(&mut out);
    out
}

/// log det (L Lᵀ) = 2 Σ log L_ii.
pub fn log_det(l: ArrayView2<'_, f64>) -> f64 {
    2.0 * l.diag().iter().map(|v| v.ln()).sum::<f64>()
}

/// Stops unless C = A B is a product.
#[track_caller]
fn fit_product(a: (usize, usize), b: (usize, usize), c: (usize, usize)) {
    fit("columns and rows of the factors of a product", a.1, b.0);
    fit("rows of a product and of its first factor", c.0, a.0);
    fit("columns of a product and of its second factor", c.1, b.1);
}

/// C ← C + α A B, on the calling thread.
///
/// # Panics
/// If the shapes are not those of a product.
pub fn add_matmul(alpha: f64, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, c: ArrayViewMut2<'_, f64>) {
    fit_product(a.dim(), b.dim(), c.dim());
    faer::linalg::matmul::matmul(c.into_faer(), Accum::Add, a.into_faer(), b.into_faer(), alpha, Par::Seq);
}

/// C ← A B, on the calling thread.
///
/// # Panics
/// As [`add_matmul`].
pub fn matmul_into(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, c: ArrayViewMut2<'_, f64>) {
    fit_product(a.dim(), b.dim(), c.dim());
    faer::linalg::matmul::matmul(c.into_faer(), Accum::Replace, a.into_faer(), b.into_faer(), 1.0, Par::Seq);
}

/// A B, on the calling thread.
///
/// # Panics
/// As [`add_matmul`].
pub fn matmul(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    matmul_into(a, b, c.view_mut());
    c
}

/// A B by bands of rows of A, which threads share; the bands are the same whatever the number of threads.
///
/// # Panics
/// As [`add_matmul`].
pub fn matmul_by_bands(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    // sixteen equal bands at most: two, four or eight threads get the same number
    let rows = a.nrows().div_ceil(16).next_multiple_of(8).clamp(48, 256);
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    let bands = c.axis_chunks_iter_mut(Axis(0), rows).into_par_iter();
    bands.zip(a.axis_chunks_iter(Axis(0), rows)).for_each(|(c, a)| matmul_into(a, b, c));
    c
}

/// C ← B Lᵀ for lower triangular L (D, D): half the work of a product.
///
/// # Panics
/// If L is not square or the shapes are not those of a product.
pub fn times_lower_transposed(b: ArrayView2<'_, f64>, l: ArrayView2<'_, f64>, c: ArrayViewMut2<'_, f64>) {
    fit("rows and columns of a triangular matrix", l.nrows(), l.ncols());
    fit_product(b.dim(), l.dim(), c.dim());
    triangular_matmul(
        c.into_faer(),
        BlockStructure::Rectangular,
        Accum::Replace,
        b.into_faer(),
        BlockStructure::Rectangular,
        l.reversed_axes().into_faer(),
        BlockStructure::TriangularUpper,
        1.0,
        Par::Seq,
    );
}

/// Lower triangle of C ← C + α Aᵀ A: half the work of a product.
///
/// # Panics
/// As [`add_lower`].
pub fn gram_lower(alpha: f64, a: ArrayView2<'_, f64>, c: ArrayViewMut2<'_, f64>) {
    add_lower(alpha, a, a, c);
}

/// Lower triangle of C ← C + α Aᵀ B, for products known to be symmetric.
///
/// # Panics
/// If C is not square or the shapes are not those of a product.
pub fn add_lower(alpha: f64, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, c: ArrayViewMut2<'_, f64>) {
    fit_product((a.ncols(), a.nrows()), b.dim(), c.dim());
    fit("rows and columns of a symmetric product", c.nrows(), c.ncols());
    triangular_matmul(
        c.into_faer(),
        BlockStructure::TriangularLower,
        Accum::Add,
        a.reversed_axes().into_faer(),
        BlockStructure::Rectangular,
        b.into_faer(),
        BlockStructure::Rectangular,
        alpha,
        Par::Seq,
    );
}

/// Copies the lower triangle onto the upper.
///
/// # Panics
/// If the matrix is not square.
pub fn mirror_lower(a: &mut Array2<f64>) {
    fit("rows and columns of a symmetric matrix", a.nrows(), a.ncols());
    // by squares, so that either side of the diagonal is met a cache line at a time
    const SIDE: usize = 16;
    let n = a.nrows();
    for (top, left) in (0..n).step_by(SIDE).flat_map(|top| (top..n).step_by(SIDE).map(move |left| (top, left))) {
        for i in top..(top + SIDE).min(n) {
            for j in left.max(i + 1)..(left + SIDE).min(n) {
                a[[i, j]] = a[[j, i]];
            }
        }
    }
}

/// Reorders ascending eigenpairs to descending.
fn descending(values: ArrayView1<'_, f64>, vectors: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
    let n = values.len();
    let order: Vec<usize> = (0..n).rev().collect();
    (values.select(Axis(0), &order), vectors.select(Axis(1), &order))
}

/// An owned copy of a faer matrix.
#[cfg(not(feature = "lapack-base"))]
fn owned(a: faer::MatRef<'_, f64>) -> Array2<f64> {
    a.into_ndarray().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn spd() -> Array2<f64> {
        array![[4.0, 1.0, -0.5], [1.0, 3.0, 0.2], [-0.5, 0.2, 2.0]]
    }

    fn close(a: &Array2<f64>, b: &Array2<f64>) {
        // 64 ulp of the largest entry: a handful of roundings in 3x3 products
        let scale = b.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        assert!(a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 64.0 * f64::EPSILON * scale), "{a} {b}");
    }

    #[test]
    fn cholesky_reproduces_the_matrix_and_names_the_bad_pivot() {
        let l = cholesky(spd().view()).unwrap();
        close(&l.dot(&l.t()), &spd());
        close(&cholesky_inverse(l.view()).dot(&spd()), &Array2::eye(3));
        assert!((log_det(l.view()) - 20.89_f64.ln()).abs() < 1e-13);
        let mut bad = spd();
        bad[[1, 1]] = -1.0;
        assert_eq!(cholesky(bad.view()), Err(NotPositiveDefinite { index: 1 }));
        bad[[1, 1]] = f64::NAN;
        assert!(cholesky(bad.view()).is_err());
    }

    #[test]
    fn eigenvalues_descend_and_rebuild_the_matrix() {
        let (values, v) = eigh(spd().view()).unwrap();
        assert!(values[0] > values[1] && values[1] > values[2]);
        close(&(&v * &values).dot(&v.t()), &spd());
    }

    #[test]
    fn eigenpairs_do_not_depend_on_the_scale() {
        let a = Array2::from_shape_fn((40, 40), |(i, j)| ((i * j) as f64 * 0.37 + (i + j) as f64).sin());
        let a = a.t().dot(&a);
        let (values, vectors) = eigh(a.view()).unwrap();
        for power in [-900, -40, 40, 900] {
            let scale = 2.0_f64.powi(power);
            let (scaled, same) = eigh((&a * scale).view()).unwrap();
            // LAPACK scales by its own rule: 64 roundings of the largest
            assert!(values.iter().zip(&scaled).all(|(v, s)| (v - s / scale).abs() <= 64.0 * f64::EPSILON * values[0]), "{power}");
            let residual = a.dot(&same) - &same * &(&scaled / scale);
            assert!(residual.iter().all(|r| r.abs() <= 256.0 * f64::EPSILON * values[0]), "{power}");
        }
        assert_eq!(eigh(Array2::zeros((3, 3)).view()).unwrap().0, Array1::<f64>::zeros(3));
        assert_eq!(vectors.dim(), (40, 40));
    }

    #[test]
    fn singular_triplets_do_not_depend_on_the_scale() {
        for shape in [(60, 40), (40, 60), (40, 40)] {
            // singular values from 1 down to 1e-9
            let a =
                Array2::from_shape_fn(shape, |(i, j)| ((i * j) as f64 * 0.37 + (i + j) as f64).sin() * 10_f64.powf(-9.0 * j as f64 / 60.0));
            let (_, values, _) = svd(a.view()).unwrap();
            for power in [-900, -40, 40, 900] {
                let scale = 2.0_f64.powi(power);
                let (u, scaled, vt) = svd((&a * scale).view()).unwrap();
                // LAPACK scales by its own rule: 64 roundings of the largest
                assert!(values.iter().zip(&scaled).all(|(v, s)| (v - s / scale).abs() <= 64.0 * f64::EPSILON * values[0]), "{power}");
                let residual = a.dot(&vt.t()) - &u * &(&scaled / scale);
                assert!(residual.iter().all(|r| r.abs() <= 256.0 * f64::EPSILON * values[0]), "{power}");
            }
        }
        let (u, s, vt) = svd(Array2::zeros((3, 2)).view()).unwrap();
        assert_eq!((u.dim(), s, vt.dim()), ((3, 2), Array1::zeros(2), (2, 2)));
    }

    #[test]
    fn svd_and_qr_rebuild_a_tall_matrix() {
        let a = array![[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]];
        let (u, s, vt) = svd(a.view()).unwrap();
        close(&(&u * &s).dot(&vt), &a);
        let (q, r) = qr(a.view()).unwrap();
        close(&q.dot(&r), &a);
        close(&q.t().dot(&q), &Array2::eye(2));
        assert_eq!(r[[1, 0]], 0.0);
    }

    #[test]
    fn shapes_that_do_not_fit_are_told_and_not_computed_with() {
        let wide = Array2::<f64>::ones((2, 3));
        assert!(matches!(eigh(wide.view()).unwrap_err().kind(), ErrorKind::Shape { expected: 2, found: 3, .. }));
        assert!(matches!(qr(wide.view()).unwrap_err().kind(), ErrorKind::Shape { expected: 3, found: 2, .. }));
        assert!(svd(wide.view()).is_ok());
        let message = |f: &(dyn Fn() + std::panic::RefUnwindSafe)| {
            let payload = std::panic::catch_unwind(f).unwrap_err();
            payload.downcast_ref::<String>().cloned().unwrap_or_default()
        };
        assert!(message(&|| drop(cholesky(wide.view()))).contains("to factorise: 2 and 3"));
        assert!(message(&|| drop(matmul(wide.view(), wide.view()))).contains("of a product: 3 and 2"));
        assert!(message(&|| solve_lower(spd().view(), wide.clone().view_mut())).contains("right side: 3 and 2"));
        assert!(message(&|| drop(inverse_lower(wide.view()))).contains("triangular"));
        assert!(message(&|| gram_lower(1.0, wide.view(), wide.clone().view_mut())).contains("product"));
        assert!(message(&|| times_lower_transposed(wide.view(), wide.view(), spd().view_mut())).contains("triangular"));
    }

    #[test]
    fn triangular_products_are_the_full_ones() {
        let l = cholesky(spd().view()).unwrap();
        let b = array![[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]];
        let mut c = Array2::zeros((2, 3));
        times_lower_transposed(b.view(), l.view(), c.view_mut());
        close(&c, &b.dot(&l.t()));
        let mut g = Array2::zeros((3, 3));
        gram_lower(2.0, b.view(), g.view_mut());
        mirror_lower(&mut g);
        close(&g, &(2.0 * b.t().dot(&b)));
    }
}
