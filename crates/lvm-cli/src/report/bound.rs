//! Fits by variational inference: what is maximised is a bound of the evidence.

use super::grid::{count, grid, number};
use super::human::{facts, left_out, parameters, repairs, status_name, table_line, title};
use super::{Parameters, TableReport};
use lvm_core::fit::{Repair, Status};
use serde::Serialize;

/// The ELBO with every constant.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Bound {
    /// Total, nats: at most log p(data), integrated over the parameters.
    pub(crate) elbo: f64,
    /// Per row (document), the last entry of the trace.
    pub(crate) mean_elbo: f64,
    /// Per word, for documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) elbo_per_word: Option<f64>,
}

impl Bound {
    /// From the mean over rows of this weight, and the number of words where rows are documents.
    pub(crate) fn new(mean: f64, weight: f64, words: Option<f64>) -> Self {
        let elbo = mean * weight;
        Bound { elbo, mean_elbo: mean, elbo_per_word: words.map(|words| elbo / words) }
    }
}

/// `lvm fit` of these families.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BoundReport {
    pub(crate) model: &'static str,
    #[serde(flatten)]
    pub(crate) table: TableReport,
    pub(crate) seed: u64,
    pub(crate) status: Status,
    pub(crate) iterations: usize,
    /// Mean ELBO per row in nats, one entry an iteration; the last belongs to the parameters.
    pub(crate) trace: Vec<f64>,
    #[serde(flatten)]
    pub(crate) bound: Bound,
    /// Components with at least half a row's weight, or latent dimensions not switched off.
    pub(crate) in_use: usize,
    /// Those of the posterior mean.
    pub(crate) parameters: Parameters,
    pub(crate) repairs: Vec<Repair>,
    pub(crate) restarts: Vec<f64>,
    pub(crate) output: Option<String>,
}

/// `lvm fit` for people.
pub(crate) fn fit(report: &BoundReport) -> String {
    let starts = if report.restarts.len() > 1 { format!(", best of {} starts", report.restarts.len()) } else { String::new() };
    let done = count(report.iterations, "iteration");
    let mut text = format!("{}\n", title(report.model, &report.parameters, report.table.d));
    text += &facts(&[
        ("data", table_line(&report.table)),
        ("status", format!("{} after {done} (seed {}{starts})", status_name(report.status), report.seed)),
        ("ELBO", elbo(&report.bound)),
        ("in use", in_use(report.model, report.in_use, &report.parameters)),
        ("repairs", repairs(&report.repairs, &report.table.columns)),
    ]);
    text += "\n";
    text += &parameters(&report.parameters, &report.table.columns);
    text += &left_out(&report.table.skipped_columns);
    if report.status == Status::MaxIterations {
        text += "\nnot converged: give it more iterations (--max-iter), or a larger --tol if this is near enough\n";
    }
    if let Some(model) = &report.output {
        let data = &report.table.data;
        let data = if data == "standard input" { "DATA" } else { data };
        text += &format!(
            "\nwritten to {model}; next:\n  lvm posterior {model} {data}\n  lvm score {model} {data}\n  lvm verify {model} {data}\n"
        );
    }
    text
}

/// The line on the bound.
pub(super) fn elbo(bound: &Bound) -> String {
    let per_word = bound.elbo_per_word.map_or(String::new(), |e| format!(", {} nats per word", number(e)));
    format!("{}  ({} nats per row{per_word}; at most the log evidence)", number(bound.elbo), number(bound.mean_elbo))
}

/// K or q.
pub(super) fn size(parameters: &Parameters) -> usize {
    match parameters {
        Parameters::Gmm { weights, .. } => weights.len(),
        Parameters::Ppca { loadings, .. } | Parameters::Fa { loadings, .. } => loadings.first().map_or(0, Vec::len),
        Parameters::Words { words, .. } => words.len(),
    }
}

/// The line on what of an upper limit is used.
pub(super) fn in_use(model: &str, used: usize, parameters: &Parameters) -> String {
    let noun = match model {
        "bppca" => "latent dimension",
        "lda" => "topic",
        _ => "component",
    };
    format!("{used} of {}", count(size(parameters), noun))
}

/// Words shown of a topic.
const WORDS: usize = 8;

/// Components or topics by their most probable words.
pub(super) fn words(weights: &[f64], words: &[Vec<f64>], columns: &[String]) -> String {
    let header = ["component", "weight", "most probable words"].map(str::to_owned);
    let row = |k: usize| {
        let mut order: Vec<usize> = (0..words[k].len()).collect();
        order.sort_by(|a, b| words[k][*b].total_cmp(&words[k][*a]));
        let name = |j: &usize| columns.get(*j).cloned().unwrap_or_else(|| format!("x{}", j + 1));
        let top: Vec<String> = order.iter().take(WORDS).map(name).collect();
        vec![k.to_string(), number(weights[k]), top.join(" ")]
    };
    grid(&header, &(0..words.len()).map(row).collect::<Vec<_>>())
}
