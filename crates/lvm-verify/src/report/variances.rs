//! The variances of the gradient estimators: as a table for people, as a table of the page.

use super::chart::escape;
use crate::check::number;
use serde::Serialize;
use std::fmt::Write as _;

/// The variance of one estimator at one q.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GradientVariance {
    /// The target.
    pub case: String,
    /// Where the gradient is taken.
    pub q: String,
    /// The estimator.
    pub estimator: String,
    /// Evaluations of log p in one estimate.
    pub evaluations: usize,
    /// Independent estimates.
    pub estimates: usize,
    /// Evaluations times the sum over coordinates of the variance of one estimate, in natural units (q's covariance is I).
    #[serde(serialize_with = "number")]
    pub variance: f64,
    /// Its standard error.
    #[serde(serialize_with = "number")]
    pub standard_error: f64,
    /// What it must be, where theory says.
    pub exact: Option<f64>,
}

/// Three digits and the standard error in units of the last.
fn cell(v: &GradientVariance) -> String {
    match v.variance {
        x if x < 1e-9 => "0".to_owned(),
        x if x < 1e5 => {
            let digits = (2 - x.log10().floor() as i32).clamp(0, 4) as usize;
            format!("{x:.digits$}±{:.1$}", v.standard_error, digits)
        }
        x => format!("{x:.2e}±{:.0e}", v.standard_error),
    }
}

/// Consecutive rows of one target and q.
fn points(variances: &[GradientVariance]) -> impl Iterator<Item = &[GradientVariance]> {
    variances.chunk_by(|a, b| a.case == b.case && a.q == b.q)
}

/// One line a target and q, one column an estimator.
pub fn table(variances: &[GradientVariance]) -> String {
    let Some(first) = points(variances).next() else { return String::new() };
    let mut out = String::from("\n== variance of each gradient estimator, per evaluation of log p, natural units ==\n");
    let _ = write!(out, "{:20} {:24}", "target", "q");
    first.iter().for_each(|v| out.push_str(&format!(" {:>16}", v.estimator)));
    for row in points(variances) {
        let _ = write!(out, "\n{:20} {:24}", row[0].case.chars().take(20).collect::<String>(), row[0].q);
        row.iter().for_each(|v| out.push_str(&format!(" {:>16}", cell(v))));
    }
    out + "\n"
}

/// The same for the page, with what theory says below each.
pub fn html(variances: &[GradientVariance]) -> String {
    let Some(first) = points(variances).next() else { return String::new() };
    let mut out = String::from(
        "<h2>Variances of the gradient estimators</h2><p class=\"mute\">Sum over coordinates of the variance of one estimate, times the \
         evaluations of log p it takes, in natural units (q's covariance is I); ± standard error. Below it, what theory says it is. \
         Gaussian targets carry a constant of −10 nats, the others the evidence they have.</p><div class=\"scroll\"><table><thead><tr><th>target<th>q",
    );
    first.iter().for_each(|v| out.push_str(&format!("<th class=\"n\">{}", escape(&v.estimator))));
    out.push_str("</tr></thead><tbody>");
    for row in points(variances) {
        let _ = write!(out, "<tr><td>{}<td>{}", escape(&row[0].case), escape(&row[0].q));
        for v in row {
            let exact = v.exact.map_or_else(String::new, |e| format!("<br><span class=\"mute\">{}</span>", crate::check::show(e)));
            let _ = write!(out, "<td class=\"n\">{}{exact}", escape(&cell(v)));
        }
        out.push_str("</tr>");
    }
    out + "</tbody></table></div>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_point_with_errors_in_the_last_digits() {
        let of = |q: &str, estimator: &str, variance: f64, exact| GradientVariance {
            case: "a".into(),
            q: q.into(),
            estimator: estimator.into(),
            evaluations: 1,
            estimates: 100,
            variance,
            standard_error: 0.01 * variance,
            exact,
        };
        let all = [of("p", "pathwise", 4.0, Some(4.0)), of("p", "landing", 1e-30, Some(0.0)), of("q*", "pathwise", 123_456.0, None)];
        let text = table(&all);
        assert!(text.contains("4.00±0.04") && text.contains("1.23e5±1e3") && text.lines().count() == 5, "{text}");
        assert!(html(&all).contains("<span class=\"mute\">4</span>") && table(&[]).is_empty() && html(&[]).is_empty());
    }
}
