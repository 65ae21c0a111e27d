//! C7: conjugate families: posterior parameters, evidence, predictive.

use crate::case::Case;
use crate::suite::{Group, Outcome};

/// C7, kind `conjugate`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn conjugate(group: &mut Group<'_>, case: &Case) -> Outcome {
    group.not_supported(&case.kind);
    Ok(())
}
