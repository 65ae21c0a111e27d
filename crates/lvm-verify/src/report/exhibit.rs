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
    /// Means and standard deviations of a fitted posterior beside the true ones.
    Forest {
        /// The case, family and engine.
        case: String,
        /// One name a parameter.
        names: Vec<String>,
        /// (mean, sd) of q.
        ours: Vec<(f64, f64)>,
        /// (mean, sd) of the posterior.
        truth: Vec<(f64, f64)>,
    },
    /// A Pareto k-hat; all of a report share one picture.
    Tail {
        /// The case and family.
        case: String,
        /// k-hat.
        k: f64,
        /// Its standard deviation between repetitions; 0 if it is not known.
        sd: f64,
        /// Above this the importance weights can't be trusted: min(0.7, 1 − 1/log₁₀ S).
        threshold: f64,
    },
    /// An ELBO while it is maximised.
    Elbo {
        /// The case, family and engine.
        case: String,
        /// (step, ELBO).
        trace: Vec<(f64, f64)>,
        /// log p(x).
        evidence: f64,
        /// ELBO(q*).
        optimum: f64,
    },
}
