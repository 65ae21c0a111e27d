//! How many counts a row has in all, and what that says about their means.

use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result};
use lvm_core::mutant::planted;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Where the size ℓ of a row of counts comes from: the library of a cell, the length of a document, the time of an observation.
///
/// ```text
/// None                log μ_d = a_d
/// Exposure(c)         log μ_d = a_d + t            t = log exposure, column c of the condition
/// Observed            log μ_d = log ℓ + log ρ_d    ρ = softmax(a) over the columns that are there, ℓ the sum of the row
/// Condition(c)        log μ_d = log ℓ + log ρ_d    ρ = softmax(a), log ℓ = column c of the condition
/// Latent              log μ_d = log ℓ + log ρ_d    ρ = softmax(a), log ℓ = m + s z_L, the last latent
/// ```
///
/// With `Observed` the density is that of the counts *given* ℓ, which is then taken for known: evidence is comparable only between models
/// that are told the same. Missing columns are not counted: ℓ and ρ both refer to the columns that are there, and the mean of a missing
/// column is ℓ ρ_d / Σ_there ρ. With `Latent` the density is that of the counts alone; m and s are mean and standard deviation of the log
/// sums of the training rows, so that log ℓ ~ N(m, s²) under a standard normal prior (Lopez et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// The decoder delivers log means.
    #[default]
    None,
    /// The decoder delivers log rates; their log exposure is this column of the condition.
    Exposure(i64),
    /// The decoder delivers logits of shares; the size is the sum of the row.
    Observed,
    /// The decoder delivers logits of shares; the log size is this column of the condition.
    Condition(i64),
    /// The decoder delivers logits of shares; the log size is a latent of its own.
    Latent,
}

/// Log means are kept below this: e³⁰ is more than anybody counts, and its square is still a number in f32.
const LOG_MEAN_LIMIT: f64 = 30.0;

/// What stands for −∞ where a share is left out.
const LEFT_OUT: f64 = -1e30;

impl Library {
    /// How many outputs stand behind the others: log ℓ, if it is latent.
    pub(super) fn n_outputs(self) -> i64 {
        i64::from(self == Library::Latent)
    }

    /// [`Likelihood::sized_columns`](super::Likelihood::sized_columns) of so many columns.
    pub(super) fn sized_columns(self, columns: i64) -> Vec<Vec<i64>> {
        if self == Library::Observed { vec![(0..columns).collect()] } else { Vec::new() }
    }

    /// log μ (…, N, D) of a (…, N, D), which is the first part of the outputs (…, N, P).
    pub(super) fn log_mean(self, a: &Tensor, outputs: &Tensor, batch: &Batch) -> Tensor {
        let log_mean = match self {
            Library::None => a.shallow_clone(),
            Library::Exposure(column) => match told(batch, column) {
                Some(log_exposure) => a + log_exposure,
                None => a.shallow_clone(),
            },
            Library::Observed if planted("vae_size_ignored") => log_shares(a, batch.observed.as_ref()),
            Library::Observed => log_shares(a, batch.observed.as_ref()) + row_sums(&batch.x).clamp_min(1.0).log(),
            Library::Condition(column) => match told(batch, column) {
                Some(log_size) => log_shares(a, None) + log_size,
                None => log_shares(a, None),
            },
            Library::Latent => log_shares(a, None) + outputs.narrow(-1, -1, 1),
        };
        log_mean.clamp_max(LOG_MEAN_LIMIT)
    }

    /// The outputs a of which the mean is that of the columns.
    pub(super) fn start(self, mean: &Tensor) -> Option<Tensor> {
        match self {
            Library::Exposure(_) => None,
            _ => Some(mean.clamp_min(1e-4).log()),
        }
    }

    /// Whether every entry is a count and every row has a size.
    pub(super) fn check(self, batch: &Batch) -> Result<()> {
        check_counts(batch)?;
        match self {
            Library::None | Library::Latent => Ok(()),
            Library::Observed => check_rows_have_counts(batch),
            Library::Exposure(column) | Library::Condition(column) => {
                let told = batch.condition.as_ref().map_or(0, |c| c.size()[1]);
                if (0..told).contains(&column) {
                    return Ok(());
                }
                let message =
                    format!("column {column} of the condition is to hold the log size of a row, but the condition has {told} columns");
                Err(Error::config("library", message))
            }
        }
    }
}

/// One column of the condition (N, 1).
fn told(batch: &Batch, column: i64) -> Option<Tensor> {
    batch.condition.as_ref().map(|c| c.narrow(1, column, 1))
}

/// Σ_d x_nd (N, 1).
pub(super) fn row_sums(x: &Tensor) -> Tensor {
    x.sum_dim_intlist([-1].as_slice(), true, None)
}

/// log ρ, with ρ summing to 1 over the columns that are there.
pub(super) fn log_shares(a: &Tensor, observed: Option<&Tensor>) -> Tensor {
    match observed {
        None => a.log_softmax(-1, None),
        Some(observed) => {
            let left_out: Tensor = (1.0 - observed) * LEFT_OUT;
            a - (a + left_out).logsumexp([-1].as_slice(), true)
        }
    }
}

/// # Errors
/// If an entry is not 0, 1, 2, ….
pub(super) fn check_counts(batch: &Batch) -> Result<()> {
    let bad = batch.x.lt(0.0).logical_or(&batch.x.ne_tensor(&batch.x.floor()));
    match super::first_where(&bad, &batch.x) {
        None => Ok(()),
        Some((row, column, value)) => {
            let allowed = "counts 0, 1, 2, …: give the raw counts, neither scaled nor logarithms, or choose a Gaussian";
            Err(ErrorKind::OutsideSupport { row, column, value, allowed }.into())
        }
    }
}

/// # Errors
/// If a row sums to 0.
pub(super) fn check_rows_have_counts(batch: &Batch) -> Result<()> {
    let sums = batch.x.sum_dim_intlist([1].as_slice(), true, Kind::Double);
    match super::first_where(&sums.eq(0.0), &sums) {
        None => Ok(()),
        Some((row, ..)) => {
            let allowed = "rows with at least one count, for their sum is the size of the row: leave empty rows out";
            Err(ErrorKind::OutsideSupport { row, column: 0, value: 0.0, allowed }.into())
        }
    }
}
