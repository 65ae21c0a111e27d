//! The few LAPACK routines the oracle stands on.

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
    use ndarray::Axis;
    use ndarray_linalg::{Cholesky, Eigh, Inverse, SVD, Solve, UPLO};

    fn problem(e: ndarray_linalg::error::LinalgError) -> Problem {
        Problem(format!("LAPACK: {e}"))
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
            a.cholesky(UPLO::Lower).map_err(problem)
        }
        /// A⁻¹ b by LU with partial pivoting (dgetrf, dgetrs).
        ///
        /// # Errors
        /// If the matrix is singular.
        pub fn solve(self, a: &Array2<f64>, b: &Array1<f64>) -> Result<Array1<f64>, Problem> {
            a.solve(b).map_err(problem)
        }
        /// A⁻¹ by LU (dgetrf, dgetri).
        ///
        /// # Errors
        /// If the matrix is singular.
        pub fn inverse(self, a: &Array2<f64>) -> Result<Array2<f64>, Problem> {
            a.inv().map_err(problem)
        }
        /// Eigenvalues, descending, and eigenvectors as columns of a symmetric matrix (dsyev).
        ///
        /// # Errors
        /// If the iteration does not converge.
        pub fn eigh(self, a: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>), Problem> {
            let (mut values, mut vectors) = a.eigh(UPLO::Lower).map_err(problem)?;
            values.invert_axis(Axis(0));
            vectors.invert_axis(Axis(1));
            Ok((values, vectors))
        }
        /// Singular values, descending (dgesvd).
        ///
        /// # Errors
        /// If the iteration does not converge.
        pub fn singular_values(self, a: &Array2<f64>) -> Result<Array1<f64>, Problem> {
            Ok(a.svd(false, false).map_err(problem)?.1)
        }
    }
}
