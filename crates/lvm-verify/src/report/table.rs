//! The report as a table of fixed-width columns, with a summary of one screen at the end.

use super::{LayerSummary, Report, confusion, headlines, variances};
use crate::check::{Check, Layer, Verdict};
use std::fmt::Write as _;

/// Whether to colour verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Escape codes of a terminal.
    Ansi,
    /// Plain text.
    None,
}

impl Colour {
    fn paint(self, verdict: Verdict, text: &str) -> String {
        let code = match verdict {
            Verdict::Pass => "32",
            Verdict::Fail => "1;31",
            Verdict::Undecided => "1;33",
            Verdict::NotRun => "33",
            Verdict::NotSupported => "2",
        };
        match self {
            Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::None => text.to_owned(),
        }
    }
}

/// Cuts a text to `width` characters.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// The heading of the columns of [`row`].
pub fn heading() -> String {
    format!(
        "{:3} {:4} {:34} {:38} {:>17} {:>17} s {:>9} {:>9} {:>6}  {}",
        "lay", "id", "case", "quantity", "ours", "truth", "diff", "tol", "time", "verdict"
    )
}

/// One line for a check; a second with the reason where it failed or was not run.
pub fn row(c: &Check, colour: Colour) -> String {
    let verdict = colour.paint(c.verdict, &c.verdict.to_string());
    let mut line = format!(
        "{:3} {:4} {:34} {:38} {:>17} {:>17} {:?} {:>9.2e} {:>9.2e} {:>5.2}s  {verdict}",
        c.layer.to_string(),
        c.id,
        cut(&c.case, 34),
        cut(&c.quantity, 38),
        cut(&c.ours.to_string(), 17),
        cut(&c.truth.to_string(), 17),
        c.source,
        c.difference,
        c.tolerance,
        c.seconds
    );
    if let Some(s) = c.stochastic {
        let _ = write!(
            line,
            "\n         SE {:.2e}, smallest detectable bias {:.2e}, {} draws in {} looks",
            s.standard_error, s.detectable_bias, s.draws, s.looks
        );
    }
    if let Some(note) = &c.note {
        let _ = write!(line, "\n         {note}");
    }
    if matches!(c.verdict, Verdict::Fail | Verdict::Undecided) {
        let _ = write!(line, "\n         tolerance: {}\n         again: {}", c.reason, c.reproduce);
    }
    line
}

/// Every check of some layers, grouped by layer.
pub fn layers(report: &Report, layers: &[Layer], colour: Colour) -> String {
    let mut out = String::new();
    for &layer in layers {
        let checks: Vec<&Check> = report.checks.iter().filter(|c| c.layer == layer && c.verdict != Verdict::NotSupported).collect();
        if checks.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n== {layer}: {} ==\n{}", layer.title(), heading());
        for c in checks {
            let _ = writeln!(out, "{}", row(c, colour));
        }
    }
    out
}

/// Every check, and then what is [said at the end](ending).
pub fn full(report: &Report, colour: Colour) -> String {
    layers(report, &Layer::ALL, colour) + &ending(report, colour)
}

/// The five numbers of every model and the [`summary`].
pub fn ending(report: &Report, colour: Colour) -> String {
    headlines::table(&report.headlines) + &summary(report, colour)
}

/// One screen: counts by layer, what was not run and how to enable it, kinds not supported, failures, the verdict.
pub fn summary(report: &Report, colour: Colour) -> String {
    let mut out = variances::table(&report.variances) + &confusion::table(&report.judgements) + "\n== summary ==\n";
    let _ = writeln!(
        out,
        "{:3} {:24} {:>6} {:>6} {:>9} {:>7} {:>13} {:>9} {:>11} {:>8}",
        "lay", "", "pass", "fail", "undecided", "not run", "not supported", "numbers", "diff/tol", "time"
    );
    let line = |s: &LayerSummary| {
        format!(
            "{:3} {:24} {:>6} {:>6} {:>9} {:>7} {:>13} {:>9} {:>11.1e} {:>7.1}s",
            s.layer, s.title, s.pass, s.fail, s.undecided, s.not_run, s.not_supported, s.compared, s.closest, s.seconds
        )
    };
    for s in &report.summary {
        let _ = writeln!(out, "{}", line(s));
    }
    let total = report.total();
    let _ = writeln!(out, "{}", line(&total));
    for (title, verdict) in [("not run", Verdict::NotRun), ("not supported yet", Verdict::NotSupported)] {
        let groups = grouped(&report.checks, verdict);
        if !groups.is_empty() {
            let _ = writeln!(out, "\n{title}:");
        }
        for (note, cases) in groups {
            let shown = cut(&cases.join(", "), 110);
            let _ = writeln!(out, "  {} x {}\n      {shown}", cases.len(), colour.paint(verdict, note));
        }
    }
    if report.comparisons > 0 {
        let (b, n) = (report.error_budget, report.comparisons);
        let _ = writeln!(
            out,
            "\n{n} stochastic comparisons of at most {}, each at alpha = {:.0e} (z = {:.2}): false alarms of the whole run below {:.0e}; seed {}",
            b.comparisons,
            b.alpha(),
            b.z(),
            b.family,
            report.seed
        );
    }
    let failures: Vec<&Check> = report.failures().collect();
    if !failures.is_empty() {
        let _ = writeln!(out, "\nfailures:");
    }
    for c in failures.iter().take(12) {
        let _ = writeln!(
            out,
            "  {} {} {} · {}\n      {}",
            colour.paint(c.verdict, &c.verdict.to_string()),
            c.id,
            c.case,
            c.quantity,
            c.reproduce
        );
    }
    if failures.len() > 12 {
        let _ = writeln!(out, "  and {} more", failures.len() - 12);
    }
    let unsupported = match total.not_supported {
        0 => String::new(),
        n => format!("; {n} cases of kinds not supported yet"),
    };
    let verdict = match (report.passed(), total.not_run) {
        (false, _) if failures.is_empty() => colour.paint(Verdict::Fail, "NOTHING WAS CHECKED"),
        (false, _) => colour.paint(Verdict::Fail, &format!("FAILED: {} of {} checks", failures.len(), report.checks.len())),
        (true, 0) => colour.paint(Verdict::Pass, &format!("PASSED: {} checks, {} numbers{unsupported}", total.pass, total.compared)),
        (true, n) => {
            colour.paint(Verdict::Pass, &format!("PASSED: {} checks, {} numbers; {n} NOT RUN{unsupported}", total.pass, total.compared))
        }
    };
    let _ = writeln!(
        out,
        "\n{verdict} in {:.1} s ({}, oracle {})",
        report.seconds,
        report.subject,
        if report.oracle { "LAPACK" } else { "absent" }
    );
    out
}

/// Cases by note, for one verdict.
pub(super) fn grouped(checks: &[Check], verdict: Verdict) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for c in checks.iter().filter(|c| c.verdict == verdict) {
        let note = c.note.as_deref().unwrap_or("");
        match groups.iter_mut().find(|(n, _)| *n == note) {
            Some((_, cases)) if cases.contains(&c.case.as_str()) => {}
            Some((_, cases)) => cases.push(&c.case),
            None => groups.push((note, vec![&c.case])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summarise;
    use crate::subject::Library;
    use crate::suite::{Selection, Suite};
    use crate::{check::Source, check::Tolerance, oracle};

    #[test]
    fn what_needs_the_oracle_and_was_not_run_stands_in_the_summary_with_the_command_that_enables_it() {
        let mut suite = Suite::new(&Library, Selection::default());
        suite.group(Layer::C, "C1", "a table, LAPACK", |g| {
            g.not_run("against dense formulas on LAPACK", oracle::ABSENT, oracle::ENABLE);
            Ok(())
        });
        suite.group(Layer::N, "N1", "another", |g| {
            g.scalar("one", Source::E, 1.0, 1.0, &Tolerance::exact("test"));
            Ok(())
        });
        let report = Report { summary: summarise(&suite.checks), checks: suite.checks, ..Report::default() };
        let text = summary(&report, Colour::None);
        assert!(text.contains("not run:\n  1 x ") && text.contains(oracle::ENABLE) && text.contains("a table, LAPACK"), "{text}");
        assert!(text.contains("PASSED: 1 checks, 1 numbers; 1 NOT RUN") && text.contains("oracle absent"), "{text}");
    }
}
