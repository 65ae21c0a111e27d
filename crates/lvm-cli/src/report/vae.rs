//! Fits of neural models.

use super::TableReport;
use super::grid::{count, grid, number};
use super::human::{facts, left_out, status_name, table_line};
use crate::commands::neural::Told;
use lvm_core::fit::Status;
use lvm_deep::train::Epoch;
use lvm_deep::train::record::Means;
use serde::Serialize;

/// Epochs shown at most.
const SHOWN: usize = 12;

/// `lvm fit vae` and `lvm resume`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct VaeReport {
    pub(crate) model: &'static str,
    #[serde(flatten)]
    pub(crate) table: TableReport,
    pub(crate) seed: u64,
    pub(crate) status: Status,
    /// Epochs up to the parameters of the model.
    pub(crate) iterations: usize,
    /// Nats a row, one entry an epoch: the bound of the rows held out, or that of training where there are none; the last belongs to the
    /// parameters.
    pub(crate) trace: Vec<f64>,
    /// The last of the trace.
    pub(crate) bound: f64,
    pub(crate) held_out_rows: usize,
    pub(crate) latents: usize,
    pub(crate) likelihood: String,
    /// Numbers trained in decoder, likelihood and prior.
    pub(crate) n_parameters: usize,
    /// Numbers trained in the encoder.
    pub(crate) n_encoder_parameters: usize,
    /// Latents that are used, from 0.
    pub(crate) active_latents: Vec<usize>,
    /// What is wrong and what to do, where most latents are not used.
    pub(crate) collapse: Option<String>,
    pub(crate) skipped_steps: u64,
    pub(crate) device: String,
    /// All epochs done.
    pub(crate) epochs: Vec<EpochReport>,
    pub(crate) checkpoint: Option<String>,
    pub(crate) output: Option<String>,
}

/// One epoch, in nats a row in the units of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EpochReport {
    /// At the parameters of each step.
    pub(crate) train: Means,
    /// After the epoch.
    pub(crate) held_out: Option<Means>,
    pub(crate) learning_rate: f64,
    pub(crate) kl_weight: f64,
    pub(crate) longest_gradient: f64,
    pub(crate) skipped: u64,
    /// Latents that were active after the epoch, over a thousand rows at most; null where it was not looked at.
    pub(crate) active: Option<usize>,
}

impl EpochReport {
    pub(crate) fn new(epoch: &Epoch, offset: f64, active: Option<usize>) -> Self {
        let moved = |m: &Means| Means { bound: m.bound + offset, reconstruction: m.reconstruction + offset, kl: m.kl };
        EpochReport {
            train: moved(&epoch.train),
            held_out: epoch.held_out.as_ref().map(moved),
            learning_rate: epoch.learning_rate,
            kl_weight: epoch.kl_weight,
            longest_gradient: epoch.longest_gradient,
            skipped: epoch.skipped,
            active,
        }
    }
}

/// The fit for people.
pub(crate) fn fit(report: &VaeReport, scale: Option<f64>) -> String {
    let VaeReport { table, latents, .. } = report;
    let mut text = format!("Variational autoencoder: {}, {}, {}\n", count(*latents, "latent"), report.likelihood, count(table.d, "column"));
    let judged = match report.held_out_rows {
        0 => "training rows".to_owned(),
        n => format!("{} held out", count(n, "row")),
    };
    let which = if report.iterations < report.epochs.len() { format!(", the best is {}", report.iterations) } else { String::new() };
    let epochs = count(report.epochs.len(), "epoch");
    let ended = match report.status {
        Status::MaxIterations => format!("all {epochs} done"),
        Status::Converged => format!("stopped after {epochs}, as the held-out bound no longer rose"),
        status => format!("{} after {epochs}", status_name(status)),
    };
    let active: Vec<String> = report.active_latents.iter().map(|l| format!("z{l}")).collect();
    let mut lines = vec![
        ("data", table_line(table) + &scale.map_or(String::new(), |s| format!(", divided by {s}"))),
        ("status", format!("{ended} (seed {}){which}", report.seed)),
        ("bound", format!("{} nats per row of the {judged}; at most log p(x)", number(report.bound))),
        ("parameters", format!("{} of p(x, z), {} of the encoder", report.n_parameters, report.n_encoder_parameters)),
        ("active", format!("{} of {}{}", active.len(), count(*latents, "latent"), listed(&active))),
        ("device", report.device.clone()),
    ];
    if report.skipped_steps > 0 {
        lines.push(("skipped", format!("{}, where loss or gradient was not finite", count(report.skipped_steps as usize, "step"))));
    }
    text += &facts(&lines);
    text += "\n";
    text += &table_of(&report.epochs);
    text += &report.collapse.as_ref().map_or(String::new(), |collapse| format!("\n{collapse}\n"));
    text += &left_out(&table.skipped_columns);
    let data = if table.data == "standard input" { "DATA" } else { &table.data };
    text + &match &report.output {
        Some(model) => {
            format!("\nwritten to {model}; next:\n  lvm posterior {model} {data}\n  lvm score {model} {data}\n  lvm sample {model} -n 10\n")
        }
        None => "\nnot saved: -o MODEL writes the model to a file\n".to_owned(),
    }
}

fn listed(names: &[String]) -> String {
    match names.len() {
        1..=20 => format!(" ({})", names.join(", ")),
        _ => String::new(),
    }
}

/// Epochs at even distances, the first and the last among them.
fn table_of(epochs: &[EpochReport]) -> String {
    let held_out = epochs.iter().any(|e| e.held_out.is_some());
    let mut header = vec!["epoch", "bound", "reconstruction", "KL"];
    if held_out {
        header.extend(["held out", "KL held out"]);
    }
    header.extend(["active", "rate"]);
    let n = epochs.len();
    let mut shown: Vec<usize> = match n {
        0..=SHOWN => (0..n).collect(),
        _ => (0..SHOWN).map(|i| i * (n - 1) / (SHOWN - 1)).collect(),
    };
    shown.dedup();
    let row = |&i: &usize| {
        let e = &epochs[i];
        let mut cells = vec![(i + 1).to_string(), number(e.train.bound), number(e.train.reconstruction), number(e.train.kl)];
        if held_out {
            let of = |value: fn(&Means) -> f64| e.held_out.as_ref().map_or("-".to_owned(), |m| number(value(m)));
            cells.extend([of(|m| m.bound), of(|m| m.kl)]);
        }
        cells.push(e.active.map_or("-".to_owned(), |n| n.to_string()));
        cells.push(number(e.learning_rate));
        cells
    };
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    grid(&header, &shown.iter().map(row).collect::<Vec<_>>())
}

/// `lvm info` of a neural model.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct VaeInfo {
    pub(crate) model: &'static str,
    pub(crate) n: Option<f64>,
    pub(crate) d: usize,
    pub(crate) columns: Vec<String>,
    pub(crate) latents: usize,
    pub(crate) likelihood: String,
    /// The columns that it is told, with their labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) condition: Vec<Told>,
    /// The same for people.
    #[serde(skip)]
    pub(crate) told: String,
    /// Everything the model is made of, under the keys of --config.
    #[serde(skip)]
    pub(crate) written: String,
    /// The same as one object.
    pub(crate) architecture: lvm_deep::architecture::Architecture,
    pub(crate) n_parameters: usize,
    pub(crate) n_encoder_parameters: usize,
    /// Bits of each number.
    pub(crate) bits: usize,
    /// What every number of the table was divided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iterations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<f64>,
}

/// The same for people.
pub(crate) fn info(report: &VaeInfo) -> String {
    let mut text =
        format!("Variational autoencoder: {}, {}, {}\n", count(report.latents, "latent"), report.likelihood, count(report.d, "column"));
    let mut lines = Vec::new();
    if let Some(n) = report.n {
        lines.push(("fitted to", format!("rows of total weight {n}")));
    }
    if let (Some(iterations), Some(seed)) = (report.iterations, report.seed) {
        lines.push(("status", format!("{} (seed {seed})", count(iterations, "epoch"))));
    }
    if let Some(bound) = report.bound {
        lines.push(("bound", format!("{} nats per row; at most log p(x)", number(bound))));
    }
    let bits = report.bits;
    lines.push((
        "parameters",
        format!("{} of p(x, z), {} of the encoder, of {bits} bits each", report.n_parameters, report.n_encoder_parameters),
    ));
    if !report.told.is_empty() {
        lines.push(("told besides", report.told.clone()));
    }
    if let Some(scale) = report.scale {
        lines.push(("scale", format!("every number of the table divided by {scale}")));
    }
    text += &facts(&lines);
    text += "\n";
    text + &report.written
}
