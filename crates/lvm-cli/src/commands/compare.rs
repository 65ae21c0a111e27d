//! `lvm compare`: models of any family by their nats on the same rows.

use crate::args::{CompareArgs, DataArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::report::{self, TableReport, grid::grid, grid::number, human};
use crate::stored::{self, Model, Stored};
use ndarray::Array1;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct CompareReport {
    #[serde(flatten)]
    table: TableReport,
    /// Index of the largest mean.
    best: usize,
    rows: Vec<Compared>,
    /// What makes the numbers not comparable, if anything does.
    warnings: Vec<String>,
}

/// One model by one measure.
#[derive(Serialize)]
struct Compared {
    path: String,
    model: &'static str,
    /// What the nats are of.
    measure: String,
    /// A lower bound of log p(x), at least on average.
    lower_bound: bool,
    /// Nats a row.
    mean: f64,
    /// Its standard error, over rows.
    std_err: f64,
    /// Mean over rows of the difference to the best.
    difference: f64,
    /// Its standard error, over pairs.
    difference_std_err: f64,
}

/// What p(x) is: only numbers of one measure can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// A density of real numbers.
    Density,
    /// A probability of counts or codes.
    Probability,
    /// Of some columns this, of others that.
    #[cfg(feature = "deep")]
    Both,
}

/// log p(x) of every row by one model.
struct Measured {
    path: String,
    model: &'static str,
    name: String,
    lower_bound: bool,
    measure: Measure,
    rows: Array1<f64>,
}

/// Compares models.
pub(crate) fn run(args: &CompareArgs) -> Outcome {
    let scale = scale(args)?;
    let data = DataArgs { scale, ..args.data.clone() };
    let mut measured = Vec::new();
    let mut first: Option<(Input, Vec<String>)> = None;
    for path in &args.models {
        let (input, columns, mut some) = measure(args, path, &data)?;
        measured.append(&mut some);
        let mut sorted = columns;
        sorted.sort();
        match &first {
            None => first = Some((input, sorted)),
            Some((_, known)) if *known == sorted || known.len() == sorted.len() && (numbered(known) || numbered(&sorted)) => {}
            Some((_, known)) => {
                return Err(Failure::fault(format!(
                    "{}: a model of {} where {} is one of {}; densities of different columns can't be compared",
                    path.display(),
                    report::count(sorted.len(), "column"),
                    args.models[0].display(),
                    report::count(known.len(), "column")
                )));
            }
        }
    }
    // invariant: clap asks for one model at least
    let Some((input, _)) = first else { return Err(Failure::usage("which models?")) };
    let weights = input.weights().map_or_else(|| Array1::ones(measured[0].rows.len()), |w| w.to_owned());
    let report = table(input.report(), &measured, &weights);
    report::print(&report, args.json, text)
}

fn numbered(sorted: &[String]) -> bool {
    sorted.iter().all(|name| name.strip_prefix('x').is_some_and(|number| number.parse::<usize>().is_ok()))
}

/// The one scale of all models: as typed, or as the neural models say.
#[cfg(feature = "deep")]
fn scale(args: &CompareArgs) -> Outcome<Option<f64>> {
    let mut scale = args.data.scale;
    for path in args.models.iter().filter(|path| stored::is_neural(path)) {
        let neural = super::neural::Neural::load(path, &args.estimate.neural)?;
        match (scale, neural.scale()) {
            (Some(known), Some(own)) if known != own => {
                let message =
                    format!("{}: was fitted to numbers divided by {own}, not {known}; such densities can't be compared", neural.path);
                return Err(Failure::fault(message));
            }
            (None, Some(own)) => scale = Some(own),
            _ => {}
        }
    }
    Ok(scale)
}

#[cfg(not(feature = "deep"))]
fn scale(args: &CompareArgs) -> Outcome<Option<f64>> {
    Ok(args.data.scale)
}

/// The rows, the model's columns, and its measures.
fn measure(args: &CompareArgs, path: &Path, data: &DataArgs) -> Outcome<(Input, Vec<String>, Vec<Measured>)> {
    #[cfg(feature = "deep")]
    if stored::is_neural(path) {
        return neural(args, path, data);
    }
    #[cfg(not(feature = "deep"))]
    let _ = args;
    let stored = stored::load(path)?;
    let input = Input::for_model(data, &stored)?;
    let rows = stored.log_evidence(&input.rows()).map_err(|error| input.explain(stored.family(), error))?;
    let (name, lower_bound, measure) = meaning(&stored);
    let measured = Measured { path: stored.path.clone(), model: stored.family().name(), name: name.to_owned(), lower_bound, measure, rows };
    Ok((input, stored.columns(), vec![measured]))
}

#[cfg(feature = "deep")]
fn neural(args: &CompareArgs, path: &Path, data: &DataArgs) -> Outcome<(Input, Vec<String>, Vec<Measured>)> {
    use super::neural::{Neural, compared, log_evidence};
    use lvm_deep::architecture::Measure as Of;
    let neural = Neural::load(path, &args.estimate.neural)?;
    let input = neural.input(data)?;
    let estimators = compared(&neural, &args.estimate)?;
    let measure = match neural.vae.architecture.likelihood.measure() {
        Of::Density => Measure::Density,
        Of::Probability => Measure::Probability,
        Of::Both => Measure::Both,
    };
    let mut measured = Vec::new();
    for estimator in estimators {
        let scored = log_evidence(&neural, &input, &args.data.format, &args.estimate, estimator)?;
        measured.push(Measured {
            path: neural.path.clone(),
            model: "vae",
            name: scored.name,
            lower_bound: scored.bound,
            measure,
            rows: scored.rows,
        });
    }
    let columns = neural.columns();
    Ok((input, columns, measured))
}

/// What log p(x) of a row is, whether it is a bound, and of what measure.
fn meaning(stored: &Stored) -> (&'static str, bool, Measure) {
    match &stored.model {
        Model::Gmm(_) | Model::Ppca(_) | Model::Fa(_) => ("log p(x)", false, Measure::Density),
        Model::Bgmm(_) => ("log predictive density", false, Measure::Density),
        Model::Bppca(_) => ("log p(x) at the posterior mean", false, Measure::Density),
        Model::Multinomial(_) => ("log predictive probability", false, Measure::Probability),
        Model::Lda(_) => ("ELBO", true, Measure::Probability),
    }
}

fn table(table: TableReport, measured: &[Measured], weights: &Array1<f64>) -> CompareReport {
    let means: Vec<f64> = measured.iter().map(|m| mean(&m.rows, weights).0).collect();
    let best = (0..means.len()).fold(0, |best, i| if means[i] > means[best] { i } else { best });
    let row = |m: &Measured| {
        let ((mean_of, std_err), (difference, difference_std_err)) =
            (mean(&m.rows, weights), mean(&(&m.rows - &measured[best].rows), weights));
        Compared {
            path: m.path.clone(),
            model: m.model,
            measure: m.name.clone(),
            lower_bound: m.lower_bound,
            mean: mean_of,
            std_err,
            difference,
            difference_std_err,
        }
    };
    let mut warnings = Vec::new();
    if measured.iter().any(|m| m.measure != measured[0].measure) {
        warnings.push(
            "some of these are probabilities of counts or codes and some are densities of numbers; the two can't be compared".to_owned(),
        );
    }
    CompareReport { table, best, rows: measured.iter().map(row).collect(), warnings }
}

/// The mean over rows with its standard error; row weights count rows, and rows of weight zero are not there.
fn mean(rows: &Array1<f64>, weights: &Array1<f64>) -> (f64, f64) {
    let present = || rows.iter().zip(weights).filter(|(_, w)| **w > 0.0);
    let total: f64 = present().map(|(_, w)| w).sum();
    let mean = present().map(|(l, w)| l * w).sum::<f64>() / total;
    // s²/N, with the divisor N − 1
    let squares: f64 = present().map(|(l, w)| w * (l - mean).powi(2)).sum();
    let std_err = if total > 1.0 { (squares / (total - 1.0) / total).sqrt() } else { f64::NAN };
    (mean, std_err)
}

fn text(report: &CompareReport) -> String {
    let mut text = human::facts(&[("data", human::table_line(&report.table))]);
    text += "\n";
    let header = ["", "model", "family", "nats per row of", "mean", "±", "to the best", "±"].map(str::to_owned);
    let row = |(i, c): (usize, &Compared)| {
        let bound = if c.lower_bound { " (bound)" } else { "" };
        let (difference, spread) = match i == report.best {
            true => ("-".to_owned(), "-".to_owned()),
            false => (number(c.difference), number(c.difference_std_err)),
        };
        vec![
            if i == report.best { "*" } else { "" }.to_owned(),
            c.path.clone(),
            c.model.to_owned(),
            format!("{}{bound}", c.measure),
            number(c.mean),
            number(c.std_err),
            difference,
            spread,
        ]
    };
    text += &grid(&header, &report.rows.iter().enumerate().map(row).collect::<Vec<_>>());
    text += "(±: the standard error, of the mean over rows and of the mean difference over pairs";
    if report.rows.iter().any(|c| c.lower_bound) {
        text += "; of a bound, log p(x) is higher on average";
    }
    text += ")\n";
    for warning in &report.warnings {
        text += &format!("\n{warning}\n");
    }
    text += &human::left_out(&report.table.skipped_columns);
    text + "\nfair only for rows that no model was fitted to\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_so_many_rows() {
        let (weighted, repeated) = (Array1::from(vec![1.0, 4.0, 9.0]), Array1::from(vec![1.0, 1.0, 4.0]));
        assert_eq!(mean(&weighted, &Array1::from(vec![2.0, 1.0, 0.0])), mean(&repeated, &Array1::ones(3)));
    }
}
