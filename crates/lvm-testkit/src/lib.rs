//! The laws that every latent-variable model obeys.
//!
//! A law is a function of a model (or of a way to fit one) that returns a [`Violation`] saying what was compared and how far apart it
//! was. The laws know only the traits of `lvm-core`, so one list serves all models; each law is shown failing on a broken model in
//! `tests/broken.rs`.

#![forbid(unsafe_code)]

pub mod bound;
pub mod calibration;
pub mod density;
pub mod estimation;
pub mod invariance;

use std::fmt;

/// How a law was broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// What was compared, the two values and the tolerance.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.message)
    }
}

impl std::error::Error for Violation {}

/// Held, or how it was broken.
pub type Verdict = Result<(), Violation>;

/// A violation of `law`.
pub(crate) fn broken(law: &'static str, message: impl Into<String>) -> Violation {
    Violation { law, message: message.into() }
}

/// An error of the code under test, as a violation of `law`.
pub(crate) fn raised(law: &'static str) -> impl Fn(lvm_core::Error) -> Violation {
    move |error| broken(law, format!("unexpected error: {error}"))
}

/// `Ok` if every pair differs by no more than its tolerance; the message of the first that does not names its row.
pub(crate) fn compare(
    law: &'static str,
    what: &str,
    a: impl IntoIterator<Item = f64>,
    b: impl IntoIterator<Item = f64>,
    tolerance: impl Fn(f64, f64) -> f64,
) -> Verdict {
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut row = 0;
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ok(()),
            (Some(x), Some(y)) => {
                let limit = tolerance(x, y);
                // NaN on either side is a difference
                if !((x - y).abs() <= limit) && x != y {
                    return Err(broken(law, format!("{what}, entry {row}: {x:e} against {y:e}, tolerance {limit:e}")));
                }
                row += 1;
            }
            _ => return Err(broken(law, format!("{what}: different lengths"))),
        }
    }
}
