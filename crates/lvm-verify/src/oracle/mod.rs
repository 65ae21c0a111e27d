//! Truth by textbook formulas on LAPACK.
//!
//! Nothing here calls the code under test, and nothing is clever: dense D x D matrices, one row at a time, the formula as the book prints
//! it. Decompositions come from LAPACK through ndarray-linalg (feature `oracle`), a stack that shares no code with the library's own.
//! Without the feature a [`Lapack`] can't be had, and what needs one is reported as not run.

pub mod gaussian;
mod lapack;
pub mod linear_gaussian;
pub mod mixture;

pub use lapack::Lapack;

/// What to do when there is no oracle.
pub const ENABLE: &str = "cargo xtask verify (it installs libopenblas-dev and builds with --features lvm-verify/oracle)";

/// Why a check was not run when there is no oracle.
pub const ABSENT: &str = "built without LAPACK (feature \"oracle\")";
