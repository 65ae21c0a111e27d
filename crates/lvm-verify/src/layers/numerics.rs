//! Layer N: special functions, log densities, cancellation, far tails, exact least squares.

use crate::case::Case;
use crate::suite::{Group, Outcome};

/// N1, kind `special`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn special(group: &mut Group<'_>, case: &Case) -> Outcome {
    group.not_supported(&case.kind);
    Ok(())
}

/// N2, kind `numerics`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn torture(group: &mut Group<'_>, case: &Case) -> Outcome {
    group.not_supported(&case.kind);
    Ok(())
}

/// N3, kind `exact_regression`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn regression(group: &mut Group<'_>, case: &Case) -> Outcome {
    group.not_supported(&case.kind);
    Ok(())
}
