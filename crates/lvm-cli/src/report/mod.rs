//! What the program says: one value for each command, printed as JSON ([`json`]) or for people ([`human`]).

pub(crate) mod bound;
pub(crate) mod grid;
pub(crate) mod human;
pub(crate) mod inference;
pub(crate) mod json;
mod parameters;
#[cfg(feature = "deep")]
pub(crate) mod vae;
pub(crate) mod verdict;

pub(crate) use bound::{Bound, BoundReport};
pub(crate) use grid::count;
pub(crate) use json::{FitRecord, FitReport, InfoReport, Reached, ScoreReport, SelectReport, Skipped, TableReport};
pub(crate) use parameters::{Parameters, nested};
#[cfg(feature = "deep")]
pub(crate) use vae::{VaeInfo, VaeReport};

use crate::failure::Outcome;
use serde::Serialize;
use std::io::{Write, stdout};

/// Prints `report` as one JSON object, or what `text` makes of it.
pub(crate) fn print<R: Serialize>(report: &R, json: bool, text: impl Fn(&R) -> String) -> Outcome {
    let text = match json {
        // invariant: the reports hold strings, numbers and lists of them only, which always have a JSON form
        true => serde_json::to_string(report).map_err(std::io::Error::from)? + "\n",
        false => text(report),
    };
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
