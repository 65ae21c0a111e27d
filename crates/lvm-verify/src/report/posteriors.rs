//! The pictures of variational posteriors: gaps, forests, k-hat, traces.

use super::Report;
use super::chart::{Chart, Scale};
use super::exhibit::Exhibit;
use super::plots::Figure;

/// Pictures of what a report holds of posteriors; none if it holds nothing.
pub fn figures(report: &Report) -> Vec<Figure> {
    let mut out: Vec<Figure> = gaps(report).into_iter().chain(tails(&report.exhibits)).collect();
    out.extend(report.exhibits.iter().filter_map(|e| match e {
        Exhibit::Forest { case, names, ours, truth } => Some(forest(case, names, ours, truth)),
        Exhibit::Elbo { case, trace, evidence, optimum } => Some(elbo(case, trace, *evidence, *optimum)),
        _ => None,
    }));
    out
}

/// Height of a picture with so many rows.
fn height(rows: usize) -> f64 {
    (90.0 + 17.0 * rows as f64).max(180.0)
}

/// Room for names at the left of a picture.
const NAMES: f64 = 300.0;

/// The worst optimiser gap of each model and family, and its family gap: the engines of one model share a row.
fn rows_of(report: &Report) -> Vec<(String, f64, f64)> {
    let mut rows: Vec<(String, f64, f64)> = Vec::new();
    // an optimum that nobody knows has no gaps
    for h in report.headlines.iter().filter(|h| !h.optimum.value.is_nan()) {
        let (name, own) = (format!("{} · {}", h.case.replace(", nats a row", ""), h.family), h.optimiser_gap.value);
        match rows.iter_mut().find(|r| r.0 == name) {
            // what is not a number is the worst
            Some(row) => row.1 = if own.is_nan() || row.1.is_nan() { f64::NAN } else { row.1.max(own) },
            None => rows.push((name, own, h.family_gap.value)),
        }
    }
    rows
}

/// A bar for each gap, from the left edge, on a logarithmic axis.
fn gaps(report: &Report) -> Option<Figure> {
    const FLOOR: f64 = 1e-10;
    let rows = rows_of(report);
    let n = rows.len();
    if n == 0 {
        return None;
    }
    let values = rows.iter().flat_map(|r| [r.1, r.2]).filter(|v| v.is_finite()).map(|v| v.max(FLOOR));
    let mut chart = Chart::new(
        Scale::log("nats, or nats a row (a gap of nothing, or below, at the left edge)", values.chain([FLOOR, 1.0])),
        Scale::linear("", [-0.5, n as f64 - 0.5]).without_ticks(),
    )
    .tall(height(n))
    .named(NAMES);
    for (i, (name, own, family)) in rows.iter().enumerate() {
        let y = (n - 1 - i) as f64;
        for (class, value, shift, what) in [("bar own", *own, 0.18, "optimiser gap"), ("bar family", *family, -0.18, "family gap")] {
            let end = if value.is_finite() { value.max(FLOOR) } else { 1e300 };
            chart.line(class, [(FLOOR, y + shift), (end, y + shift)]);
            chart.dot("pass", 1.5, end, y + shift, &format!("{name} · {what}: {value:.3e}"));
        }
        chart.name(y, name);
    }
    Some(Figure {
        title: "Gaps of the evidence lower bound".into(),
        caption: "Upper bar: optimiser gap, ELBO(q*) − ELBO(q), of the worst engine, which should be nothing. Lower bar: family gap, log p(x) − ELBO(q*), which belongs to the family.".into(),
        svg: chart.svg(),
        wide: true,
    })
}

/// Every k-hat on one axis.
fn tails(exhibits: &[Exhibit]) -> Option<Figure> {
    let all: Vec<(&str, f64, f64, f64)> = exhibits
        .iter()
        .filter_map(|e| match e {
            Exhibit::Tail { case, k, sd, threshold } => Some((case.as_str(), *k, *sd, *threshold)),
            _ => None,
        })
        .collect();
    let threshold = all.first()?.3;
    let values = all.iter().flat_map(|t| [t.1 - t.2, t.1 + t.2]).chain([0.0, 1.0]);
    let mut chart = Chart::new(Scale::linear("Pareto k-hat", values), Scale::linear("", [-0.5, all.len() as f64 - 0.5]).without_ticks());
    chart = chart.tall(height(all.len())).named(NAMES);
    chart.vertical("limit", threshold);
    for (i, (case, k, sd, threshold)) in all.iter().enumerate() {
        let y = (all.len() - 1 - i) as f64;
        chart.line("ours", [(k - sd, y), (k + sd, y)]);
        chart.dot(if k <= threshold { "pass" } else { "fail" }, 3.6, *k, y, &format!("{case}: {k:.3}"));
        chart.name(y, case);
    }
    Some(Figure {
        title: "Can the importance weights be trusted?".into(),
        caption: format!(
            "k-hat of p/q for the best q of each family; beyond the line at {threshold:.2} the weights have no usable variance."
        ),
        svg: chart.svg(),
        wide: true,
    })
}

/// Each parameter in units of its true posterior: truth is 0 ± 1.
fn forest(case: &str, names: &[String], ours: &[(f64, f64)], truth: &[(f64, f64)]) -> Figure {
    const MOST: usize = 24;
    let rows: Vec<(&String, f64, f64)> =
        names.iter().zip(ours.iter().zip(truth)).map(|(name, ((m, s), (m0, s0)))| (name, (m - m0) / s0, s / s0)).take(MOST).collect();
    let ends = rows.iter().flat_map(|(_, m, s)| [m - s, m + s]).chain([-1.5, 1.5]);
    let n = rows.len();
    let mut chart = Chart::new(
        Scale::linear("posterior standard deviations from the true mean", ends),
        Scale::linear("", [-0.5, n as f64 - 0.5]).without_ticks(),
    );
    chart = chart.tall(height(n));
    for (i, (name, mean, sd)) in rows.iter().enumerate() {
        let y = (n - 1 - i) as f64;
        chart.line("wide", [(-1.0, y), (1.0, y)]);
        chart.line("ours", [(mean - sd, y), (mean + sd, y)]);
        chart.dot("centre", 2.6, *mean, y, &format!("{name}: mean off by {mean:.3} sd, sd {sd:.3} of the true one"));
        chart.name(y, name);
    }
    let worst = ours.iter().zip(truth).map(|((m, _), (m0, s0))| ((m - m0) / s0).abs()).fold(0.0, f64::max);
    let left = if names.len() > MOST { format!(" The first {MOST} of {}.", names.len()) } else { String::new() };
    Figure {
        title: format!("Posterior: {case}"),
        caption: format!("Wide: the true posterior, mean ± sd. Thin: ours. Largest error of a mean {worst:.2} sd.{left}"),
        svg: chart.svg(),
        wide: false,
    }
}

/// A trace under the two lines that bound it.
fn elbo(case: &str, trace: &[(f64, f64)], evidence: f64, optimum: f64) -> Figure {
    // early steps are far below: the axis begins where the last nine tenths of the run lie
    let late = trace.iter().skip(trace.len() / 10).map(|p| p.1);
    let last = trace.last().map_or(0.0, |p| p.0);
    let mut chart = Chart::new(Scale::linear("step", [0.0, last]), Scale::linear("ELBO, nats", late.chain([evidence, optimum])));
    chart.line("limit", [(0.0, evidence), (last, evidence)]);
    chart.line("wide", [(0.0, optimum), (last, optimum)]);
    chart.line("ours", trace.iter().copied());
    Figure {
        title: format!("ELBO: {case}"),
        caption: "Dashed: log evidence, which no ELBO passes. Wide: ELBO at the exact optimum of the family. Thin: the run.".into(),
        svg: chart.svg(),
        wide: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Source;
    use crate::headline::{Figure as Number, Headline};
    use crate::report::{headlines, html};

    fn report() -> Report {
        let exact = |v| Number::exact(v, Source::Q, 1e-9);
        let headline = |case: &str, reached| Headline::new(case, "mean field", "Adam", exact(-10.0), exact(-12.0), exact(reached));
        let posterior = vec![(1.0, 0.5), (2.0, 3.0)];
        Report {
            headlines: vec![headline("eight schools <nc>", -12.001), headline("an overflow", f64::NEG_INFINITY)],
            exhibits: vec![
                Exhibit::Forest { case: "a".into(), names: vec!["mu".into(), "tau".into()], ours: posterior.clone(), truth: posterior },
                Exhibit::Tail { case: "a".into(), k: 0.4, sd: 0.05, threshold: 0.7 },
                Exhibit::Tail { case: "b".into(), k: 0.9, sd: 0.0, threshold: 0.7 },
                Exhibit::Elbo { case: "a".into(), trace: vec![(0.0, -40.0), (1.0, -13.0), (2.0, -12.1)], evidence: -10.0, optimum: -12.0 },
            ],
            ..Report::default()
        }
    }

    #[test]
    fn every_picture_is_drawn_and_none_without_its_material() {
        let titles: Vec<String> = figures(&report()).into_iter().map(|f| f.title).collect();
        assert_eq!(titles, ["Gaps of the evidence lower bound", "Can the importance weights be trusted?", "Posterior: a", "ELBO: a"]);
        assert!(figures(&Report::default()).is_empty());
        for figure in figures(&report()) {
            assert!(!figure.svg.contains("NaN") && !figure.svg.contains("inf\""), "{}", figure.title);
        }
        // one k-hat on either side of its threshold
        let tails = &figures(&report())[1].svg;
        assert!(tails.contains("circle class=\"pass\"") && tails.contains("circle class=\"fail\""));
    }

    #[test]
    fn the_five_numbers_stand_in_table_page_and_json() {
        let report = report();
        let text = headlines::table(&report.headlines);
        assert!(text.contains("optimiser gap") && text.contains("0.001000 Q") && text.contains("2.000000 Q"), "{text}");
        assert!(headlines::table(&[]).is_empty());
        let page = html::page(&report);
        assert!(page.contains("Five numbers a model") && page.contains("eight schools &lt;nc&gt;"));
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["headlines"][0]["family_gap"]["value"], 2.0);
        assert_eq!(json["headlines"][0]["evidence"]["source"], "Q");
    }
}
