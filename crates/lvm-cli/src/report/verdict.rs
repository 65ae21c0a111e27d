//! The verdict of `lvm verify`, as a table and as a page.

use super::grid::{count, grid, number};
use super::human::{facts, left_out, table_line};
use crate::commands::verify::{Divergence, Finding, VerifyReport};
use lvm_verify::report::chart::{Chart, Scale, escape};
use lvm_verify::report::html::STYLE;
use lvm_vi::diagnose::Level;
use std::fmt::Write as _;

/// The table.
pub(crate) fn text(report: &VerifyReport) -> String {
    let mut text = facts(&[
        ("verdict", sentence(report)),
        ("model", report.model.to_owned()),
        ("data", table_line(&report.table)),
        (report.objective, format!("{} nats per row{}", number(report.mean_log_likelihood), recorded(report))),
    ]);
    if let Some(kl) = &report.mean_field_kl {
        text += &facts(&[("mean field", independence(kl))]);
    }
    text += "\n";
    let header = ["check", "found", "expected", "difference", "allowed", "verdict"].map(str::to_owned);
    let row = |c: &Finding| {
        let shown = [number(c.found), number(c.expected), format!("{:.1e}", c.difference), format!("{:.1e}", c.allowed)];
        [c.quantity.clone()].into_iter().chain(shown).chain([c.verdict.to_string()]).collect()
    };
    text += &grid(&header, &report.checks.iter().map(row).collect::<Vec<_>>());
    for check in report.checks.iter().filter(|c| c.verdict != Level::Pass) {
        let _ = write!(text, "\n{}: {}\n  why: {}\n  do:  {}\n", check.verdict, check.quantity, check.reason, check.remedy);
    }
    if !report.notes.is_empty() {
        text += "\n";
        report.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    }
    text += &left_out(&report.table.skipped_columns);
    if let Some(path) = &report.output {
        let _ = write!(text, "\nwith pictures in {path}\n");
    }
    text
}

fn sentence(report: &VerifyReport) -> String {
    let passed = report.checks.iter().filter(|c| c.verdict == Level::Pass).count();
    let what = match (report.verdict, report.fitted_to_these_rows) {
        (Level::Pass, _) if report.objective == "ELBO" => "the bound and its optimum are what the file says",
        (Level::Pass, true) => "the fit and its posterior are what they claim to be",
        (Level::Pass, false) => "the posterior is what it claims to be",
        (Level::Warn, _) => "usable, with the reservations below",
        (Level::Fail, _) => "do not use it before the failures below are explained",
    };
    format!("{}: {what} ({passed} of {} passed)", report.verdict, count(report.checks.len(), "check"))
}

fn recorded(report: &VerifyReport) -> String {
    match report.recorded_mean_log_likelihood {
        Some(recorded) if !report.fitted_to_these_rows => format!("  ({} where it was fitted)", number(recorded)),
        _ => String::new(),
    }
}

fn independence(kl: &Divergence) -> String {
    format!("independent latents would lose {} nats per row (KL; at most {})", number(kl.mean), number(kl.max))
}

/// The page: the same, with pictures, in one file that needs nothing from outside.
pub(crate) fn page(report: &VerifyReport) -> String {
    let class = if report.verdict == Level::Fail { "bad" } else { "good" };
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>lvm verify</title>\
         <style>{STYLE}.banner.warn{{background:var(--warn)}}.warn{{color:var(--warn)}}.banner.warn{{color:#fff}}</style><h1>lvm verify</h1>\
         <p class=\"mute\">{} · {}</p><div class=\"banner {}\">{}</div><p>{}: {} nats per row{}</p>",
        escape(report.model),
        escape(&table_line(&report.table)),
        if report.verdict == Level::Warn { "warn" } else { class },
        escape(&sentence(report)),
        report.objective,
        number(report.mean_log_likelihood),
        escape(&recorded(report)),
    );
    if let Some(kl) = &report.mean_field_kl {
        let _ = write!(page, "<p>mean field: {}</p>", escape(&independence(kl)));
    }
    for note in &report.notes {
        let _ = write!(page, "<p class=\"mute\">{}</p>", escape(note));
    }
    page += "<h2>Checks</h2><div class=\"scroll\"><table><thead><tr><th>check<th class=\"n\">found<th class=\"n\">expected<th class=\"n\">difference\
             <th class=\"n\">allowed<th class=\"n\">numbers<th>what it shows, and why that much<th>verdict</tr></thead><tbody>";
    report.checks.iter().for_each(|check| row(&mut page, check));
    page += "</tbody></table></div><h2>Pictures</h2><div class=\"plots\">";
    for (title, svg, caption) in figures(report) {
        let _ = write!(page, "<figure><b>{title}</b>{svg}<figcaption>{caption}</figcaption></figure>");
    }
    page + "</div></html>"
}

fn row(page: &mut String, check: &Finding) {
    let class = match check.verdict {
        Level::Pass => "PASS",
        Level::Warn => "NOT",
        Level::Fail => "FAIL",
    };
    let bad = if check.verdict == Level::Fail { " class=\"bad\"" } else { "" };
    let remedy = if check.remedy.is_empty() { String::new() } else { format!("<br><b>{}</b>", escape(&check.remedy)) };
    let _ = write!(
        page,
        "<tr{bad}><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{:.2e}<td class=\"n\">{:.2e}<td class=\"n\">{}<td class=\"why\">{}{remedy}\
         <td class=\"v {class}\">{}</tr>",
        escape(&check.quantity),
        number(check.found),
        number(check.expected),
        check.difference,
        check.allowed,
        check.compared,
        escape(&check.reason),
        check.verdict
    );
}

type Figure = (&'static str, String, &'static str);

fn figures(report: &VerifyReport) -> Vec<Figure> {
    let mut figures = Vec::new();
    if report.trace.len() > 1 {
        let points = || report.trace.iter().enumerate().map(|(i, v)| (i as f64 + 1.0, *v));
        let found = report.mean_log_likelihood;
        let values = report.trace.iter().copied().chain(report.fitted_to_these_rows.then_some(found));
        let mut chart = Chart::new(Scale::linear("iteration", points().map(|p| p.0)), Scale::linear("nats per row", values));
        chart.line("ours", points());
        chart.explain("ours", "objective of the fit");
        if report.fitted_to_these_rows {
            let last = report.trace.len() as f64;
            chart.line("limit", [(1.0, found), (last, found)]);
            chart.explain("limit", "computed again from the rows");
        }
        figures.push(("The fit", chart.svg(), "The objective after every iteration, as recorded, and the value that these rows give."));
    }
    if let Some(kl) = report.mean_field_kl.as_ref().filter(|kl| kl.max > 1e-12) {
        let mut chart =
            Chart::new(Scale::linear("row", kl.rows.iter().map(|r| *r as f64)), Scale::linear("nats", kl.kl.iter().copied().chain([0.0])));
        for (row, kl) in kl.rows.iter().zip(&kl.kl) {
            chart.dot("pass", 2.5, *row as f64, *kl, &format!("row {row}: {}", number(*kl)));
        }
        figures.push((
            "KL of the mean field to the posterior",
            chart.svg(),
            "What each row would lose if its latents were taken as independent.",
        ));
    }
    let ratios: Vec<(usize, &Finding, f64)> = report
        .checks
        .iter()
        .enumerate()
        .filter(|(_, c)| c.allowed > 0.0 && c.difference.is_finite())
        .map(|(i, c)| (i, c, (c.difference / c.allowed).max(1e-12)))
        .collect();
    if !ratios.is_empty() {
        let mut chart = Chart::new(
            Scale::log("difference / allowed", ratios.iter().map(|r| r.2).chain([1.0])),
            Scale::linear("", [0.0, report.checks.len() as f64]).without_ticks(),
        );
        chart.vertical("limit", 1.0);
        for (i, check, ratio) in &ratios {
            let class = if check.verdict == Level::Pass { "pass" } else { "fail" };
            let y = (report.checks.len() - i) as f64 - 0.5;
            chart.dot(class, 4.0, *ratio, y, &check.quantity);
            chart.text(ratio.min(1e-3) * 3.0, y, check.check);
        }
        figures.push((
            "Distance to the tolerance",
            chart.svg(),
            "Left of the dashed line is a pass; differences of nothing are drawn at 1e-12.",
        ));
    }
    figures
}
