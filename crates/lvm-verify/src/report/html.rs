//! The report as one page that needs nothing from outside: verdict, summary by layer, pictures, and every check.

use super::chart::escape;
use super::{LayerSummary, Report, plots};
use crate::check::{Check, Layer, Shown, Verdict};
use std::fmt::Write as _;

/// The style sheet of the page, which the classes of [`chart`](super::chart) need.
pub const STYLE: &str = include_str!("page.css");

/// Hides the rows that do not contain what is typed.
const FILTER: &str = "const f=document.getElementById('f');f.oninput=()=>{const t=f.value.toLowerCase();document.querySelectorAll('tbody.checks tr').forEach(r=>r.style.display=r.textContent.toLowerCase().includes(t)?'':'none')}";

/// The page.
pub fn page(report: &Report) -> String {
    let total = report.total();
    let (class, verdict) = match report.passed() {
        true => ("good", format!("PASSED: {} checks, {} numbers compared", total.pass, total.compared)),
        false => ("bad", format!("FAILED: {} of {} checks", total.fail + total.undecided, report.checks.len())),
    };
    let unrun = if total.not_run > 0 { format!(", {} not run", total.not_run) } else { String::new() };
    let oracle = if report.oracle { "LAPACK oracle" } else { "without the LAPACK oracle" };
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>lvm verify</title><style>{}</style>\
         <h1>lvm verify</h1><p class=\"mute\">{} {} · {oracle} · {:.1} s · <code>{}</code></p><div class=\"banner {class}\">{}{unrun}</div>",
        STYLE,
        escape(&report.subject),
        report.version,
        report.seconds,
        escape(&report.command),
        escape(&verdict),
    );
    summary_table(&mut out, report, &total);
    out.push_str(&super::headlines::html(&report.headlines));
    out.push_str(&super::confusion::html(&report.judgements));
    out.push_str(&super::variances::html(&report.variances));
    out.push_str("<h2>Pictures</h2><div class=\"plots\">");
    for figure in plots::figures(report) {
        let _ = write!(
            out,
            "<figure{}><b>{}</b>{}<figcaption>{}</figcaption></figure>",
            if figure.wide { " class=\"big\"" } else { "" },
            escape(&figure.title),
            figure.svg,
            escape(&figure.caption)
        );
    }
    out.push_str("</div><h2>Checks</h2><p><input id=\"f\" placeholder=\"filter: case, quantity, verdict …\"></p>");
    for layer in Layer::ALL {
        layer_table(&mut out, report, layer);
    }
    let _ = write!(
        out,
        "<h2>Reading this page</h2><p>Source of truth: <b>E</b> exact (closed form, rational, at least 40 digits) · <b>Q</b> the textbook formula on LAPACK, or quadrature · \
         <b>R</b> reference draws · <b>X</b> another implementation (scikit-learn, mclust, factanal) · <b>I</b> an internal identity. Of an array the entry nearest to its \
         tolerance is shown. A tolerance is derived, never fitted; its reason stands beside it.</p><script>{FILTER}</script></html>"
    );
    out
}

fn summary_table(out: &mut String, report: &Report, total: &LayerSummary) {
    out.push_str(
        "<div class=\"scroll\"><table class=\"summary\"><thead><tr><th>layer<th><th class=\"n\">pass<th class=\"n\">fail<th class=\"n\">undecided<th class=\"n\">not run<th class=\"n\">not supported\
         <th class=\"n\">numbers<th class=\"n\">largest diff/tol<th class=\"n\">time</tr></thead><tbody>",
    );
    for s in report.summary.iter().chain([total]) {
        let _ = write!(
            out,
            "<tr><td><b>{}</b><td>{}<td class=\"n PASS\">{}<td class=\"n{}\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{:.1e}<td class=\"n\">{:.1} s</tr>",
            s.layer,
            s.title,
            s.pass,
            if s.fail > 0 { " FAIL" } else { "" },
            s.fail,
            s.undecided,
            s.not_run,
            s.not_supported,
            s.compared,
            s.closest,
            s.seconds
        );
    }
    out.push_str("</tbody></table></div>");
    for (title, verdict) in [("Not run", Verdict::NotRun), ("Not supported yet", Verdict::NotSupported)] {
        let groups = super::table::grouped(&report.checks, verdict);
        if !groups.is_empty() {
            let _ = write!(out, "<details><summary class=\"NOT\">{title}</summary>");
        }
        for (note, cases) in &groups {
            let _ = write!(out, "<p>{} × {}<br><span class=\"mute\">{}</span></p>", cases.len(), escape(note), escape(&cases.join(", ")));
        }
        if !groups.is_empty() {
            out.push_str("</details>");
        }
    }
}

fn layer_table(out: &mut String, report: &Report, layer: Layer) {
    let checks: Vec<&Check> = report.checks.iter().filter(|c| c.layer == layer && c.verdict != Verdict::NotSupported).collect();
    if checks.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<details open><summary>{layer} · {} ({})</summary><div class=\"scroll\"><table><thead><tr><th>id<th>case<th>quantity<th class=\"n\">ours<th class=\"n\">truth<th>source<th class=\"n\">difference\
         <th class=\"n\">tolerance<th>its reason<th class=\"n\">time<th>verdict</tr></thead><tbody class=\"checks\">",
        layer.title(),
        checks.len()
    );
    for c in checks {
        check_row(out, c);
    }
    out.push_str("</tbody></table></div></details>");
}

/// A number stays on one line; words may wrap.
fn shown_cell(shown: &Shown) -> String {
    let class = if matches!(shown, Shown::Number(_)) { "n" } else { "words" };
    format!("<td class=\"{class}\">{}", escape(&shown.to_string()))
}

fn check_row(out: &mut String, c: &Check) {
    let bad = matches!(c.verdict, Verdict::Fail | Verdict::Undecided);
    let verdict = c.verdict.to_string();
    let class = verdict.split(' ').next().unwrap_or("");
    let mut reason = escape(&c.reason);
    if let Some(s) = c.stochastic {
        let _ = write!(
            reason,
            "<br>SE {:.2e}, smallest detectable bias {:.2e}, {} draws in {} looks",
            s.standard_error, s.detectable_bias, s.draws, s.looks
        );
    }
    if let Some(note) = &c.note {
        let _ = write!(reason, "<br><b>{}</b>", escape(note));
    }
    if bad {
        let _ = write!(reason, "<br><code>{}</code>", escape(&c.reproduce));
    }
    let row = if bad { " class=\"bad\"" } else { "" };
    let _ = write!(
        out,
        "<tr{row}><td>{}<td>{}<td>{}{}{}<td>{:?}<td class=\"n\">{:.2e}<td class=\"n\">{:.2e}<td class=\"why\">{reason}<td class=\"n\">{:.2} s<td class=\"v {class}\">{verdict}</tr>",
        c.id,
        escape(&c.case),
        escape(&c.quantity),
        shown_cell(&c.ours),
        shown_cell(&c.truth),
        c.source,
        c.difference,
        c.tolerance,
        c.seconds
    );
}
