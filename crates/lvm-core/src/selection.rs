//! Choosing between models: one table, one winner.

use crate::criteria::Criteria;
use crate::error::{Error, Result};
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
    /// Why the candidate can't be judged, or can't win: its fit to all rows failed, or (the criteria are then there) one without a fold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Candidate {
    /// Before anything is known of it.
    pub(crate) fn of(size: usize, covariance: Option<String>) -> Self {
        Candidate { size, covariance, criteria: None, icl: None, laplace_evidence: None, held_out: None, status: None, error: None }
    }

    /// Notes why it could not be fitted.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.error.get_or_insert_with(|| error.to_string());
    }

    /// Notes what came of the cross-validation. The fit to all rows and its criteria stand, whatever a part of the rows is like.
    pub(crate) fn cross_validated(&mut self, held_out: Result<f64>) -> Result<()> {
        match held_out {
            Ok(value) => {
                self.held_out = Some(value);
                Ok(())
            }
            Err(error) => {
                self.error.get_or_insert_with(|| match error.is_cancelled() {
                    true => "cancelled before all folds were done".to_owned(),
                    false => format!("without one of the folds: {error}"),
                });
                Err(error)
            }
        }
    }
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
