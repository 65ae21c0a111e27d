//! One check of a user's fit: what was found, what it should be, how far apart the two may be and why.

use lvm_verify::check::Tolerance;
use lvm_vi::diagnose::Level;
use serde::Serialize;

/// What to do about an identity that does not hold.
pub(super) const PROGRAM: &str = "this is a fault of the program, not of your data: please report it with the model file";

/// One check.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// Its name, for programs.
    pub(crate) check: &'static str,
    /// What is compared, for people; of several numbers the one nearest to its tolerance is shown.
    pub(crate) quantity: String,
    pub(crate) found: f64,
    /// What it should be.
    pub(crate) expected: f64,
    pub(crate) difference: f64,
    /// The largest difference of a pass.
    pub(crate) allowed: f64,
    /// Numbers compared.
    pub(crate) compared: usize,
    pub(crate) verdict: Level,
    /// What the check shows, and why that much is allowed.
    pub(crate) reason: String,
    /// What to do, where something should be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) remedy: String,
}

/// Two numbers that should agree, and the size of what was added up on the way to them.
pub(super) struct Pair {
    pub(super) found: f64,
    pub(super) expected: f64,
    pub(super) scale: f64,
}

/// An identity: it holds whatever the data, or the program is wrong.
pub(super) fn identity(
    check: &'static str,
    quantity: &str,
    pairs: impl IntoIterator<Item = Pair>,
    tolerance: &Tolerance,
    remedy: &str,
) -> Option<Finding> {
    let mut worst: Option<(f64, Pair)> = None;
    let mut compared = 0;
    for pair in pairs {
        compared += 1;
        let ratio = (pair.found - pair.expected).abs() / tolerance.allowed(pair.scale);
        // a NaN is the worst of all
        if worst.as_ref().is_none_or(|(r, _)| !(ratio <= *r) && !r.is_nan()) {
            worst = Some((ratio, pair));
        }
    }
    let (ratio, Pair { found, expected, scale }) = worst?;
    let verdict = if ratio <= 1.0 { Level::Pass } else { Level::Fail };
    Some(Finding {
        check,
        quantity: quantity.to_owned(),
        found,
        expected,
        difference: (found - expected).abs(),
        allowed: tolerance.allowed(scale),
        compared,
        verdict,
        reason: tolerance.reason.clone(),
        remedy: if verdict == Level::Pass { String::new() } else { remedy.to_owned() },
    })
}

/// What a size that should be zero makes of the verdict.
pub(super) struct Limits {
    /// Up to here it is a pass.
    pub(super) pass: f64,
    /// Up to here a warning.
    pub(super) warn: f64,
    /// The worst that may come of it.
    pub(super) worst: Level,
}

/// A size that should be zero.
pub(super) fn size(
    check: &'static str,
    quantity: String,
    found: f64,
    compared: usize,
    limits: &Limits,
    reason: &str,
    remedy: &str,
) -> Finding {
    let verdict = match found.abs() {
        size if size <= limits.pass => Level::Pass,
        size if size <= limits.warn => Level::Warn,
        _ => Level::Fail,
    };
    let verdict = verdict.min(limits.worst);
    Finding {
        check,
        quantity,
        found,
        expected: 0.0,
        difference: found.abs(),
        allowed: limits.pass,
        compared,
        verdict,
        reason: reason.to_owned(),
        remedy: if verdict == Level::Pass { String::new() } else { remedy.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_nearest_to_its_tolerance_is_shown_and_nan_fails() {
        let pair = |found| Pair { found, expected: 1.0, scale: 1.0 };
        let check = |values: &[f64]| identity("a", "b", values.iter().map(|v| pair(*v)), &Tolerance::absolute(0.1, "why"), "do").unwrap();
        assert_eq!((check(&[1.0, 1.05, 0.99]).found, check(&[1.0, 1.05]).verdict), (1.05, Level::Pass));
        assert_eq!((check(&[1.0, 1.2]).verdict, check(&[1.0, 1.2]).remedy.as_str()), (Level::Fail, "do"));
        for values in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            assert!(check(&values).found.is_nan() && check(&values).verdict == Level::Fail);
        }
        assert!(identity("a", "b", [], &Tolerance::absolute(0.1, "why"), "do").is_none());
    }

    #[test]
    fn a_size_beyond_its_limits_is_no_worse_than_allowed() {
        let check = |found, worst| size("a", "b".into(), found, 1, &Limits { pass: 0.1, warn: 1.0, worst }, "", "").verdict;
        assert_eq!([0.1, -0.5, 3.0].map(|v| check(v, Level::Fail)), [Level::Pass, Level::Warn, Level::Fail]);
        assert_eq!(check(3.0, Level::Warn), Level::Warn);
        assert_eq!(check(f64::NAN, Level::Fail), Level::Fail);
    }
}
