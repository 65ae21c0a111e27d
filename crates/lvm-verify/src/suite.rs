//! Runs groups of checks and collects their verdicts.

use crate::case::CaseError;
use crate::check::{Check, Layer, Shown, Source, Stochastic, Tolerance, Verdict};
use crate::subject::Subject;
use ndarray::{ArrayRef, Dimension};
use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// What is run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these layers; all if empty.
    pub layers: Vec<Layer>,
    /// Only cases whose name contains one of these; all if empty.
    pub cases: Vec<String>,
    /// Only what fits into a minute.
    pub quick: bool,
    /// Only checks with one of these ids; all if empty.
    pub ids: Vec<String>,
}

impl Selection {
    /// Whether a group of checks is asked for.
    pub fn wants(&self, layer: Layer, id: &str, case: &str) -> bool {
        (self.layers.is_empty() || self.layers.contains(&layer))
            && (self.cases.is_empty() || self.cases.iter().any(|c| case.contains(c.as_str())))
            && (self.ids.is_empty() || self.ids.iter().any(|i| i == id))
    }
}

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

/// Called after each group.
pub type Watch<'s> = Box<dyn FnMut(&Group<'_>) + 's>;

/// All checks of a run, the code under test, and what of it is asked for.
pub struct Suite<'s> {
    /// The code under test.
    pub subject: &'s dyn Subject,
    /// What is run.
    pub selection: Selection,
    /// What was found, in the order it was found.
    pub checks: Vec<Check>,
    /// Curves and points for the HTML page, gathered on the way.
    pub exhibits: Vec<crate::report::exhibit::Exhibit>,
    /// Called after each group: for progress on a terminal.
    pub watch: Option<Watch<'s>>,
    /// The `--dir` of the run, for the commands that reproduce a check.
    pub dir: Option<String>,
    /// Where groups are written down instead of being run: for `--list`.
    pub listing: Option<Vec<Listed>>,
}

/// A group of checks that would be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The layer.
    pub layer: Layer,
    /// The check of the catalogue, such as `C1`; `-` for a case of a kind that is not supported.
    pub id: String,
    /// The case.
    pub case: String,
}

impl<'s> Suite<'s> {
    /// An empty suite for `subject`.
    pub fn new(subject: &'s dyn Subject, selection: Selection) -> Self {
        Suite { subject, selection, checks: Vec::new(), exhibits: Vec::new(), watch: None, dir: None, listing: None }
    }

    /// Runs one group of checks on one case, if it is asked for. An error or a panic inside becomes a failed check.
    pub fn group(&mut self, layer: Layer, id: &str, case: &str, body: impl FnOnce(&mut Group<'_>) -> Outcome) {
        if !self.selection.wants(layer, id, case) {
            return;
        }
        if let Some(listing) = &mut self.listing {
            listing.push(Listed { layer, id: id.to_owned(), case: case.to_owned() });
            return;
        }
        let mut group = Group {
            layer,
            id: id.to_owned(),
            case: case.to_owned(),
            subject: self.subject,
            quick: self.selection.quick,
            checks: Vec::new(),
            exhibits: Vec::new(),
            dir: self.dir.clone(),
            clock: Instant::now(),
        };
        let problem = match catch_unwind(AssertUnwindSafe(|| body(&mut group))) {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem.0),
            Err(payload) => Some(format!("panicked: {}", panic_text(payload.as_ref()))),
        };
        if let Some(problem) = problem {
            group.failed("runs to the end", problem);
        }
        if group.checks.is_empty() {
            group.failed("has checks", "the group made no comparison".to_owned());
        }
        if let Some(watch) = &mut self.watch {
            watch(&group);
        }
        self.checks.append(&mut group.checks);
        self.exhibits.append(&mut group.exhibits);
    }
}

/// The message a panic carries.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "no message".to_owned())
}

/// One number of a comparison.
struct Entry {
    label: String,
    ours: f64,
    truth: f64,
    allowed: f64,
}

impl Entry {
    fn difference(&self) -> f64 {
        // Equal infinities agree; inf − inf would be NaN.
        if self.ours == self.truth { 0.0 } else { (self.ours - self.truth).abs() }
    }
    /// NaN, ours or in the bound, is beyond every tolerance.
    fn is_beyond(&self) -> bool {
        let d = self.difference();
        d.is_nan() || self.allowed.is_nan() || d > self.allowed
    }
    /// NaN, and any difference where none is allowed, count as infinitely far.
    fn ratio(&self) -> f64 {
        match self.difference() {
            0.0 => 0.0,
            d if d.is_nan() => f64::INFINITY,
            d => d / self.allowed,
        }
    }
}

/// The checks of one id on one case.
pub struct Group<'s> {
    layer: Layer,
    id: String,
    case: String,
    /// The code under test.
    pub subject: &'s dyn Subject,
    /// Whether the run must fit into a minute.
    pub quick: bool,
    /// What was found so far.
    pub checks: Vec<Check>,
    /// Curves and points for the HTML page.
    pub exhibits: Vec<crate::report::exhibit::Exhibit>,
    dir: Option<String>,
    clock: Instant,
}

impl Group<'_> {
    /// The name of the case.
    pub fn case(&self) -> &str {
        &self.case
    }

    /// Compares a number with the truth.
    pub fn scalar(&mut self, quantity: impl Into<String>, source: Source, ours: f64, truth: f64, tolerance: &Tolerance) {
        let allowed = tolerance.allowed(truth);
        self.entries(quantity.into(), source, vec![Entry { label: String::new(), ours, truth, allowed }], &tolerance.reason);
    }

    /// Compares two arrays entry by entry; the relative part of the tolerance is of each true entry.
    pub fn array<D: Dimension>(
        &mut self,
        quantity: impl Into<String>,
        source: Source,
        ours: &ArrayRef<f64, D>,
        truth: &ArrayRef<f64, D>,
        tolerance: &Tolerance,
    ) {
        self.array_scaled(quantity, source, ours, truth, truth, tolerance);
    }

    /// Compares two arrays entry by entry; the relative part of the tolerance is of the entry of `scale`.
    pub fn array_scaled<D: Dimension>(
        &mut self,
        quantity: impl Into<String>,
        source: Source,
        ours: &ArrayRef<f64, D>,
        truth: &ArrayRef<f64, D>,
        scale: &ArrayRef<f64, D>,
        tolerance: &Tolerance,
    ) {
        let quantity = quantity.into();
        if ours.shape() != truth.shape() || scale.shape() != truth.shape() {
            let message = format!("shape {:?}, expected {:?}", ours.shape(), truth.shape());
            return self.failed(quantity, message);
        }
        let shape = truth.shape().to_vec();
        let entries = ours
            .iter()
            .zip(truth)
            .zip(scale)
            .enumerate()
            .map(|(i, ((&ours, &truth), &scale))| Entry { label: index_label(i, &shape), ours, truth, allowed: tolerance.allowed(scale) })
            .collect();
        self.entries(quantity, source, entries, &tolerance.reason);
    }

    /// Compares two arrays; the relative part of the tolerance is of the largest true entry in magnitude.
    pub fn array_norm<D: Dimension>(
        &mut self,
        quantity: impl Into<String>,
        source: Source,
        ours: &ArrayRef<f64, D>,
        truth: &ArrayRef<f64, D>,
        tolerance: &Tolerance,
    ) {
        let largest = truth.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let allowed = Tolerance::absolute(tolerance.allowed(largest), tolerance.reason.clone());
        self.array_scaled(quantity, source, ours, truth, truth, &allowed);
    }

    /// Compares two sequences bit for bit.
    pub fn bits(&mut self, quantity: impl Into<String>, ours: &[f64], truth: &[f64], reason: &str) {
        let quantity = quantity.into();
        if ours.len() != truth.len() {
            return self.failed(quantity, format!("{} numbers, expected {}", ours.len(), truth.len()));
        }
        let differ = ours.iter().zip(truth).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let digest = |v: &[f64]| Shown::Text(format!("{:016x}", digest(v)));
        let note = (differ > 0).then(|| format!("{differ} of {} numbers differ", ours.len()));
        let mut check = self.blank(quantity, Source::I, digest(ours), digest(truth));
        check.difference = differ as f64;
        check.reason = format!("bit for bit: {reason}");
        check.verdict = if differ == 0 { Verdict::Pass } else { Verdict::Fail };
        check.note = note;
        check.compared = ours.len();
        self.push(check);
    }

    /// Requires |`value`| ≤ `bound`, for residuals, gradients and decreases that should be zero.
    pub fn bounded(&mut self, quantity: impl Into<String>, source: Source, value: f64, bound: &Tolerance) {
        self.entries(
            quantity.into(),
            source,
            vec![Entry { label: String::new(), ours: value, truth: 0.0, allowed: bound.absolute }],
            &bound.reason,
        );
    }

    /// Requires a behaviour.
    pub fn holds(&mut self, quantity: impl Into<String>, found: impl Into<String>, expected: impl Into<String>, holds: bool, reason: &str) {
        let mut check = self.blank(quantity.into(), Source::I, Shown::Text(found.into()), Shown::Text(expected.into()));
        check.difference = if holds { 0.0 } else { f64::INFINITY };
        check.reason = reason.to_owned();
        check.verdict = if holds { Verdict::Pass } else { Verdict::Fail };
        self.push(check);
    }

    /// An equivalence test of a mean. `draw(n)` returns n fresh values; their mean must lie within `margin` of the truth, by an interval of
    /// 5.29 standard errors (false alarm 5e-7 over three looks). Draws n, then 4 n, then 16 n in all, until the interval lies inside or
    /// outside the margin; straddling it still, the check is UNDECIDED.
    pub fn mean(
        &mut self,
        quantity: impl Into<String>,
        truth: f64,
        margin: f64,
        n: usize,
        reason: &str,
        mut draw: impl FnMut(usize) -> Result<Vec<f64>, Problem>,
    ) -> Outcome {
        const Z: f64 = 5.29;
        let (mut count, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
        let mut verdict = Verdict::Undecided;
        let mut standard_error = f64::INFINITY;
        for total in [n, 4 * n, 16 * n] {
            for v in draw(total - count as usize)? {
                // Welford's update: no cancellation.
                count += 1.0;
                let d = v - mean;
                mean += d / count;
                squares += d * (v - mean);
            }
            standard_error = (squares / (count - 1.0) / count).sqrt();
            let off = (mean - truth).abs();
            if off + Z * standard_error <= margin {
                verdict = Verdict::Pass;
            } else if off.is_nan() || off - Z * standard_error > margin {
                verdict = Verdict::Fail;
            }
            if verdict != Verdict::Undecided {
                break;
            }
        }
        let mut check = self.blank(quantity.into(), Source::E, Shown::Number(mean), Shown::Number(truth));
        check.difference = (mean - truth).abs();
        check.tolerance = margin;
        check.reason = format!("{reason}; equivalence test, z = {Z} for each of three looks");
        check.verdict = verdict;
        check.note = (verdict == Verdict::Undecided).then(|| "cannot certify: the interval straddles the margin".to_owned());
        check.stochastic = Some(Stochastic { standard_error, detectable_bias: 9.8 * standard_error, draws: count as usize });
        self.push(check);
        Ok(())
    }

    /// Records a check that could not be done here, and the command that would enable it.
    pub fn not_run(&mut self, quantity: impl Into<String>, why: impl Into<String>, enable: impl Into<String>) {
        let mut check = self.blank(quantity.into(), Source::Q, Shown::Text("-".into()), Shown::Text("-".into()));
        check.verdict = Verdict::NotRun;
        check.note = Some(format!("{}; to run it: {}", why.into(), enable.into()));
        check.compared = 0;
        self.push(check);
    }

    /// Records that this kind of case has no checks yet.
    pub fn not_supported(&mut self, kind: &str) {
        let mut check = self.blank(format!("kind \"{kind}\""), Source::I, Shown::Text("-".into()), Shown::Text("-".into()));
        check.verdict = Verdict::NotSupported;
        check.note = Some(format!("this version has no checks for cases of kind \"{kind}\""));
        check.compared = 0;
        self.push(check);
    }

    /// Records a check that broke down.
    pub fn failed(&mut self, quantity: impl Into<String>, note: impl Into<String>) {
        let mut check = self.blank(quantity.into(), Source::I, Shown::Text("error".into()), Shown::Text("a result".into()));
        check.difference = f64::INFINITY;
        check.verdict = Verdict::Fail;
        check.note = Some(note.into());
        self.push(check);
    }

    fn blank(&self, quantity: String, source: Source, ours: Shown, truth: Shown) -> Check {
        let mut reproduce = format!("cargo xtask verify --layer {} --id {} --case '{}'", self.layer, self.id, self.case);
        if let Some(dir) = &self.dir {
            let _ = write!(reproduce, " --dir '{dir}'");
        }
        Check {
            layer: self.layer,
            id: self.id.clone(),
            case: self.case.clone(),
            quantity,
            ours,
            truth,
            source,
            difference: 0.0,
            tolerance: 0.0,
            reason: String::new(),
            verdict: Verdict::Pass,
            note: None,
            stochastic: None,
            compared: 1,
            seconds: 0.0,
            reproduce,
        }
    }

    fn push(&mut self, mut check: Check) {
        check.seconds = self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        self.checks.push(check);
    }

    /// The entry nearest to (or furthest beyond) its tolerance speaks for all.
    fn entries(&mut self, quantity: String, source: Source, entries: Vec<Entry>, reason: &str) {
        let Some(worst) = entries.iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio())) else {
            return self.failed(quantity, "nothing to compare");
        };
        let mut check = self.blank(quantity, source, Shown::Number(worst.ours), Shown::Number(worst.truth));
        check.quantity.push_str(&worst.label);
        check.difference = worst.difference();
        check.tolerance = worst.allowed;
        check.reason = reason.to_owned();
        check.compared = entries.len();
        if entries.iter().any(Entry::is_beyond) {
            check.verdict = Verdict::Fail;
            let beyond = entries.iter().filter(|e| e.is_beyond()).count();
            check.note = Some(format!("{beyond} of {} numbers beyond the tolerance", entries.len()));
        }
        self.push(check);
    }
}

/// `[3, 1]` for an entry of an array; nothing for an array of one entry.
fn index_label(mut i: usize, shape: &[usize]) -> String {
    let mut index = vec![0; shape.len()];
    for (axis, &n) in shape.iter().enumerate().rev() {
        index[axis] = i % n.max(1);
        i /= n.max(1);
    }
    let inner: Vec<String> = index.iter().map(usize::to_string).collect();
    format!("[{}]", inner.join(","))
}

/// FNV-1a over the bits: short, stable across platforms and versions.
pub(crate) fn digest(values: &[f64]) -> u64 {
    values
        .iter()
        .flat_map(|v| v.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Library;
    use ndarray::array;

    fn verdicts(body: impl FnOnce(&mut Group<'_>) -> Outcome) -> Vec<Verdict> {
        let mut suite = Suite::new(&Library, Selection::default());
        suite.group(Layer::C, "T", "test", body);
        suite.checks.iter().map(|c| c.verdict).collect()
    }

    #[test]
    fn nan_wrong_shape_panic_error_and_silence_all_fail() {
        let t = Tolerance::relative(1.0, "test");
        assert_eq!(
            verdicts(|g| {
                g.scalar("nan", Source::E, f64::NAN, 1.0, &t);
                Ok(())
            }),
            [Verdict::Fail]
        );
        assert_eq!(
            verdicts(|g| {
                g.array("shape", Source::E, &array![1.0], &array![1.0, 2.0], &t);
                Ok(())
            }),
            [Verdict::Fail]
        );
        assert_eq!(verdicts(|_| panic!("on purpose")), [Verdict::Fail]);
        assert_eq!(verdicts(|_| Err(Problem("on purpose".into()))), [Verdict::Fail]);
        assert_eq!(verdicts(|_| Ok(())), [Verdict::Fail]);
    }

    #[test]
    fn equal_infinities_agree_and_the_worst_entry_is_shown() {
        let t = Tolerance::absolute(0.1, "test");
        let mut suite = Suite::new(&Library, Selection::default());
        suite.group(Layer::C, "T", "test", |g| {
            g.scalar("inf", Source::E, f64::INFINITY, f64::INFINITY, &t);
            g.array("worst", Source::E, &array![[1.0, 2.0], [3.05, 4.0]], &array![[1.0, 2.0], [3.0, 4.01]], &t);
            Ok(())
        });
        assert!(suite.checks.iter().all(|c| c.verdict == Verdict::Pass));
        assert_eq!(suite.checks[1].quantity, "worst[1,0]");
    }

    #[test]
    fn an_equivalence_test_needs_power_to_pass() {
        // Mean 0 exactly, variance 1: the standard error with n = 100 is 0.1, far above the margin 0.01, even at 16 n.
        let noisy = |n: usize| Ok((0..n).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect());
        assert_eq!(verdicts(|g| g.mean("weak", 0.0, 0.01, 100, "test", noisy)), [Verdict::Undecided]);
        assert_eq!(verdicts(|g| g.mean("strong", 0.0, 0.6, 100, "test", noisy)), [Verdict::Pass]);
        assert_eq!(verdicts(|g| g.mean("biased", 2.0, 0.6, 100, "test", noisy)), [Verdict::Fail]);
    }
}
