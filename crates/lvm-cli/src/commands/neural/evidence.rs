//! `lvm score` of a neural model: bounds and estimates of log p(x).

use super::Neural;
use crate::args::{EstimateArgs, Estimator, ScoreArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Numbers};
use crate::report::{self, TableReport, grid, human::least_likely};
use crate::stored::Family;
use lvm_core::bound::Bound;
use lvm_deep::data::Dataset;
use lvm_deep::evidence::{self, Annealed, EvaluationMemory};
use lvm_deep::objective::KlTerm;
use ndarray::{Array1, Array2};
use serde::Serialize;
use std::path::Path;

/// log p(x) of every row, as far as an estimator tells.
pub(crate) struct Scored {
    /// `ELBO of 100 draws`.
    pub(crate) name: String,
    /// Whether the rows are lower bounds in expectation.
    pub(crate) bound: bool,
    /// Nats (N).
    pub(crate) rows: Array1<f64>,
    /// Their standard errors by the draws (N).
    pub(crate) std_err: Array1<f64>,
}

impl Scored {
    fn new(name: String, bound: &Bound) -> Self {
        Scored {
            name,
            bound: true,
            rows: bound.rows.iter().map(|e| e.mean).collect(),
            std_err: bound.rows.iter().map(|e| e.std_err).collect(),
        }
    }
}

/// log p(x) of every row by the estimator asked for.
fn score_rows(neural: &Neural, data: &Dataset, args: &EstimateArgs, estimator: Estimator) -> lvm_core::Result<Scored> {
    let memory = args.memory.map_or(EvaluationMemory::default(), |mib| EvaluationMemory { bytes: (mib as u64) << 20 });
    let seed = args.seed.unwrap_or(0);
    let (vae, rows) = (&neural.vae, &data.rows);
    match estimator {
        Estimator::Elbo => {
            let draws = args.draws.unwrap_or(100);
            Ok(Scored::new(format!("ELBO, {draws} draws"), &evidence::elbo(vae, rows, KlTerm::Analytic, draws, memory, seed)?))
        }
        Estimator::Iwae => {
            let k = args.draws.unwrap_or(100);
            // one value of IWAE_k, with the standard error of importance sampling
            Ok(Scored::new(format!("IWAE, k = {k}"), &evidence::importance(vae, rows, k, memory, seed)?.bound))
        }
        Estimator::Ais => {
            let default = Annealed::default();
            let (chains, temperatures) = (args.draws.unwrap_or(4), args.temperatures.unwrap_or(200));
            let annealed = Annealed { chains, temperatures, memory, ..default };
            Ok(Scored::new(format!("AIS, {chains} chains of {temperatures} steps"), &annealed.evaluate(vae, rows, seed)?.bound))
        }
    }
}

#[derive(Serialize)]
struct ScoreReport {
    model: &'static str,
    #[serde(flatten)]
    table: TableReport,
    estimator: String,
    seed: u64,
    /// A bound or an estimate of log p(x) of each row, nats.
    log_evidence: Vec<f64>,
    /// Standard errors by the draws.
    std_err: Vec<f64>,
    /// Total; rows count as often as their weight says.
    log_likelihood: f64,
    mean_log_likelihood: f64,
    /// The standard error of the mean that comes from the draws alone.
    mean_std_err: f64,
    /// Lower bounds of log p(x) on average.
    lower_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

/// Scores a table.
pub(crate) fn score(args: &ScoreArgs) -> Outcome {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.json {
        return Err(Failure::usage("-o - and --json both want standard output; --json has log p(x) of every row"));
    }
    let target = args.output.as_deref().filter(|_| !to_stdout);
    output::check_table_target(target)?;
    let estimator = args.estimate.estimator.unwrap_or(Estimator::Iwae);
    check(&args.estimate, estimator)?;
    let neural = Neural::load(&args.model, &args.estimate.device)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input)?;
    let scored = score_rows(&neural, &data, &args.estimate, estimator).map_err(|error| input.explain(Family::Vae, error))?;
    let weight = |n: usize| input.weights().map_or(1.0, |w| w[n]);
    let present = || (0..scored.rows.len()).filter(|&n| weight(n) > 0.0);
    let total: f64 = present().map(|n| weight(n) * scored.rows[n]).sum();
    let variance: f64 = present().map(|n| (weight(n) * scored.std_err[n]).powi(2)).sum();
    if args.output.is_some() {
        let mut x = Array2::zeros((scored.rows.len(), 2));
        x.column_mut(0).assign(&scored.rows);
        x.column_mut(1).assign(&scored.std_err);
        Numbers { columns: vec!["log_evidence".to_owned(), "std_err".to_owned()], x }.write(target)?;
    }
    let report = ScoreReport {
        model: "vae",
        table: input.report(),
        estimator: scored.name,
        seed: args.estimate.seed.unwrap_or(0),
        log_evidence: scored.rows.to_vec(),
        std_err: scored.std_err.to_vec(),
        log_likelihood: total,
        mean_log_likelihood: total / input.total_weight(),
        mean_std_err: variance.sqrt() / input.total_weight(),
        lower_bound: scored.bound,
        output: target.map(|path| path.display().to_string()),
    };
    match to_stdout {
        true => Ok(()),
        false => report::print(&report, args.json, human),
    }
}

/// Options that do not go together.
pub(super) fn check(args: &EstimateArgs, estimator: Estimator) -> Outcome {
    match args.temperatures {
        Some(_) if estimator != Estimator::Ais => Err(Failure::usage("--temperatures concerns --estimator ais; add it, or leave it out")),
        _ => Ok(()),
    }
}

fn human(report: &ScoreReport) -> String {
    let mut text = report::human::facts(&[
        ("data", report::human::table_line(&report.table)),
        ("estimator", format!("{} (seed {}); on average at most log p(x)", report.estimator, report.seed)),
        ("total", grid::number(report.log_likelihood)),
        (
            "mean",
            format!("{} nats per row, ± {} by the draws", grid::number(report.mean_log_likelihood), grid::number(report.mean_std_err)),
        ),
    ]);
    text += &least_likely(&report.log_evidence);
    text += &report::human::left_out(&report.table.skipped_columns);
    text + &match &report.output {
        Some(path) => format!("\nall rows are in {path}\n"),
        None => "\nof every row: -o FILE, or -o - for standard output\n".to_owned(),
    }
}

/// The mean of rows, weighted.
pub(crate) fn log_evidence(neural: &Neural, input: &Input, args: &EstimateArgs, estimator: Estimator) -> Outcome<Scored> {
    let data = neural.dataset(input)?;
    score_rows(neural, &data, args, estimator).map_err(|error| input.explain(Family::Vae, error))
}
