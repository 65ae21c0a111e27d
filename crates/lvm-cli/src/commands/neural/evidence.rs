//! `lvm score` of a neural model: bounds and estimates of log p(x).

use super::Neural;
use crate::args::{EstimateArgs, Estimator, FormatArgs, ScoreArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Numbers};
use crate::report::{self, TableReport, grid, human::least_likely};
use crate::stored::Family;
use lvm_core::bound::Bound;
use lvm_deep::Tensor;
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{self, Annealed, EvaluationMemory, Quadrature};
use lvm_deep::objective::KlTerm;
use lvm_deep::tasks::generation;
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
        Estimator::Quadrature => {
            let found = Quadrature { memory, ..Quadrature::default() }.evaluate(vae, rows)?;
            // what every second point changes is far above the error where the rule converges
            Ok(Scored { name: "quadrature".to_owned(), bound: false, rows: found.log_evidence, std_err: found.coarse_difference })
        }
        Estimator::Sum => {
            let rows = evidence::summation(vae, rows)?;
            Ok(Scored { name: "sum over the latent's values, exact".to_owned(), bound: false, std_err: Array1::zeros(rows.len()), rows })
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
    sandwich: Option<SandwichReport>,
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
    output::check_table_target(target, &[Some(&args.data.data), args.estimate.neural.condition_from.as_deref()])?;
    let neural = Neural::load(&args.model, &args.estimate.neural)?;
    let estimator = estimator(&neural, &args.estimate)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input, &args.data.format)?;
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
    let sandwich = match args.sandwich {
        true if neural.is_discrete() => {
            return Err(Failure::usage("--sandwich anneals latents that are numbers; the sum over a categorical latent is exact without"));
        }
        true => Some(sandwich(&neural, &data, &args.estimate).map_err(|error| input.explain(Family::Vae, error))?),
        false => None,
    };
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
        sandwich,
        output: target.map(|path| path.display().to_string()),
    };
    match to_stdout {
        true => Ok(()),
        false => report::print(&report, args.json, human),
    }
}

/// The estimator that was asked for, or the best that is cheap; an error where it is none for this model.
pub(super) fn estimator(neural: &Neural, args: &EstimateArgs) -> Outcome<Estimator> {
    let discrete = neural.is_discrete();
    let estimator = args.estimator.unwrap_or(if discrete { Estimator::Sum } else { Estimator::Iwae });
    let (path, latents) = (&neural.path, neural.vae.latents());
    let exact = matches!(estimator, Estimator::Quadrature | Estimator::Sum);
    match estimator {
        _ if args.temperatures.is_some() && estimator != Estimator::Ais => {
            Err(Failure::usage("--temperatures concerns --estimator ais; add it, or leave it out"))
        }
        _ if exact && args.draws.is_some() => Err(Failure::usage("-k: nothing is drawn for --estimator quadrature or sum; leave it out")),
        Estimator::Sum if !discrete => {
            Err(Failure::usage(format!("--estimator sum is for categorical latents; the {latents} of {path} are numbers")))
        }
        Estimator::Quadrature if discrete || latents > 2 => Err(Failure::usage(format!(
            "--estimator quadrature is for one or two latents that are numbers; {path} has {}: use {}",
            if discrete { "a categorical one".to_owned() } else { latents.to_string() },
            if discrete { "sum" } else { "ais" }
        ))),
        Estimator::Ais if discrete => {
            Err(Failure::usage(format!("--estimator ais climbs gradients, which a categorical latent has not; use sum for {path}")))
        }
        _ => Ok(estimator),
    }
}

/// Bounds from both sides on rows drawn from the model, with the size and the condition of some of the rows of the table.
fn sandwich(neural: &Neural, data: &Dataset, args: &EstimateArgs) -> lvm_core::Result<SandwichReport> {
    let (chains, temperatures) = (args.draws.unwrap_or(4), args.temperatures.unwrap_or(200));
    let memory = args.memory.map_or(EvaluationMemory::default(), |mib| EvaluationMemory { bytes: (mib as u64) << 20 });
    annealed_sandwich(neural, data, &Annealed { chains, temperatures, memory, ..Annealed::default() }, args.seed.unwrap_or(0))
}

/// The same as is set up.
pub(crate) fn annealed_sandwich(neural: &Neural, data: &Dataset, annealed: &Annealed, seed: u64) -> lvm_core::Result<SandwichReport> {
    /// Rows that are drawn.
    const ROWS: i64 = 100;
    let (n, chains, temperatures) = (data.rows.n_rows(), annealed.chains, annealed.temperatures);
    let like = data.rows.select(&Tensor::from_slice(&(0..ROWS).map(|i| i % n).collect::<Vec<_>>()).to_device(data.rows.x.device()));
    let like = Batch { observed: None, weights: None, ..like };
    let drawn = generation::simulate(&neural.vae, ROWS, Some(&like), seed)?;
    let both = annealed.sandwich(&neural.vae, &drawn.batch, &drawn.z, seed)?;
    let mean = |bound: &Bound| bound.total.mean / ROWS as f64;
    let (lower, upper) = (mean(&both.lower.bound), mean(&both.upper));
    Ok(SandwichReport { rows: ROWS as usize, chains, temperatures, lower, upper, width: upper - lower })
}

/// What annealing from both sides leaves open.
#[derive(Serialize)]
pub(crate) struct SandwichReport {
    /// Rows drawn from the model.
    pub(crate) rows: usize,
    chains: usize,
    temperatures: usize,
    /// Means over the rows, nats: log p(x) is between, on average.
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) width: f64,
}

fn human(report: &ScoreReport) -> String {
    let mut text = report::human::facts(&[
        ("data", report::human::table_line(&report.table)),
        (
            "estimator",
            match report.lower_bound {
                true => format!("{} (seed {}); on average at most log p(x)", report.estimator, report.seed),
                false => report.estimator.clone(),
            },
        ),
        ("total", grid::number(report.log_likelihood)),
        (
            "mean",
            match report.lower_bound {
                true => {
                    let error = grid::number(report.mean_std_err);
                    format!("{} nats per row, ± {error} by the draws", grid::number(report.mean_log_likelihood))
                }
                false => format!("{} nats per row; log p(x) itself", grid::number(report.mean_log_likelihood)),
            },
        ),
    ]);
    if let Some(s) = &report.sandwich {
        text += &report::human::facts(&[(
            "sandwich",
            format!(
                "on {} drawn from the model log p(x) lies between {} and {}: {} nats of doubt per row (AIS, {} chains of {} steps)",
                report::count(s.rows, "row"),
                grid::number(s.lower),
                grid::number(s.upper),
                grid::number(s.width),
                s.chains,
                s.temperatures
            ),
        )]);
    }
    text += &least_likely(&report.log_evidence);
    text += &report::human::left_out(&report.table.skipped_columns);
    text + &match &report.output {
        Some(path) => format!("\nall rows are in {path}\n"),
        None => "\nof every row: -o FILE, or -o - for standard output\n".to_owned(),
    }
}

/// log p(x) of every row of a table, as far as the estimator tells.
pub(crate) fn log_evidence(
    neural: &Neural,
    input: &Input,
    format: &FormatArgs,
    args: &EstimateArgs,
    estimator: Estimator,
) -> Outcome<Scored> {
    let data = neural.dataset(input, format)?;
    score_rows(neural, &data, args, estimator).map_err(|error| input.explain(Family::Vae, error))
}

/// The estimators of a comparison: the one asked for, or a bound and a better one; the sum where it is exact.
pub(crate) fn compared(neural: &Neural, args: &EstimateArgs) -> Outcome<Vec<Estimator>> {
    let best = estimator(neural, args)?;
    Ok(match (args.estimator, best) {
        (None, Estimator::Iwae) => vec![Estimator::Elbo, Estimator::Iwae],
        _ => vec![best],
    })
}
