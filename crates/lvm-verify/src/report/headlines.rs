//! The five numbers of each model: as a table for people, as a table of the page.

use super::chart::escape;
use crate::headline::{Figure, Headline};
use std::fmt::Write as _;

/// One cell: the number, and its standard error where it has one.
fn cell(f: Figure) -> String {
    match f.standard_error {
        _ if f.value.is_nan() => "unknown".to_owned(),
        // a gap of rounding
        0.0 if f.value.abs() < 1e-6 => format!("{:.0e} {:?}", f.value, f.source),
        0.0 => format!("{:.6} {:?}", f.value, f.source),
        se => format!("{:.6}±{se:.1e} {:?}", f.value, f.source),
    }
}

/// Names of the five numbers, with what each is.
const COLUMNS: [&str; 5] = ["log evidence", "ELBO*", "ELBO reached", "optimiser gap", "family gap"];

fn figures(h: &Headline) -> [Figure; 5] {
    [h.evidence, h.optimum, h.reached, h.optimiser_gap, h.family_gap]
}

/// Two lines a model: the numbers with their sources, and below them what each may be off by and the smallest bias that would be seen.
pub fn table(headlines: &[Headline]) -> String {
    if headlines.is_empty() {
        return String::new();
    }
    let mut out = format!("\n== five numbers a model, in nats ==\n{:34} {:26}", "case", "family, engine");
    COLUMNS.iter().for_each(|c| out.push_str(&format!(" {c:>24}")));
    out.push('\n');
    for h in headlines {
        let _ = write!(out, "{:34} {:26}", h.case, format!("{}, {}", h.family, h.engine));
        figures(h).iter().for_each(|f| out.push_str(&format!(" {:>24}", cell(*f))));
        let _ = write!(out, "\n{:61}", "    tolerance / smallest detectable bias");
        figures(h).iter().for_each(|f| out.push_str(&format!(" {:>24}", format!("{:.1e} / {:.1e}", f.tolerance, f.detectable_bias))));
        out.push('\n');
    }
    out
}

/// The same for the page.
pub fn html(headlines: &[Headline]) -> String {
    if headlines.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h2>Five numbers a model</h2><p class=\"mute\">In nats. Below each: what it may be off by, and the smallest bias that would be seen.</p><div class=\"scroll\"><table><thead><tr><th>case<th>family<th>engine",
    );
    COLUMNS.iter().for_each(|c| out.push_str(&format!("<th class=\"n\">{c}")));
    out.push_str("</tr></thead><tbody>");
    for h in headlines {
        let _ = write!(out, "<tr><td>{}<td>{}<td>{}", escape(&h.case), escape(&h.family), escape(&h.engine));
        for f in figures(h) {
            let _ = write!(
                out,
                "<td class=\"n\">{}<br><span class=\"mute\">{:.1e} / {:.1e}</span>",
                escape(&cell(f)),
                f.tolerance,
                f.detectable_bias
            );
        }
        out.push_str("</tr>");
    }
    out + "</tbody></table></div>"
}
