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
///
/// ```
/// use lvm_core::{ppca::Ppca, rows::Rows};
/// use ndarray::array;
/// // the covariance of x is [[2, 1], [1, 2]], so E[x_1 | x_0] = x_0/2 with variance 2 − 1/2
/// let model = Ppca::new(array![0.0, 0.0], array![[1.0], [1.0]], 1.0)?;
/// let holes = array![[2.0, f64::NAN], [1.0, 3.0]];
/// let filled = model.impute(&Rows::new(&holes).missing_as_nan())?;
/// assert!((filled.x[[0, 1]] - 1.0).abs() < 1e-14 && filled.x[[1, 1]] == 3.0);
/// assert_eq!((filled.blocks.len(), &filled.blocks[0].columns), (1, &vec![1]));
/// assert!((filled.blocks[0].covariance[[0, 0]] - 1.5).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Imputation {
    /// The table (N, D); missing entries hold their conditional mean.
    pub x: Array2<f64>,
    /// One block for each row with missing entries, in row order.
    pub blocks: Vec<MissingBlock>,
}
