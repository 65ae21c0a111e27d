//! What a model file says about its model in words: names, how it was fitted, how well it fits.

use crate::criteria::Criteria;
use crate::fit::{Fitted, Repair, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is stored beside the parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Header {
    /// Names of the D columns the model was fitted to, in order.
    pub columns: Vec<String>,
    /// N, the total weight of the rows it was fitted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<f64>,
    /// How it was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<FitRecord>,
    /// How well it fits the rows it was fitted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Criteria>,
    /// Anything else worth keeping.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// The record of a fit: what [`Fitted`] holds besides the model.
///
/// ```
/// use lvm_core::file::FitRecord;
/// use lvm_core::fit::{Fitted, Status};
/// let fitted = Fitted { model: "θ", status: Status::MaxIterations, trace: vec![-1.0], repairs: vec![], restarts: vec![-1.0], seed: 7 };
/// // apart and together again: what a fit that goes on starts from
/// assert_eq!(FitRecord::from(&fitted).fitted("θ"), fitted);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitRecord {
    /// The seed given.
    pub seed: u64,
    /// Why the loop ended.
    pub status: Status,
    /// The objective after each iteration.
    #[serde(with = "numbers")]
    pub trace: Vec<f64>,
    /// Interventions.
    pub repairs: Vec<Repair>,
    /// The final objective of every restart; NaN for one that failed.
    #[serde(with = "numbers")]
    pub restarts: Vec<f64>,
}

impl<M> From<&Fitted<M>> for FitRecord {
    fn from(fitted: &Fitted<M>) -> Self {
        FitRecord {
            seed: fitted.seed,
            status: fitted.status,
            trace: fitted.trace.clone(),
            repairs: fitted.repairs.clone(),
            restarts: fitted.restarts.clone(),
        }
    }
}

impl FitRecord {
    /// The record with its model: the fit as it was when it ended.
    pub fn fitted<M>(self, model: M) -> Fitted<M> {
        Fitted { model, status: self.status, trace: self.trace, repairs: self.repairs, restarts: self.restarts, seed: self.seed }
    }
}

/// JSON knows no NaN: a number that is not finite is written as null, and null is read as NaN.
mod numbers {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|v| v.is_finite().then_some(*v)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Option<f64>>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
    }
}
