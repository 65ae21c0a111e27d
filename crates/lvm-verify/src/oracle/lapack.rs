//! The few LAPACK routines the oracle stands on.
//!
//! Through `lax`, the layer of ndarray-linalg that calls LAPACK, and not through ndarray-linalg itself: that one turns on ndarray's own
//! BLAS for every crate of the build, and then the code under test would share OpenBLAS with its judge.

use crate::suite::Problem;
use ndarray::{Array1, Array2};

/// Proof that LAPACK is linked: every routine needs one.
#[cfg(feature = "oracle")]
#[derive(Debug, Clone, Copy)]
pub struct Lapack(());

/// Proof that LAPACK is linked, which in this build it is not: there is no value of this type.
#[cfg(not(feature = "oracle"))]
#[derive(Debug, Clone, Copy)]
pub enum Lapack {}

#[cfg(not(feature = "oracle"))]
#[allow(clippy::unused_self, unused_variables)]
impl Lapack {
    /// LAPACK, if it is linked.
    pub fn get() -> Option<Lapack> {
        None
    }
    /// Lower Cholesky factor (dpotrf).
    ///
    /// # Errors
    /// If the matrix is not positive definite.
    pub fn cholesky(self, a: &Array2<f64>) -> Result<Array2<f64>, Problem> {
        match self {}
    }
    /// A⁻¹ b by LU with partial pivoting (dgetrf, dgetrs).
    ///
    /// # Errors
    /// If the matrix is singular.
    pub fn solve(self, a: &Array2<f64>, b: &Array1<f64>) -> Result<Array1<f64>, Problem> {
        match self {}
    }
    /// A⁻¹ by LU (dgetrf, dgetri).
    ///
    /// # Errors
    /// If the matrix is singular.
    pub fn inverse(self, a: &Array2<f64>) -> Result<Array2<f64>, Problem> {
        match self {}
    }
    /// Eigenvalues, descending, and eigenvectors as columns of a symmetric matrix (dsyev).
    ///
    /// # Errors
    /// If the iteration does not converge.
    pub fn eigh(self, a: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>), Problem> {
        match self {}
    }
    /// Singular values, descending (dgesvd).
    ///
    /// # Errors
    /// If the iteration does not converge.
    pub fn singular_values(self, a: &Array2<f64>) -> Result<Array1<f64>, Problem> {
        match self {}
    }
}

#[cfg(feature = "oracle")]
mod linked {
    use super::{Array1, Array2, Lapack, Problem};
    use lax::layout::MatrixLayout;
    use lax::{Lapack as _, Transpose, UPLO};
    use ndarray::{Axis, ShapeBuilder};

    fn problem(e: lax::error::Error) -> Problem {
        Problem(format!("LAPACK: {e}"))
    }

    /// The numbers of a matrix column after column, as LAPACK wants them, with their layout.
    fn columns(a: &Array2<f64>) -> (MatrixLayout, Vec<f64>) {
        let layout = MatrixLayout::F { col: a.ncols() as i32, lda: a.nrows() as i32 };
        (layout, a.t().iter().copied().collect())
    }

    /// The matrix of a column-major list.
    fn matrix(n: usize, numbers: Vec<f64>) -> Result<Array2<f64>, Problem> {
        Array2::from_shape_vec((n, n).f(), numbers).map_err(|e| Problem(e.to_string()))
    }

    impl Lapack {
        /// LAPACK, if it is linked.
        pub fn get() -> Option<Lapack> {
            Some(Lapack(()))
        }
        /// Lower Cholesky factor (dpotrf).
        ///
        /// # Errors
        /// If the matrix is not positive definite.
        pub fn cholesky(self, a: &Array2<f64>) -> Result<Array2<f64>, Problem> {
            let (layout, mut numbers) = columns(a);
            f64::cholesky(layout, UPLO::Lower, &mut numbers).map_err(problem)?;
            let mut l = matrix(a.nrows(), numbers)?;
            l.indexed_iter_mut().filter(|((i, j), _)| i < j).for_each(|(_, v)| *v = 0.0);
            Ok(l)
        }
        /// A⁻¹ b by LU with partial pivoting (dgetrf, dgetrs).
        ///
        /// # Errors
        /// If the matrix is singular.
        pub fn solve(self, a: &Array2<f64>, b: &Array1<f64>) -> Result<Array1<f64>, Problem> {
            let (layout, mut numbers) = columns(a);
            let pivots = f64::lu(layout, &mut numbers).map_err(problem)?;
            let mut x = b.to_vec();
            f64::solve(layout, Transpose::No, &numbers, &pivots, &mut x).map_err(problem)?;
            Ok(Array1::from(x))
        }
        /// A⁻¹ by LU (dgetrf, dgetri).
        ///
        /// # Errors
        /// If the matrix is singular.
        pub fn inverse(self, a: &Array2<f64>) -> Result<Array2<f64>, Problem> {
            let (layout, mut numbers) = columns(a);
            let pivots = f64::lu(layout, &mut numbers).map_err(problem)?;
            f64::inv(layout, &mut numbers, &pivots).map_err(problem)?;
            matrix(a.nrows(), numbers)
        }
        /// Eigenvalues, descending, and eigenvectors as columns of a symmetric matrix (dsyev).
        ///
        /// # Errors
        /// If the iteration does not converge.
        pub fn eigh(self, a: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>), Problem> {
            let (layout, mut numbers) = columns(a);
            let mut values = Array1::from(f64::eigh(true, layout, UPLO::Lower, &mut numbers).map_err(problem)?);
            let mut vectors = matrix(a.nrows(), numbers)?;
            values.invert_axis(Axis(0));
            vectors.invert_axis(Axis(1));
            Ok((values, vectors))
        }
        /// Singular values, descending (dgesvd).
        ///
        /// # Errors
        /// If the iteration does not converge.
        pub fn singular_values(self, a: &Array2<f64>) -> Result<Array1<f64>, Problem> {
            let (layout, mut numbers) = columns(a);
            Ok(Array1::from(f64::svd(layout, false, false, &mut numbers).map_err(problem)?.s))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use ndarray::array;

        #[test]
        fn routines_undo_what_they_do() {
            // exact small integers: a few roundings, so 1e-14
            let a = array![[4.0, 1.0, -1.0], [1.0, 3.0, 0.0], [-1.0, 0.0, 2.0]];
            let close = |x: Array2<f64>, y: &Array2<f64>| assert!((&x - y).iter().all(|v| v.abs() < 1e-14), "{x}");
            let lapack = Lapack::get().unwrap();
            let l = lapack.cholesky(&a).unwrap();
            close(l.dot(&l.t()), &a);
            close(lapack.inverse(&a).unwrap().dot(&a), &Array2::eye(3));
            let (values, vectors) = lapack.eigh(&a).unwrap();
            assert!(values[0] > values[1] && values[1] > values[2]);
            close((&vectors * &values).dot(&vectors.t()), &a);
            // not symmetric, so that a transposition would show
            let b = array![[1.0, 2.0, 0.0], [0.0, 1.0, 5.0], [0.0, 0.0, 1.0]];
            close(lapack.inverse(&b).unwrap().dot(&b), &Array2::eye(3));
            assert_eq!(lapack.solve(&b, &array![3.0, 6.0, 1.0]).unwrap(), array![1.0, 1.0, 1.0]);
            let s = lapack.singular_values(&array![[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]]).unwrap();
            assert!((s[0] - 3.0).abs() < 1e-14 && (s[1] - 2.0).abs() < 1e-14);
            assert!(lapack.cholesky(&(-a)).is_err());
        }
    }
}
