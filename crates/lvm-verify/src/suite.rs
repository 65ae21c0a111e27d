//! Runs groups of checks and collects their verdicts.

use crate::check::{Check, Layer, Shown, Source, Tolerance, Verdict};
use crate::headline::Headline;
use crate::report::confusion::Judgement;
use crate::report::variances::GradientVariance;
use crate::stochastic::ErrorBudget;
use crate::subject::Subject;
use clap::ValueEnum;
use ndarray::{ArrayRef, Dimension};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

mod looks;
mod problem;

pub use problem::{Outcome, Problem};

/// What is run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these layers; all if empty.
    pub layers: Vec<Layer>,
    /// Only cases whose name contains one of these; all if empty.
    pub cases: Vec<String>,
    /// How long the run may take.
    pub budget: Budget,
    /// Only checks with one of these ids; all if empty.
    pub ids: Vec<String>,
    /// Where all random streams of the run start.
    pub seed: u64,
}

/// How long a run may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Within a minute: smaller tables, fewer seeds.
    Quick,
    /// Within fifteen minutes.
    #[default]
    Full,
    /// As long as it takes: the stochastic engine from twenty seeds on every posterior, calibration by simulation.
    Nightly,
}

impl Budget {
    /// Seconds that a run on two cores may take, where it has a limit.
    pub fn seconds(self) -> Option<f64> {
        match self {
            Budget::Quick => Some(60.0),
            Budget::Full => Some(900.0),
            Budget::Nightly => None,
        }
    }

    /// Independent seeds for the checks of an optimiser, since one run has unknown noise (R5): 20, in a quick run 2.
    pub fn seeds(self) -> usize {
        match self {
            Budget::Quick => 2,
            Budget::Full | Budget::Nightly => 20,
        }
    }
}

impl Selection {
    /// Whether a group of checks is asked for.
    pub fn wants(&self, layer: Layer, id: &str, case: &str) -> bool {
        (self.layers.is_empty() || self.layers.contains(&layer))
            && (self.cases.is_empty() || self.cases.iter().any(|c| case.contains(c.as_str())))
            && (self.ids.is_empty() || self.ids.iter().any(|i| i == id))
    }
}

/// Called after each group.
pub type Watch<'s> = &'s (dyn Fn(&Group<'_>) + Sync);

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
    /// The family-wise error that stochastic checks share.
    pub error_budget: ErrorBudget,
    /// Stochastic comparisons so far.
    pub comparisons: usize,
    /// The five numbers of each model.
    pub headlines: Vec<Headline>,
    /// The variances of the gradient estimators.
    pub variances: Vec<GradientVariance>,
    /// The verdict of each q whose truth is known.
    pub judgements: Vec<Judgement>,
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
        Suite {
            subject,
            selection,
            checks: Vec::new(),
            exhibits: Vec::new(),
            watch: None,
            dir: None,
            listing: None,
            error_budget: ErrorBudget::default(),
            comparisons: 0,
            headlines: Vec::new(),
            variances: Vec::new(),
            judgements: Vec::new(),
        }
    }

    /// Adds what another part of the run found.
    pub fn take_in(&mut self, part: Suite<'_>) {
        self.headlines.extend(part.headlines);
        self.variances.extend(part.variances);
        self.judgements.extend(part.judgements);
        self.checks.extend(part.checks);
        self.exhibits.extend(part.exhibits);
        self.comparisons += part.comparisons;
    }

    /// Fails a run that makes more stochastic comparisons than the family-wise error is shared out among.
    pub fn check_error_budget(&mut self) {
        let (made, allowed) = (self.comparisons, self.error_budget.comparisons);
        if made > allowed {
            let mut group = self.blank(Layer::S, "-", "all cases");
            let message = format!("{made} stochastic comparisons, and the family-wise error is shared out among {allowed}");
            group.failed("error budget", message);
            self.checks.append(&mut group.checks);
        }
    }

    /// A group that has made no comparison yet.
    fn blank(&self, layer: Layer, id: &str, case: &str) -> Group<'s> {
        Group {
            layer,
            id: id.to_owned(),
            case: case.to_owned(),
            subject: self.subject,
            quick: self.selection.budget == Budget::Quick,
            budget: self.selection.budget,
            seed: self.selection.seed,
            error_budget: self.error_budget,
            checks: Vec::new(),
            exhibits: Vec::new(),
            headlines: Vec::new(),
            variances: Vec::new(),
            judgements: Vec::new(),
            flags: self.flags(),
            clock: Instant::now(),
        }
    }

    /// What the command that reproduces a check needs besides the check's name.
    fn flags(&self) -> String {
        let mut out = String::new();
        if let Some(dir) = &self.dir {
            let _ = write!(out, " --dir '{dir}'");
        }
        if let Some(name) = (self.selection.budget != Budget::default()).then(|| self.selection.budget.to_possible_value()).flatten() {
            let _ = write!(out, " --budget {}", name.get_name());
        }
        if self.selection.seed != 0 {
            let _ = write!(out, " --seed {}", self.selection.seed);
        }
        out
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
        let mut group = self.blank(layer, id, case);
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
        self.comparisons += group.checks.iter().filter(|c| c.stochastic.is_some()).count();
        if let Some(watch) = self.watch {
            watch(&group);
        }
        self.headlines.append(&mut group.headlines);
        self.variances.append(&mut group.variances);
        self.judgements.append(&mut group.judgements);
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
    /// How long the run may take.
    pub budget: Budget,
    /// The seed of the run.
    seed: u64,
    error_budget: ErrorBudget,
    /// What was found so far.
    pub checks: Vec<Check>,
    /// Curves and points for the HTML page.
    pub exhibits: Vec<crate::report::exhibit::Exhibit>,
    /// The five numbers of each model.
    pub headlines: Vec<Headline>,
    /// The variances of the gradient estimators.
    pub variances: Vec<GradientVariance>,
    /// The verdict of each q whose truth is known.
    pub judgements: Vec<Judgement>,
    /// What the command that reproduces a check needs besides the check's name.
    flags: String,
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
        let reproduce = format!("cargo xtask verify --layer {} --id {} --case '{}'{}", self.layer, self.id, self.case, self.flags);
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
    fnv(values.iter().flat_map(|v| v.to_bits().to_le_bytes()))
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
