//! The JSON objects that `--json` prints. Their field names are a contract.

use super::bound::Bound;
use super::parameters::Parameters;
use lvm_core::criteria::Criteria;
use lvm_core::fit::{Fitted, Repair, Status};
use lvm_core::selection::{Candidate, Criterion};
use serde::Serialize;

/// A column that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Skipped {
    /// Its name.
    pub(crate) name: String,
    /// Why it was left out.
    pub(crate) reason: String,
}

/// The table a report is about.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TableReport {
    /// Where it was read from.
    pub(crate) data: String,
    /// N, the number of rows.
    pub(crate) n: usize,
    /// D, the number of columns used.
    pub(crate) d: usize,
    /// Sum of the row weights, where there are any; what BIC takes for N.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_weight: Option<f64>,
    /// Names of the columns used.
    pub(crate) columns: Vec<String>,
    /// Columns left out.
    pub(crate) skipped_columns: Vec<Skipped>,
}

/// `lvm fit`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FitReport {
    /// `gmm`, `ppca` or `fa`.
    pub(crate) model: &'static str,
    #[serde(flatten)]
    pub(crate) table: TableReport,
    pub(crate) seed: u64,
    pub(crate) status: Status,
    pub(crate) iterations: usize,
    /// Mean log-likelihood per row in nats, one entry an iteration; the last belongs to the parameters.
    pub(crate) trace: Vec<f64>,
    /// Total, nats.
    pub(crate) log_likelihood: f64,
    pub(crate) mean_log_likelihood: f64,
    pub(crate) n_parameters: usize,
    /// −2 log L + p log N, lower is better.
    pub(crate) bic: f64,
    /// −2 log L + 2 p, lower is better.
    pub(crate) aic: f64,
    pub(crate) parameters: Parameters,
    pub(crate) repairs: Vec<Repair>,
    /// Final mean log-likelihood of every restart; null for one that failed.
    pub(crate) restarts: Vec<f64>,
    /// The model file written, if any.
    pub(crate) output: Option<String>,
}

impl FitReport {
    /// The record of a fit.
    pub(crate) fn new<M>(
        model: &'static str,
        table: TableReport,
        fitted: &Fitted<M>,
        criteria: Criteria,
        parameters: Parameters,
        output: Option<String>,
    ) -> Self {
        FitReport {
            model,
            table,
            seed: fitted.seed,
            status: fitted.status,
            iterations: fitted.iterations(),
            trace: fitted.trace.clone(),
            log_likelihood: criteria.log_likelihood,
            mean_log_likelihood: criteria.mean_log_likelihood(),
            n_parameters: criteria.n_parameters,
            bic: criteria.bic(),
            aic: criteria.aic(),
            parameters,
            repairs: fitted.repairs.clone(),
            restarts: fitted.restarts.clone(),
            output,
        }
    }
}

/// `lvm select`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SelectReport {
    /// What the candidates were compared by.
    pub(crate) criterion: Criterion,
    /// Index of the winner in `candidates`.
    pub(crate) best: usize,
    /// Everything tried, in order.
    pub(crate) candidates: Vec<CandidateReport>,
    /// The winner, as `lvm fit` reports it.
    #[serde(flatten)]
    pub(crate) winner: FitReport,
}

/// One row of the table of `lvm select`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CandidateReport {
    /// K or q.
    pub(crate) size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) covariance: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) log_likelihood: Option<f64>,
    pub(crate) n_parameters: Option<usize>,
    pub(crate) bic: Option<f64>,
    pub(crate) aic: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) icl: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) laplace_evidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_out: Option<f64>,
    /// Why the fit failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl From<&Candidate> for CandidateReport {
    fn from(candidate: &Candidate) -> Self {
        let criteria = candidate.criteria;
        CandidateReport {
            size: candidate.size,
            covariance: candidate.covariance.clone(),
            status: candidate.status,
            log_likelihood: criteria.map(|c| c.log_likelihood),
            n_parameters: criteria.map(|c| c.n_parameters),
            bic: criteria.map(|c| c.bic()),
            aic: criteria.map(|c| c.aic()),
            icl: candidate.icl,
            laplace_evidence: candidate.laplace_evidence,
            held_out: candidate.held_out,
            error: candidate.error.clone(),
        }
    }
}

/// `lvm score`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreReport {
    /// `gmm`, `ppca` or `fa`.
    pub(crate) model: &'static str,
    #[serde(flatten)]
    pub(crate) table: TableReport,
    /// log p(x) of each row, nats.
    pub(crate) log_evidence: Vec<f64>,
    /// Total, nats; rows count as often as their weight says.
    pub(crate) log_likelihood: f64,
    pub(crate) mean_log_likelihood: f64,
    /// For documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_likelihood_per_word: Option<f64>,
    /// Whether these are lower bounds of log p(x) and not log p(x) itself.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) lower_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n_parameters: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bic: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aic: Option<f64>,
    /// The file written, if any.
    pub(crate) output: Option<String>,
}

/// For serde: what is said only when it is so.
fn is_false(value: &bool) -> bool {
    !*value
}

/// `lvm info`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct InfoReport {
    /// The family, as it is typed.
    pub(crate) model: &'static str,
    /// Rows it was fitted to, or their total weight; null if not known.
    pub(crate) n: Option<f64>,
    pub(crate) d: usize,
    /// Names of the columns, if known.
    pub(crate) columns: Vec<String>,
    /// Where the likelihood was maximised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n_parameters: Option<usize>,
    /// How it was fitted, if known.
    #[serde(flatten)]
    pub(crate) record: Option<FitRecord>,
    /// Where a bound was maximised: what of the upper limit is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_use: Option<usize>,
    pub(crate) parameters: Parameters,
}

/// How a model in a file was fitted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FitRecord {
    pub(crate) seed: u64,
    pub(crate) status: Status,
    pub(crate) iterations: usize,
    pub(crate) trace: Vec<f64>,
    pub(crate) repairs: Vec<Repair>,
    #[serde(flatten)]
    pub(crate) reached: Reached,
}

/// What a fit maximised, at its end.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum Reached {
    /// The likelihood.
    Likelihood {
        /// Total, nats.
        log_likelihood: f64,
        /// Per row, the last entry of the trace.
        mean_log_likelihood: f64,
        /// −2 log L + p log N, lower is better.
        bic: f64,
        /// −2 log L + 2 p, lower is better.
        aic: f64,
    },
    /// A bound of the evidence.
    Bound(Bound),
}

impl Reached {
    /// Per row, nats.
    pub(crate) fn per_row(&self) -> f64 {
        match self {
            Reached::Likelihood { mean_log_likelihood, .. } => *mean_log_likelihood,
            Reached::Bound(bound) => bound.mean_elbo,
        }
    }
}
