//! Whether the parameters are at a maximum of the likelihood of the rows they were fitted to.

use super::finding::{Finding, Limits, Pair, identity, size};
use lvm_core::Result;
use lvm_core::fit::Status;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::rows::RowSource;
use lvm_verify::check::Tolerance;
use lvm_vi::diagnose::Level;
use ndarray::Array2;

/// Rows read at a time.
const BLOCK: usize = 1024;

/// Calls `visit` with the index, the cells and the weight of every row that is there.
pub(super) fn each_row(rows: &dyn RowSource, mut visit: impl FnMut(usize, &[f64], f64)) -> Result<()> {
    let (n, d) = (rows.n_rows(), rows.n_cols());
    let weights = rows.weights();
    let mut row = vec![0.0; d];
    for start in (0..n).step_by(BLOCK) {
        let mut block = Array2::zeros((BLOCK.min(n - start), d));
        rows.read(start, block.view_mut())?;
        for (i, cells) in block.rows().into_iter().enumerate() {
            let weight = weights.map_or(1.0, |w| w[start + i]);
            if weight > 0.0 {
                row.iter_mut().zip(cells).for_each(|(to, v)| *to = *v);
                visit(start + i, &row, weight);
            }
        }
    }
    Ok(())
}

/// Σ w log p(x) over the rows that are there.
pub(super) fn total(log_evidence: &[f64], rows: &dyn RowSource) -> f64 {
    match rows.weights() {
        None => log_evidence.iter().sum(),
        Some(weights) => log_evidence.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(l, w)| l * w).sum(),
    }
}

/// An objective of the record against the same one computed again, both per row. `rounding` is what either may err by.
pub(super) fn record(quantity: &str, recorded: f64, found: f64, rounding: f64) -> Option<Finding> {
    let reason = "the file's own number, computed again from the rows; 1e-9 of its size for sums in another order, of moments or of rows, and \
                  the rounding of moments where noise variances are tiny beside those of their columns";
    let remedy = "the file or the table has been changed since the fit; if these are other rows than it was fitted to, say --held-out";
    let scale = 1.0 + recorded.abs() + 1e9 * rounding;
    identity("record", quantity, [Pair { found, expected: recorded, scale }], &Tolerance::relative(1e-9, reason), remedy)
}

/// Sums of the score over rows, and of its squares.
pub(super) struct Score {
    pub(super) sum: Vec<f64>,
    pub(super) squares: Vec<f64>,
}

impl Score {
    pub(super) fn new(parameters: usize) -> Self {
        Score { sum: vec![0.0; parameters], squares: vec![0.0; parameters] }
    }

    pub(super) fn add(&mut self, gradient: &[f64], weight: f64) {
        for ((sum, squares), g) in self.sum.iter_mut().zip(&mut self.squares).zip(gradient) {
            *sum += weight * g;
            *squares += weight * g * g;
        }
    }

    /// max_j |Σ_n g_nj| / √Σ_n g_nj²: by how many of its own sampling standard deviations the score of the worst parameter is off zero.
    fn worst(&self, free: impl Fn(usize) -> bool) -> f64 {
        let each = self.sum.iter().zip(&self.squares).enumerate().filter(|(j, (_, b))| free(*j) && **b > 0.0);
        each.map(|(_, (s, b))| s.abs() / b.sqrt()).fold(0.0, f64::max)
    }

    /// The score is zero at a maximum.
    pub(super) fn finding(&self, status: Option<Status>, free: impl Fn(usize) -> bool) -> Finding {
        let reason = "at a maximum the score Σ_n E[∇ log p(x_n, z_n) | x_n] is zero (Fisher's identity); here in units of its sampling standard \
                      deviation, so that 0.1 is a parameter about a tenth of its standard error away from the maximum";
        let compared = (0..self.sum.len()).filter(|j| free(*j)).count();
        let limits = Limits { pass: 0.1, warn: 1.0, worst: worst(status) };
        size("maximum", "score of the worst parameter, in its sd".to_owned(), self.worst(free), compared, &limits, reason, GO_ON)
    }
}

const GO_ON: &str = "fit again with more iterations (--max-iter) and a smaller --tol";

/// A fit that says of itself that it did not converge claims no maximum.
fn worst(status: Option<Status>) -> Level {
    match status {
        Some(Status::MaxIterations | Status::Cancelled) => Level::Warn,
        _ => Level::Fail,
    }
}

/// What log p(x) per row, by way of moments, may err by: the trace of Σ⁻¹ S is a sum of s_jj/ψ_j that nearly cancel.
pub(super) fn rounding(model: &LinearGaussian) -> f64 {
    let variances = model.loadings().rows().into_iter().map(|w| w.dot(&w)).zip(model.noise());
    16.0 * f64::EPSILON * variances.map(|(common, psi)| 1.0 + common / psi).sum::<f64>()
}

/// What one more iteration gains, per row. `rounding` is what either objective may err by.
pub(super) fn gain(quantity: &str, before: f64, after: f64, rounding: f64, status: Option<Status>) -> Finding {
    let gain = after - before;
    let reason = "an iteration never loses, and gains nothing where the fit has ended; 1e-6 nats a row is what the fits stop at, or more";
    // a loss is the program's fault, whatever the fit says of itself
    let lost = 1e-9 * (1.0 + before.abs()) + rounding;
    let limits = match gain < -lost {
        true => Limits { pass: lost, warn: lost, worst: Level::Fail },
        false => Limits { pass: rounding.max(1e-6), warn: 1e-3, worst: worst(status) },
    };
    size("iteration", quantity.to_owned(), gain, 1, &limits, reason, GO_ON)
}

/// A status that promises nothing, told as a finding.
pub(super) fn status(status: Option<Status>, last_gain: Option<f64>) -> Option<Finding> {
    let stopped = matches!(status, Some(Status::MaxIterations | Status::Cancelled));
    let limits = Limits { pass: 0.0, warn: f64::INFINITY, worst: Level::Warn };
    let reason = "the file says that the fit was stopped before it had converged; this is what its last iteration gained per row";
    stopped.then(|| {
        let gain = last_gain.unwrap_or(f64::INFINITY).max(f64::MIN_POSITIVE);
        size("status", "gain of the last iteration".to_owned(), gain, 1, &limits, reason, GO_ON)
    })
}
