//! What the checks put aside for the pictures.

use ndarray::{Array1, Array2};

/// Material for one picture.
#[derive(Debug, Clone)]
pub enum Exhibit {
    /// An EM trace beside the reference trajectory.
    Trace {
        /// The case.
        case: String,
        /// Log-likelihood after each iteration, as the library has it.
        ours: Vec<f64>,
        /// The reference.
        truth: Vec<f64>,
    },
    /// A mixture in two dimensions with its rows.
    Mixture {
        /// The case.
        case: String,
        /// Names of the two columns.
        columns: [String; 2],
        /// Rows (N, 2).
        x: Array2<f64>,
        /// Means (K, 2) and covariances (2, 2) of the components.
        components: Vec<(Array1<f64>, Array2<f64>)>,
        /// The same from the reference.
        truth: Vec<(Array1<f64>, Array2<f64>)>,
        /// Responsibility of the first component (N).
        first: Array1<f64>,
    },
    /// An eigenvalue spectrum with the noise level.
    Spectrum {
        /// The case.
        case: String,
        /// Eigenvalues by the reference, descending.
        truth: Vec<f64>,
        /// Eigenvalues of the fitted model's covariance.
        ours: Vec<f64>,
    },
    /// One number against another, one point a variable.
    Pairs {
        /// The case.
        case: String,
        /// What the numbers are.
        what: String,
        /// As the library has them.
        ours: Vec<f64>,
        /// The reference.
        truth: Vec<f64>,
    },
}
