//! `lvm-verify`: runs the checks and writes the reports. `cargo xtask verify` calls it with the flags it was given.

use clap::Parser;
use lvm_verify::check::{Layer, Verdict};
use lvm_verify::layers::golden;
use lvm_verify::report::{Report, html, table};
use lvm_verify::run::{Options, list, run};
use lvm_verify::selftest;
use lvm_verify::subject::Library;
use lvm_verify::suite::Selection;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Checks the latent-variable models of this workspace against exact truths.
#[derive(Debug, Parser)]
#[command(name = "lvm-verify", version)]
struct Arguments {
    /// Only these layers: N, C, M, F, D
    #[arg(long, value_delimiter = ',')]
    layer: Vec<Layer>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Only checks with this id, such as C1
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Keep within a minute: smaller tables, fewer draws
    #[arg(long)]
    quick: bool,
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
    /// Show only the summary and what did not pass
    #[arg(long)]
    summary: bool,
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
    if let Some(reason) = &a.renew_golden {
        let mut out = io::stdout().lock();
        let changed = golden::renew(&Library, reason).map_err(io::Error::other)?;
        writeln!(out, "{} outputs changed", changed.len())?;
        changed.iter().try_for_each(|name| writeln!(out, "  {name}"))?;
        return Ok(true);
    }
    let selection = Selection { layers: a.layer.clone(), cases: a.case.clone(), quick: a.quick, ids: a.id.clone() };
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let options = Options { selection, dir: a.dir.clone(), command: format!("cargo xtask verify {command}").trim_end().to_owned() };
    if a.list {
        let mut out = io::stdout().lock();
        for l in list(&Library, &options) {
            writeln!(out, "{} {:3} {}", l.layer, l.id, l.case)?;
        }
        return Ok(true);
    }
    let terminal = io::stderr().is_terminal();
    let report = run(&Library, &options, |group| {
        if terminal {
            let _ = write!(io::stderr(), "\r\u{1b}[K{}", group.case());
        }
    });
    if terminal {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
    let mut out = io::stdout().lock();
    let colour = if io::stdout().is_terminal() { table::Colour::Ansi } else { table::Colour::None };
    match a.summary {
        true => {
            for c in report.checks.iter().filter(|c| c.verdict != Verdict::Pass && c.verdict != Verdict::NotSupported) {
                writeln!(out, "{}", table::row(c, colour))?;
            }
            write!(out, "{}", table::summary(&report, colour))?;
        }
        false => write!(out, "{}", table::full(&report, colour))?,
    }
    write_reports(&report, &a.json, &a.html)?;
    writeln!(out, "report: {}  {}", a.html.display(), a.json.display())?;
    Ok(report.passed())
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
