//! Choosing between models: one table, one winner.

use crate::criteria::Criteria;
use crate::fit::{Fitted, Status};
use serde::{Deserialize, Serialize};

/// One model that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// K for mixtures, q for factor models.
    pub size: usize,
    /// Shape of the covariances, for mixtures: `full`, `tied`, `diag` or `spherical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariance: Option<String>,
    /// Log-likelihood, parameters and rows; absent if the fit failed.
    pub criteria: Option<Criteria>,
    /// ICL = BIC + 2 Σ_n H[p(z_n | x_n)] (Biernacki, Celeux & Govaert 2000), lower is better; for mixtures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icl: Option<f64>,
    /// Laplace approximation of the log evidence (Minka 2000), higher is better; for PPCA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub laplace_evidence: Option<f64>,
    /// Mean log-likelihood per held-out row, nats, higher is better; where cross-validation was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// Why the fit ended; absent if it failed.
    pub status: Option<Status>,
    /// Why the fit failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What candidates are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Lowest BIC.
    #[default]
    Bic,
    /// Lowest AIC.
    Aic,
    /// Lowest ICL; mixtures only.
    Icl,
    /// Highest Laplace evidence; PPCA only.
    LaplaceEvidence,
    /// Highest held-out log-likelihood by K-fold cross-validation.
    HeldOut,
}

impl Criterion {
    /// The value of a candidate with its sign such that higher is better; `None` if the candidate has none.
    pub fn score(self, candidate: &Candidate) -> Option<f64> {
        let value = match self {
            Criterion::Bic => candidate.criteria.map(|c| -c.bic()),
            Criterion::Aic => candidate.criteria.map(|c| -c.aic()),
            Criterion::Icl => candidate.icl.map(|v| -v),
            Criterion::LaplaceEvidence => candidate.laplace_evidence,
            Criterion::HeldOut => candidate.held_out,
        };
        value.filter(|v| v.is_finite())
    }
}

/// The table of all candidates, and the model of the best.
#[derive(Debug, Clone)]
pub struct Selection<M> {
    /// All candidates, in the order tried.
    pub table: Vec<Candidate>,
    /// What they were compared by.
    pub criterion: Criterion,
    /// Index of the winner.
    pub best: usize,
    /// The winner, fitted to all rows.
    pub fitted: Fitted<M>,
}
