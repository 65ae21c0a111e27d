//! The same reports for people: short, aligned, honest.

use super::bound::{elbo, in_use, size, words};
use super::grid::{count, grid, number};
use super::json::{CandidateReport, FitReport, InfoReport, Reached, ScoreReport, SelectReport, Skipped, TableReport};
use super::parameters::Parameters;
use lvm_core::fit::{Repair, RepairKind, Status};
use lvm_core::selection::Criterion;

/// Components, variables or rows shown at most.
const SHOWN: usize = 30;

/// A number of a candidate that not every table has.
type Column = fn(&CandidateReport) -> Option<f64>;

/// `lvm fit`.
pub(crate) fn fit(report: &FitReport) -> String {
    let mut text = format!("{}\n", title(report.model, &report.parameters, report.table.d));
    text += &facts(&[
        ("data", table_line(&report.table)),
        ("status", status(report)),
        ("log-likelihood", format!("{}  ({} nats per row)", number(report.log_likelihood), number(report.mean_log_likelihood))),
        ("BIC", format!("{}  (lower is better; {})", number(report.bic), count(report.n_parameters, "free parameter"))),
        ("AIC", number(report.aic)),
        ("repairs", repairs(&report.repairs, &report.table.columns)),
    ]);
    text += "\n";
    text += &parameters(&report.parameters, &report.table.columns);
    text += &left_out(&report.table.skipped_columns);
    text += &next_steps(report);
    text
}

/// `lvm select`.
pub(crate) fn select(report: &SelectReport) -> String {
    let mut header = vec![String::new(), size_name(report.winner.model).to_owned()];
    let mixtures = report.candidates.iter().any(|c| c.covariance.is_some());
    if mixtures {
        header.push("covariance".to_owned());
    }
    header.extend(["log-likelihood", "parameters", "BIC", "AIC"].map(str::to_owned));
    let extra: [(&str, Column); 3] = [("ICL", |c| c.icl), ("evidence", |c| c.laplace_evidence), ("held out", |c| c.held_out)];
    let extra: Vec<_> = extra.into_iter().filter(|(_, value)| report.candidates.iter().any(|c| value(c).is_some())).collect();
    header.extend(extra.iter().map(|(name, _)| (*name).to_owned()));
    header.push("status".to_owned());
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.2}"));
    let row = |(index, c): (usize, &CandidateReport)| {
        let mut cells = vec![if index == report.best { "*" } else { "" }.to_owned(), c.size.to_string()];
        if mixtures {
            cells.push(c.covariance.clone().unwrap_or_default());
        }
        cells.extend([shown(c.log_likelihood), c.n_parameters.map_or("-".to_owned(), |p| p.to_string()), shown(c.bic), shown(c.aic)]);
        cells.extend(extra.iter().map(|(name, value)| match *name {
            "held out" => value(c).map_or("-".to_owned(), number),
            _ => shown(value(c)),
        }));
        cells.push(match (&c.status, &c.error) {
            (Some(status), None) => status_name(*status).to_owned(),
            (Some(_), Some(_)) => "left aside".to_owned(),
            (None, _) => "failed".to_owned(),
        });
        cells
    };
    let rows: Vec<Vec<String>> = report.candidates.iter().enumerate().map(row).collect();
    let mut text = format!("{}, best by {}\n\n", count(report.candidates.len(), "candidate"), criterion_name(report.criterion));
    text += &grid(&header, &rows);
    text += &left_aside(report);
    text + "\n" + &fit(&report.winner)
}

/// Why candidates could not win, each reason once.
fn left_aside(report: &SelectReport) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for c in &report.candidates {
        let Some(error) = &c.error else { continue };
        let name = [Some(c.size.to_string()), c.covariance.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        match reasons.iter_mut().find(|(reason, _)| reason == error) {
            Some((_, names)) => names.push(name),
            None => reasons.push((error, vec![name])),
        }
    }
    let symbol = size_name(report.winner.model);
    reasons.iter().map(|(reason, names)| format!("{symbol} = {}: {reason}\n", names.join(", "))).collect()
}

/// `lvm score`.
pub(crate) fn score(report: &ScoreReport) -> String {
    let bound = if report.lower_bound { "at least " } else { "" };
    let mut lines = vec![
        ("data", table_line(&report.table)),
        ("log-likelihood", format!("{bound}{}", number(report.log_likelihood))),
        ("mean", format!("{} nats per row", number(report.mean_log_likelihood))),
    ];
    if let Some(per_word) = report.log_likelihood_per_word {
        lines.push(("", format!("{} nats per word, perplexity {}", number(per_word), number((-per_word).exp()))));
    }
    if let (Some(bic), Some(aic), Some(p)) = (report.bic, report.aic, report.n_parameters) {
        lines.push(("BIC", format!("{}  (lower is better; {})", number(bic), count(p, "free parameter"))));
        lines.push(("AIC", number(aic)));
    }
    let mut text = facts(&lines);
    text += &least_likely(&report.log_evidence);
    text += &left_out(&report.table.skipped_columns);
    text += &match &report.output {
        Some(path) => format!("\nlog p(x) of every row is in {path}\n"),
        None => "\nlog p(x) of every row: -o FILE, or -o - for standard output\n".to_owned(),
    };
    text
}

/// The rows with the smallest log p(x).
pub(crate) fn least_likely(log_evidence: &[f64]) -> String {
    let mut order: Vec<usize> = (0..log_evidence.len()).collect();
    order.sort_by(|a, b| log_evidence[*a].total_cmp(&log_evidence[*b]));
    order.truncate(5);
    let rows: Vec<_> = order.iter().map(|&row| vec![row.to_string(), number(log_evidence[row])]).collect();
    "\nthe least likely rows (numbered from 0)\n".to_owned() + &grid(&["row".to_owned(), "log p(x)".to_owned()], &rows)
}

/// `lvm info`.
pub(crate) fn info(report: &InfoReport) -> String {
    let mut lines = Vec::new();
    if let Some(n) = report.n {
        lines.push(("fitted to", count_rows(n)));
    }
    if let Some(record) = &report.record {
        let done = count(record.iterations, "iteration");
        lines.push(("status", format!("{} after {done} (seed {})", status_name(record.status), record.seed)));
        match record.reached {
            Reached::Likelihood { log_likelihood, mean_log_likelihood, bic, aic } => {
                let p = report.n_parameters.unwrap_or(0);
                lines.push(("log-likelihood", format!("{}  ({} nats per row)", number(log_likelihood), number(mean_log_likelihood))));
                lines.push(("BIC", format!("{}  (lower is better; {})", number(bic), count(p, "free parameter"))));
                lines.push(("AIC", number(aic)));
            }
            Reached::Bound(bound) => lines.push(("ELBO", elbo(&bound))),
        }
        lines.push(("repairs", repairs(&record.repairs, &report.columns)));
    }
    if let Some(used) = report.in_use {
        lines.push(("in use", in_use(report.model, used, &report.parameters)));
    }
    let title = title(report.model, &report.parameters, report.d);
    format!("{title}\n{}\n{}", facts(&lines), parameters(&report.parameters, &report.columns))
}

/// What became of a table command that wrote a file.
pub(crate) fn written(what: &str, rows: usize, path: &str, skipped: &[Skipped]) -> String {
    format!("{what} of {} written to {path}\n{}", count(rows, "row"), left_out(skipped))
}

/// Columns that were left out, one a line.
pub(crate) fn left_out(skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let names: Vec<String> = skipped.iter().map(|s| format!("  {} ({})\n", s.name, s.reason)).collect();
    format!("\nleft out: {}\n{}", count(skipped.len(), "column"), names.concat())
}

/// The family, its size and the columns.
pub(super) fn title(model: &str, parameters: &Parameters, d: usize) -> String {
    let (size, columns) = (size(parameters), count(d, "column"));
    match (model, parameters) {
        ("bppca", _) => format!("Bayesian PCA: at most {}, {columns}", count(size, "latent dimension")),
        ("lda", _) => format!("Latent Dirichlet allocation: {}, {}", count(size, "topic"), count(d, "word")),
        (_, Parameters::Words { .. }) => format!("Bayesian mixture of multinomials: {}, {}", count(size, "component"), count(d, "word")),
        (_, Parameters::Gmm { covariance_type, .. }) => {
            let (name, bound) = if model == "bgmm" { ("Bayesian Gaussian mixture", "at most ") } else { ("Gaussian mixture", "") };
            format!("{name}: {bound}{}, {covariance_type} covariances, {columns}", count(size, "component"))
        }
        (_, Parameters::Ppca { .. }) => format!("Probabilistic PCA: {}, {columns}", count(size, "latent dimension")),
        (_, Parameters::Fa { rotation, .. }) => {
            let rotated = rotation.as_ref().map_or(String::new(), |r| format!(", {} rotation", r.method));
            format!("Factor analysis: {}{rotated}, {columns}", count(size, "factor"))
        }
    }
}

pub(crate) fn table_line(table: &TableReport) -> String {
    let weight = table.total_weight.map_or(String::new(), |w| {
        let small =
            if w < 0.5 * table.n as f64 { " (which BIC takes for the number of rows: weights are repetitions, not shares)" } else { "" };
        format!(" of total weight {}{small}", number(w))
    });
    format!("{}: {}{weight}, {}", table.data, count(table.n, "row"), count(table.d, "column"))
}

fn count_rows(n: f64) -> String {
    match n.fract() == 0.0 {
        true => count(n as usize, "row"),
        false => format!("rows of total weight {}", number(n)),
    }
}

fn status(report: &FitReport) -> String {
    let starts = match report.restarts.len() {
        0 | 1 => String::new(),
        n => format!(", best of {n} starts"),
    };
    let seed = report.seed;
    match report.status {
        Status::ClosedForm => "exact, in closed form".to_owned(),
        status => format!("{} after {} (seed {seed}{starts})", status_name(status), count(report.iterations, "iteration")),
    }
}

pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Converged => "converged",
        Status::MaxIterations => "not converged",
        Status::Cancelled => "cancelled",
        Status::ClosedForm => "closed form",
        _ => "ended",
    }
}

/// Repairs, with columns by their names.
pub(super) fn repairs(repairs: &[Repair], columns: &[String]) -> String {
    let named = |repair: &Repair| match &repair.kind {
        RepairKind::Heywood { variable, .. } if *variable < columns.len() => {
            repair.to_string().replace(&format!("variable {variable} "), &format!("{} ", columns[*variable]))
        }
        _ => repair.to_string(),
    };
    match repairs.len() {
        0 => "none".to_owned(),
        n => {
            let mut text: Vec<String> = repairs.iter().take(5).map(named).collect();
            if n > 5 {
                text.push(format!("and {} more; --json has them all", n - 5));
            }
            text.join("\n                ")
        }
    }
}

fn criterion_name(criterion: Criterion) -> &'static str {
    match criterion {
        Criterion::Bic => "BIC (lowest)",
        Criterion::Aic => "AIC (lowest)",
        Criterion::Icl => "ICL (lowest)",
        Criterion::LaplaceEvidence => "evidence (highest)",
        Criterion::HeldOut => "held-out log-likelihood per row (highest)",
    }
}

fn size_name(model: &str) -> &'static str {
    if model == "gmm" { "k" } else { "q" }
}

/// `name  value`, one a line.
pub(crate) fn facts(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name:<14}  {value}\n")).collect()
}

/// What the family is best shown by.
pub(super) fn parameters(parameters: &Parameters, columns: &[String]) -> String {
    let d = match parameters {
        Parameters::Gmm { means, .. } => means.first().map_or(0, Vec::len),
        Parameters::Ppca { mean, .. } | Parameters::Fa { mean, .. } => mean.len(),
        Parameters::Words { words, .. } => words.first().map_or(0, Vec::len),
    };
    let name = |j: usize| columns.get(j).cloned().unwrap_or_else(|| format!("x{}", j + 1));
    let (header, rows, more) = match parameters {
        Parameters::Gmm { weights, means, .. } => {
            let header = ["component".to_owned(), "weight".to_owned()].into_iter().chain((0..d).map(|j| format!("mean {}", name(j))));
            let row = |k: usize| [k.to_string(), number(weights[k])].into_iter().chain(means[k].iter().map(|m| number(*m))).collect();
            (header.collect(), (0..weights.len().min(SHOWN)).map(row).collect::<Vec<Vec<String>>>(), weights.len())
        }
        Parameters::Ppca { mean, loadings, .. } => {
            let row = |j: usize| [name(j), number(mean[j])].into_iter().chain(loadings[j].iter().map(|w| number(*w))).collect();
            let q = loadings.first().map_or(0, Vec::len);
            let header = ["variable".to_owned(), "mean".to_owned()].into_iter().chain((0..q).map(|k| format!("z{k}")));
            (header.collect(), (0..d.min(SHOWN)).map(row).collect(), d)
        }
        Parameters::Words { weights, words: of } => return words(weights, of, columns),
        Parameters::Fa { standardised_loadings: loadings, uniquenesses, communalities, .. } => {
            let row = |j: usize| {
                let shares = [name(j), number(uniquenesses[j]), number(communalities[j])];
                shares.into_iter().chain(loadings[j].iter().map(|w| number(*w))).collect()
            };
            let q = loadings.first().map_or(0, Vec::len);
            let header = ["variable", "uniqueness", "communality"].map(str::to_owned).into_iter();
            (header.chain((0..q).map(|k| format!("z{k}"))).collect(), (0..d.min(SHOWN)).map(row).collect(), d)
        }
    };
    let header: Vec<String> = header;
    let mut text = grid(&header, &rows);
    if more > SHOWN {
        text += &format!("({} more rows; --json has them all)\n", more - SHOWN);
    }
    if let Parameters::Ppca { noise_variance, .. } = parameters {
        text += &format!("noise variance  {}\n", number(*noise_variance));
    }
    if let Parameters::Fa { .. } = parameters {
        text += "(loadings in units of the columns' standard deviations)\n";
    }
    text
}

fn next_steps(report: &FitReport) -> String {
    let mut text = String::new();
    if report.status == Status::MaxIterations {
        text += "\nnot converged: give it more iterations (--max-iter), or a larger --tol if this is near enough\n";
    }
    if report.repairs.iter().any(|repair| matches!(repair.kind, RepairKind::CovarianceFloored { .. })) {
        text +=
            "\na component that needed the floor sits on too few rows, or on rows without spread: likelihood and BIC then say little;\n";
        text += "fewer components (-k), a simpler --covariance or a ridge (--reg) is the remedy\n";
    }
    if report.repairs.iter().any(|repair| matches!(repair.kind, RepairKind::NoiseFloored { .. })) {
        text += "\nthe components leave nothing for the noise: likelihood and BIC then say little; fewer components (-q) are the remedy\n";
    }
    if report.repairs.iter().any(|repair| matches!(repair.kind, RepairKind::Heywood { .. })) {
        text += "\na factor has become one column (or a pair of nearly equal ones): fewer factors (-q) or no such columns are the remedy\n";
    }
    let data = &report.table.data;
    text += &match &report.output {
        Some(path) => {
            format!("\nwritten to {path}; next:\n  lvm posterior {path} {data}\n  lvm score {path} {data}\n  lvm sample {path} -n 10\n")
        }
        None => "\nnot saved: -o MODEL writes the model to a file\n".to_owned(),
    };
    text
}
