//! `lvm ood`: rows that are unlike those the model was trained on.

use super::Neural;
use super::evidence::{estimator, log_evidence};
use crate::args::{DataArgs, OodArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Numbers};
use crate::report::{self, TableReport, grid};
use crate::stored::Family;
use lvm_deep::data::Dataset;
use lvm_deep::evidence::{Ascent, Expectation};
use lvm_deep::tasks::{auroc, ood};
use ndarray::{Array1, Array2};
use serde::Serialize;

#[derive(Serialize)]
struct OodReport {
    model: &'static str,
    #[serde(flatten)]
    table: TableReport,
    /// The table of usual rows.
    against: String,
    n_against: usize,
    estimator: String,
    scores: Vec<ScoreOf>,
    output: Option<String>,
}

/// One score, larger for stranger rows.
#[derive(Serialize)]
struct ScoreOf {
    name: &'static str,
    /// Of each row.
    rows: Vec<f64>,
    mean: f64,
    /// The mean over the reference.
    mean_against: f64,
    /// The probability that a row of DATA scores above one of the reference.
    auroc_against: f64,
    /// The probability that a row labelled strange scores above one that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    auroc: Option<f64>,
}

/// Scores rows by their strangeness.
pub(crate) fn ood(args: &OodArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), Some(&args.against)])?;
    if args.estimate.neural.condition_from.is_some() {
        return Err(Failure::usage(
            "--condition-from is about one table, and there are two here: put the columns into DATA and the reference",
        ));
    }
    let neural = Neural::load(&args.model, &args.estimate.neural)?;
    let estimator = estimator(&neural, &args.estimate)?;
    let input = neural.labelled(&args.data, args.labels.as_deref())?;
    let strange = args.labels.as_ref().map(|name| labels(&input, name)).transpose()?;
    let usual = neural.input(&DataArgs {
        data: args.against.clone(),
        columns: Vec::new(),
        without: Vec::new(),
        weights: None,
        ..args.data.clone()
    })?;
    let of_data = log_evidence(&neural, &input, &args.data.format, &args.estimate, estimator)?;
    let of_usual = log_evidence(&neural, &usual, &args.data.format, &args.estimate, estimator)?;
    let mut scores = vec![
        ("surprise", ood::surprise(&of_data.rows), ood::surprise(&of_usual.rows)),
        ("typicality", ood::typicality(&of_data.rows, &of_usual.rows), ood::typicality(&of_usual.rows, &of_usual.rows)),
    ];
    if args.regret_draws > 0 {
        let regret = |input: &Input| {
            let data = neural.dataset(input, &args.data.format)?;
            regret(&neural, &data, args).map_err(|error| input.explain(Family::Vae, error))
        };
        scores.push(("likelihood regret", regret(&input)?, regret(&usual)?));
    }
    let of = |(name, rows, against): &(&'static str, Array1<f64>, Array1<f64>)| -> Outcome<ScoreOf> {
        let list = |a: &Array1<f64>| a.to_vec();
        let by_label = strange.as_ref().map(|strange| {
            let some = |which: bool| rows.iter().zip(strange).filter(|(_, s)| **s == which).map(|(v, _)| *v).collect::<Vec<_>>();
            auroc(&some(false), &some(true))
        });
        Ok(ScoreOf {
            name,
            rows: list(rows),
            mean: rows.mean().unwrap_or(f64::NAN),
            mean_against: against.mean().unwrap_or(f64::NAN),
            auroc_against: auroc(&list(against), &list(rows))?,
            auroc: by_label.transpose()?,
        })
    };
    let report = OodReport {
        model: "vae",
        table: input.report(),
        against: usual.path().to_owned(),
        n_against: usual.n_rows(),
        estimator: of_data.name,
        scores: scores.iter().map(of).collect::<Outcome<_>>()?,
        output: args.out.output.as_ref().map(|path| path.display().to_string()),
    };
    if let Some(path) = &args.out.output {
        let columns = scores.iter().map(|(name, _, _)| name.replace(' ', "_")).collect();
        let x = Array2::from_shape_fn((input.n_rows(), scores.len()), |(i, j)| scores[j].1[i]);
        Numbers { columns, x }.write(Some(path))?;
    }
    report::print(&report, args.out.json, human)
}

/// ELBO(q*) − ELBO(q) of every row, by draws or without where the latent is discrete.
fn regret(neural: &Neural, data: &Dataset, args: &OodArgs) -> lvm_core::Result<Array1<f64>> {
    let expectation = if neural.is_discrete() { Expectation::Summation } else { Expectation::Draws(args.regret_draws as i64) };
    let ascent = Ascent { gradient_tolerance: 1e-3, max_iterations: 50, ..Ascent::default() };
    ood::likelihood_regret(&neural.vae, &data.rows, expectation, &ascent, args.estimate.seed.unwrap_or(0))
}

/// Which rows are strange.
fn labels(input: &Input, name: &str) -> Outcome<Vec<bool>> {
    let fault = |message: String| Failure::fault(format!("{}: {message}", input.path()));
    let labels =
        input.labels().ok_or_else(|| fault(format!("column {name} can't be read as labels from this kind of file; use .csv or .tsv")))?;
    let strange: Outcome<Vec<bool>> = labels
        .iter()
        .enumerate()
        .map(|(row, label)| match label.trim().to_lowercase().as_str() {
            "1" | "true" | "yes" | "strange" | "anomaly" | "1.0" => Ok(true),
            "0" | "false" | "no" | "usual" | "normal" | "0.0" => Ok(false),
            other => Err(fault(format!("column {name}, row {row} (from 0): \"{other}\"; 1 or 0 is needed, for strange or usual"))),
        })
        .collect();
    let strange = strange?;
    match strange.iter().all(|s| *s) || strange.iter().all(|s| !*s) {
        true => Err(fault(format!("column {name}: all rows have the same label; AUROC needs both"))),
        false => Ok(strange),
    }
}

fn human(report: &OodReport) -> String {
    let mut text = report::human::facts(&[
        ("data", report::human::table_line(&report.table)),
        ("against", format!("{}: {}", report.against, report::count(report.n_against, "row"))),
        ("log p(x)", report.estimator.clone()),
    ]);
    text += "\n";
    let labelled = report.scores.iter().any(|s| s.auroc.is_some());
    let mut header = vec!["score", "mean", "mean of reference", "AUROC against it"];
    if labelled {
        header.push("AUROC of labels");
    }
    let row = |s: &ScoreOf| {
        let mut cells = vec![s.name.to_owned(), grid::number(s.mean), grid::number(s.mean_against), grid::number(s.auroc_against)];
        cells.extend(s.auroc.map(grid::number));
        cells
    };
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    text += &grid::grid(&header, &report.scores.iter().map(row).collect::<Vec<_>>());
    text += "(larger is stranger; AUROC is the probability that a strange row scores above a usual one, 0.5 by chance)\n";
    text + &match &report.output {
        Some(path) => format!("\nthe scores of every row are in {path}\n"),
        None => "\nthe scores of every row: -o FILE\n".to_owned(),
    }
}
