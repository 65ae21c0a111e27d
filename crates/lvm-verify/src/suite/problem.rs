//! Why a group of checks ends early.

use crate::case::CaseError;

/// Why a group of checks could not go on; it becomes a failed check.
#[derive(Debug)]
pub struct Problem(pub String);

impl From<lvm_core::Error> for Problem {
    fn from(e: lvm_core::Error) -> Self {
        Problem(format!("the library refused: {e}"))
    }
}
impl From<CaseError> for Problem {
    fn from(e: CaseError) -> Self {
        Problem(e.to_string())
    }
}
impl From<String> for Problem {
    fn from(e: String) -> Self {
        Problem(e)
    }
}

/// How a group of checks ends.
pub type Outcome = Result<(), Problem>;
