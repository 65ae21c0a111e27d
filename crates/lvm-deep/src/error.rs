//! Errors are those of `lvm-core`; what libtorch says becomes an [`ErrorKind::Source`].

pub use lvm_core::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What libtorch reported while something was done.
#[derive(Debug)]
pub struct TorchError {
    /// What was being done.
    pub doing: &'static str,
    /// libtorch's own words, the first line.
    pub message: String,
}

impl std::fmt::Display for TorchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "libtorch failed while {}: {}", self.doing, self.message)
    }
}

impl std::error::Error for TorchError {}

/// Runs tensor code whose shapes are right by construction and turns what libtorch may still report (memory exhausted, device lost) into
/// an error. tch panics there; the panic ends here.
///
/// # Errors
/// What `work` returns, or libtorch's report.
pub fn guard<T>(doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(torch(doing, text.as_deref().unwrap_or("no reason given")))
        }
    }
}

/// libtorch's report as an error.
pub(crate) fn torch(doing: &'static str, report: &str) -> Error {
    let message = report.split("\\n").next().unwrap_or(report).lines().next().unwrap_or(report).to_owned();
    ErrorKind::Source(Box::new(TorchError { doing, message })).into()
}
