//! `lvm-verify`: runs the checks and writes the reports. `cargo xtask verify` calls it with the flags it was given.

use clap::Parser;
use lvm_verify::check::{Layer, Verdict};
use lvm_verify::layers::golden;
use lvm_verify::mutants;
use lvm_verify::neural::{Answer, Asked, Request};
use lvm_verify::report::{Report, html, table};
use lvm_verify::run::{Options, list, run};
use lvm_verify::selftest;
use lvm_verify::subject::Library;
use lvm_verify::suite::{Budget, Group, Selection};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

/// Checks the latent-variable models of this workspace against exact truths.
#[derive(Debug, Parser)]
#[command(name = "lvm-verify", version)]
struct Arguments {
    /// Only these layers: N, L, S, C, O, P, B, V, M, F, D
    #[arg(long, value_delimiter = ',')]
    layer: Vec<Layer>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Only checks with this id, such as C1
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// How long the run may take: quick is within a minute, full within fifteen, nightly starts from a fresh seed
    #[arg(long, value_enum, default_value_t)]
    budget: Budget,
    /// The same as --budget quick
    #[arg(long, conflicts_with = "budget")]
    quick: bool,
    /// Where random streams start: 0 unless given, in a nightly run the date
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run a folder of cases in the lvm-reference/1 format instead of the shipped ones
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// List what would be run, and run nothing
    #[arg(long)]
    list: bool,
    /// Where the report goes as JSON
    #[arg(long, value_name = "FILE", default_value = "verify-report/report.json")]
    json: PathBuf,
    /// Where the report goes as a page with plots
    #[arg(long, value_name = "FILE", default_value = "verify-report/report.html")]
    html: PathBuf,
    /// Plant published bugs one by one and print which check finds which (the kill matrix)
    #[arg(long)]
    self_test: bool,
    /// Record today's deterministic outputs as the golden digest (D2), with the reason why they changed
    #[arg(long, value_name = "REASON")]
    renew_golden: Option<String>,
    /// Run every fault of the source, or those named, and print which check finds which: only in the build of `cargo xtask verify --mutants`
    #[arg(long, value_name = "NAME", num_args = 0.., value_delimiter = ',')]
    mutants: Option<Vec<String>>,
    /// Show only the summary and what did not pass
    #[arg(long)]
    summary: bool,
    /// Leave out layer V, the neural models, and libtorch with it
    #[arg(long)]
    no_deep: bool,
    /// The command that answers for layer V, its words separated by U+001F: given by `cargo xtask verify`
    #[arg(long, hide = true, value_name = "COMMAND")]
    deep: Option<String>,
    /// That command is the program itself, and may run beside the other layers
    #[arg(long, hide = true, requires = "deep")]
    deep_beside: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match go(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            let _ = writeln!(io::stderr(), "lvm-verify: {e}");
            ExitCode::from(1)
        }
    }
}

/// Runs and reports; whether everything passed.
fn go(a: &Arguments) -> io::Result<bool> {
    if a.self_test {
        let matrix = selftest::kill_matrix();
        write!(io::stdout().lock(), "{}", matrix.table())?;
        return Ok(matrix.passed());
    }
    if let Some(names) = &a.mutants {
        if !lvm_core::mutant::POSSIBLE {
            return Err(io::Error::other("this build has no faults in it; `cargo xtask verify --mutants` makes and runs the one that has"));
        }
        let mut out = io::stdout().lock();
        let matrix = mutants::kill_matrix(&std::env::current_exe()?, names, |k| {
            let _ = writeln!(io::stderr(), "{} {}", if k.killed { "killed  " } else { "SURVIVED" }, k.what);
        });
        let matrix = matrix.map_err(io::Error::other)?;
        write!(out, "{}\n{}", matrix.table(), mutants::grid(&matrix))?;
        return Ok(matrix.passed() && !matrix.kills.is_empty());
    }
    if let Some(reason) = &a.renew_golden {
        let mut out = io::stdout().lock();
        let changed = golden::renew(&Library, reason).map_err(io::Error::other)?;
        writeln!(out, "{} outputs changed", changed.len())?;
        changed.iter().try_for_each(|name| writeln!(out, "  {name}"))?;
        return Ok(true);
    }
    let budget = if a.quick { Budget::Quick } else { a.budget };
    let seed = a.seed.unwrap_or_else(|| if budget == Budget::Nightly { today(SystemTime::now()) } else { 0 });
    // layer V runs in a program of its own, beside all others or after them
    let elsewhere = a.deep.as_deref().filter(|_| !a.no_deep && (a.layer.is_empty() || a.layer.contains(&Layer::V)));
    let mut layers = if a.layer.is_empty() { Layer::ALL.to_vec() } else { a.layer.clone() };
    layers.retain(|&l| l != Layer::V || !(a.no_deep || elsewhere.is_some() && !a.list));
    let selection = Selection { layers, cases: a.case.clone(), budget, ids: a.id.clone(), seed };
    let mut words = std::env::args().skip(1);
    let mut command = String::new();
    while let Some(word) = words.next() {
        if word == "--deep" {
            words.next();
        } else if word != "--deep-beside" {
            command = command + &word + " ";
        }
    }
    command.truncate(command.trim_end().len());
    if a.seed.is_none() && seed != 0 {
        command.push_str(&format!(" --seed {seed}"));
    }
    let options = Options {
        selection,
        dir: a.dir.clone(),
        command: format!("cargo xtask verify {command}").trim_end().to_owned(),
        workers: rayon::current_num_threads().min(WORKERS),
    };
    if a.list {
        let mut out = io::stdout().lock();
        for l in list(&Library, &options) {
            writeln!(out, "{} {:3} {}", l.layer, l.id, l.case)?;
        }
        return Ok(true);
    }
    let terminal = io::stderr().is_terminal();
    let watch = |group: &Group<'_>| {
        if terminal {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K{}", group.case());
        }
    };
    // an empty list of layers would be all of them
    let nothing_here = options.selection.layers.is_empty();
    let request = Request::new(&options.selection, options.dir.as_deref());
    let begun = Instant::now();
    let beside = elsewhere.filter(|_| a.deep_beside).map(|command| request.send(command, true));
    let mut report = if nothing_here { Report::default() } else { run(&Library, &options, watch) };
    if terminal {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
    let colour = if io::stdout().is_terminal() { table::Colour::Ansi } else { table::Colour::None };
    let shown = |report: &Report, layers: &[Layer]| match a.summary {
        true => report
            .checks
            .iter()
            .filter(|c| layers.contains(&c.layer) && c.verdict != Verdict::Pass && c.verdict != Verdict::NotSupported)
            .map(|c| table::row(c, colour) + "\n")
            .collect(),
        false => table::layers(report, layers, colour),
    };
    write!(io::stdout().lock(), "{}", shown(&report, &Layer::ALL))?;
    if let Some(command) = elsewhere {
        let together = beside.is_some();
        let answer = beside.unwrap_or_else(|| request.send(command, false)).and_then(Asked::answer);
        let answer = answer.unwrap_or_else(|why| absent(&request, &options, &why));
        report.seconds = if together { begun.elapsed().as_secs_f64() } else { report.seconds + answer.seconds };
        report.take_in(answer);
        write!(io::stdout().lock(), "{}", shown(&report, &[Layer::V]))?;
    }
    let mut out = io::stdout().lock();
    match a.summary {
        true => write!(out, "{}", table::summary(&report, colour))?,
        false => write!(out, "{}", table::ending(&report, colour))?,
    }
    if let Some(warning) = report.overrun() {
        writeln!(out, "{warning}")?;
    }
    write_reports(&report, &a.json, &a.html)?;
    writeln!(out, "report: {}  {}", a.html.display(), a.json.display())?;
    Ok(report.passed())
}

/// Cases that are run side by side at most: each may hold a few hundred thousand draws.
const WORKERS: usize = 4;

/// Layer V where it can't be had: its checks stand as not run.
fn absent(request: &Request, options: &Options, why: &str) -> Answer {
    let selection = request.selection();
    let mut checks = run(&Library, &Options { selection, ..options.clone() }, |_| {}).checks;
    for check in &mut checks {
        check.note = Some(format!("{why}; to run it: cargo xtask verify --layer V"));
    }
    Answer { checks, comparisons: 0, seconds: 0.0 }
}

/// The date (UTC) as a number such as 20260131.
fn today(now: SystemTime) -> u64 {
    let days = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs() / 86_400);
    // Gregorian calendar in eras of 400 years from 1 March   (Richards 2012, Explanatory Supplement, 15.11)
    let days = days + 719_468;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + 400 * (days / 146_097) + u64::from(month <= 2);
    10_000 * year + 100 * month + day
}

fn write_reports(report: &Report, json: &Path, html: &Path) -> io::Result<()> {
    for (file, text) in [(json, report.json().map_err(io::Error::other)?), (html, html::page(report))] {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.display()));
        if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(named)?;
        }
        std::fs::write(file, text).map_err(named)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [(0, 19_700_101), (951_782_399, 20_000_228), (951_782_400, 20_000_229), (1_767_225_599, 20_251_231)] {
            assert_eq!(today(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }
}
