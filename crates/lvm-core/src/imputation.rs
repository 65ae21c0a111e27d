//! What a model says about missing entries.

use ndarray::{Array1, Array2};

/// The conditional distribution of one row's missing entries given its observed ones.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingBlock {
    /// Row, from 0.
    pub row: usize,
    /// The missing columns, ascending, from 0.
    pub columns: Vec<usize>,
    /// E[x_m | x_o], one entry for each of `columns`.
    pub mean: Array1<f64>,
    /// Cov[x_m | x_o], rows and columns in the order of `columns`.
    pub covariance: Array2<f64>,
}

/// A table with its missing entries filled in, and how uncertain each of them is.
#[derive(Debug, Clone, PartialEq)]
pub struct Imputation {
    /// The table (N, D); missing entries hold their conditional mean.
    pub x: Array2<f64>,
    /// One block for each row with missing entries, in row order.
    pub blocks: Vec<MissingBlock>,
}
