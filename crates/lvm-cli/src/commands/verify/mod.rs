//! `lvm verify`: a verdict on the user's own fit.
//!
//! Two things are judged, and kept apart: whether the program computes what it says (identities that hold for any data and parameters),
//! and whether the fit is where it says it is (the objective of the record, a score of zero, an iteration without gain).

mod bayesian;
mod finding;
mod fit;
mod linear_gaussian;
mod mixture;
#[cfg(feature = "deep")]
mod neural;
mod restarts;

pub(crate) use finding::Finding;

use crate::args::VerifyArgs;
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::input::Input;
use crate::output;
use crate::report::{self, TableReport};
use crate::stored::{self, Model, Stored};
use lvm_core::Result;
use lvm_core::fit::{Repair, RepairKind, Status};
use lvm_core::rows::{RowSource, Rows};
use lvm_vi::cavi::minibatch::Selection;
use lvm_vi::diagnose::Level;
use serde::Serialize;

/// Rows at which identities are checked, at most.
const PROBED: usize = 500;

/// The rows, and what the record says of the fit to them.
struct Subject<'a> {
    rows: &'a Rows<'a>,
    /// Rows at which identities are checked.
    probed: Vec<usize>,
    /// log p(x) of each row.
    log_evidence: Vec<f64>,
    total_weight: f64,
    /// Whether these are the rows that the model was fitted to.
    fitted: bool,
    status: Option<Status>,
    repairs: Vec<Repair>,
    /// Objective after each iteration.
    trace: Vec<f64>,
    seed: u64,
}

impl Subject<'_> {
    fn probe(&self) -> Result<Selection<'_>> {
        Selection::new(self.rows, self.probed.clone())
    }

    fn mean_log_evidence(&self) -> f64 {
        fit::total(&self.log_evidence, self.rows) / self.total_weight
    }

    fn repaired(&self, is: impl Fn(&RepairKind) -> bool) -> bool {
        self.repairs.iter().any(|repair| is(&repair.kind))
    }
}

/// What was found.
#[derive(Default)]
struct Checks {
    findings: Vec<Finding>,
    notes: Vec<String>,
    divergence: Option<Divergence>,
}

impl Checks {
    fn add(&mut self, finding: Option<Finding>) {
        self.findings.extend(finding);
    }
}

/// KL of the best mean-field q to the exact posterior, row by row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Divergence {
    /// Rows, from 0.
    pub(crate) rows: Vec<usize>,
    /// Nats.
    pub(crate) kl: Vec<f64>,
    pub(crate) mean: f64,
    pub(crate) max: f64,
}

impl Divergence {
    fn new(rows: &[usize], kl: Vec<f64>) -> Self {
        let (mean, max) = (kl.iter().sum::<f64>() / kl.len() as f64, kl.iter().copied().fold(0.0, f64::max));
        Divergence { rows: rows.to_vec(), kl, mean, max }
    }
}

/// `lvm verify`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct VerifyReport {
    pub(crate) model: &'static str,
    #[serde(flatten)]
    pub(crate) table: TableReport,
    /// The worst of the checks.
    pub(crate) verdict: Level,
    /// Whether DATA are the rows that the model was fitted to.
    pub(crate) fitted_to_these_rows: bool,
    pub(crate) checks: Vec<Finding>,
    /// What was not checked, and why.
    pub(crate) notes: Vec<String>,
    /// What the next two numbers are.
    pub(crate) objective: &'static str,
    /// Mean log p(x) per row here and in the record; of models fitted by variational inference the ELBO.
    pub(crate) mean_log_likelihood: f64,
    pub(crate) recorded_mean_log_likelihood: Option<f64>,
    /// What a factorised posterior would lose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mean_field_kl: Option<Divergence>,
    #[serde(skip)]
    pub(crate) trace: Vec<f64>,
    pub(crate) output: Option<String>,
}

/// Judges a neural model.
#[cfg(feature = "deep")]
pub(crate) use neural::run as run_neural;

/// Judges a fit.
pub(crate) fn run(args: &VerifyArgs) -> Outcome {
    output::check_page_target(args.html.as_deref())?;
    let stored = stored::load(&args.model)?;
    let input = Input::for_model(&args.data, &stored)?;
    #[cfg(feature = "deep")]
    stored.refuse(&[("--device", args.neural.device.is_some()), ("--condition-from", args.neural.condition_from.is_some())])?;
    finish(args, &judge(args, &stored, &input)?)
}

/// Writes and prints the verdict; a failure of any check is one of the program's run.
fn finish(args: &VerifyArgs, report: &VerifyReport) -> Outcome {
    if let Some(path) = &args.html {
        let page = report::verdict::page(report);
        lvm_data::output::replace(path, |out| out.write_all(page.as_bytes())).map_err(hint::data)?;
    }
    report::print(report, args.json, report::verdict::text)?;
    let failed = report.checks.iter().filter(|c| c.verdict == Level::Fail).count();
    match failed {
        0 => Ok(()),
        n => Err(Failure::Verdict(format!("{}: {} of {} checks failed", args.model.display(), n, report.checks.len()))),
    }
}

fn judge(args: &VerifyArgs, stored: &Stored, input: &Input) -> Outcome<VerifyReport> {
    let explain = |e| input.explain(stored.family(), e);
    let rows = input.rows();
    let log_evidence = stored.log_evidence(&rows).map_err(explain)?.to_vec();
    let record = stored.record();
    let mut checks = Checks::default();
    let mut subject = Subject {
        rows: &rows,
        probed: probed(&rows),
        log_evidence,
        total_weight: input.total_weight(),
        fitted: false,
        status: record.as_ref().map(|r| r.status),
        repairs: record.as_ref().map_or_else(Vec::new, |r| r.repairs.clone()),
        trace: record.as_ref().map_or_else(Vec::new, |r| r.trace.clone()),
        seed: args.seed,
    };
    if subject.probed.is_empty() {
        return Err(Failure::fault(format!("{}: no row has any weight, so there is nothing to check", args.data.data.display())));
    }
    let recorded = record.as_ref().map(|r| r.reached.per_row());
    let now = match stored::n_parameters(&stored.model) {
        Some(_) => subject.mean_log_evidence(),
        None => bayesian::mean_elbo(&stored.model, &subject).map_err(explain)?,
    };
    let slack = bayesian::local_slack(&stored.model, &subject, now).map_err(explain)?;
    subject.fitted = same_rows(args, stored, &subject, (recorded, now, slack), &mut checks);
    if subject.fitted {
        let trace = &subject.trace;
        let last = trace.len().checked_sub(2).map(|i| trace[i + 1] - trace[i]);
        checks.add(fit::status(subject.status, last));
    }
    match &stored.model {
        Model::Gmm(model) => mixture::check(model, &subject, &mut checks),
        Model::Ppca(model) => linear_gaussian::ppca(model, &subject, &mut checks),
        Model::Fa(model) => linear_gaussian::factor_analysis(model, &subject, &mut checks),
        Model::Bgmm(_) | Model::Bppca(_) | Model::Multinomial(_) | Model::Lda(_) => bayesian::check(&stored.model, &subject, &mut checks),
    }
    .map_err(explain)?;
    Ok(VerifyReport {
        model: stored.family().name(),
        table: input.report(),
        verdict: checks.findings.iter().map(|f| f.verdict).max().unwrap_or(Level::Pass),
        fitted_to_these_rows: subject.fitted,
        objective: if stored::n_parameters(&stored.model).is_some() { "log p(x)" } else { "ELBO" },
        mean_log_likelihood: now,
        recorded_mean_log_likelihood: recorded,
        checks: checks.findings,
        notes: checks.notes,
        mean_field_kl: checks.divergence,
        trace: subject.trace,
        output: args.html.as_ref().map(|path| path.display().to_string()),
    })
}

/// Evenly spread rows of those that are there.
fn probed(rows: &dyn RowSource) -> Vec<usize> {
    let there: Vec<usize> = (0..rows.n_rows()).filter(|&n| rows.weights().is_none_or(|w| w[n] > 0.0)).collect();
    let count = there.len().min(PROBED);
    (0..count).map(|i| there[i * there.len() / count]).collect()
}

/// Whether these are the rows of the fit, and whether the record is right about them, by the objective of the file and now, and by how much
/// the latter may be short.
fn same_rows(
    args: &VerifyArgs,
    stored: &Stored,
    subject: &Subject<'_>,
    (recorded, now, slack): (Option<f64>, f64, f64),
    checks: &mut Checks,
) -> bool {
    let (Some(n), Some(recorded)) = (stored.rows(), recorded) else {
        checks.notes.push("the file has no record of a fit: only the posterior was checked".to_owned());
        return false;
    };
    let other = "only the posterior was checked, not the record and the maximum";
    if args.held_out {
        checks.notes.push(format!("these are other rows than those of the fit (--held-out): {other}"));
        return false;
    }
    if n != subject.total_weight {
        checks.notes.push(format!("these are other rows than those of the fit ({n} then, {} now): {other}", subject.total_weight));
        return false;
    }
    let finding = match stored::n_parameters(&stored.model) {
        Some(_) => {
            let rounding = match &stored.model {
                Model::Ppca(model) => fit::rounding(model.linear_gaussian()),
                Model::Fa(model) => fit::rounding(model.linear_gaussian()),
                _ => 0.0,
            };
            fit::record("log p(x) per row, of the file and now", recorded, now, rounding)
        }
        None => bayesian::record(&stored.model, recorded, now, slack),
    };
    let same = finding.as_ref().is_some_and(|f| f.verdict < Level::Fail);
    checks.add(finding);
    if !same {
        checks.notes.push("the record does not fit these rows, so the maximum was not checked".to_owned());
    }
    same
}
