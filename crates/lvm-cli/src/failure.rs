//! What went wrong, whose fault it is, and the exit code that says so.

use std::fmt;
use std::io;

/// The reason a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense: exit code 2.
    Usage(String),
    /// The data, the model or a file is at fault: exit code 1.
    Fault(String),
    /// The answer is on standard output, and it is that something is wrong: exit code 1.
    Verdict(String),
    /// Whoever read standard output has gone away; not a failure, only a reason to stop.
    Closed,
}

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// The data, the model or a file is at fault.
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Failure::Fault(message.into())
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Fault(_) | Failure::Verdict(_) => 1,
            Failure::Closed => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) => write!(f, "error: {message}\n\nFor more information, try '--help'."),
            Failure::Fault(message) | Failure::Verdict(message) => write!(f, "error: {message}"),
            Failure::Closed => Ok(()),
        }
    }
}

impl From<lvm_core::Error> for Failure {
    fn from(error: lvm_core::Error) -> Self {
        crate::hint::library(&error)
    }
}

/// Only standard output is written through plain `io`; files go through `lvm_data`.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            io::ErrorKind::StorageFull => Failure::Fault(format!("standard output: {error}\n  hint: {}", crate::hint::ROOM)),
            _ => Failure::Fault(format!("standard output: {error}")),
        }
    }
}
