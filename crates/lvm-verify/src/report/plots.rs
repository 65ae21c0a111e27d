//! The pictures of the page.

use super::Report;
use super::chart::{Chart, Scale};
use super::exhibit::Exhibit;
use crate::check::{Layer, Verdict};
use ndarray::{Array1, Array2};

/// A picture with its caption.
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The picture.
    pub svg: String,
    /// Whether it needs the room of two.
    pub wide: bool,
}

/// All pictures of a report: the margins first, then what the checks put aside.
pub fn figures(report: &Report) -> Vec<Figure> {
    let mut out = vec![margins(report)];
    out.extend(super::posteriors::figures(report));
    let mut exhibits: Vec<&Exhibit> = report.exhibits.iter().collect();
    exhibits.sort_by_key(|e| match e {
        Exhibit::Mixture { .. } => 0,
        Exhibit::Spectrum { .. } => 1,
        Exhibit::Pairs { .. } => 2,
        _ => 3,
    });
    out.extend(exhibits.into_iter().filter_map(exhibit));
    out
}

/// difference / tolerance of every numeric check on a logarithmic axis, one strip a layer.
fn margins(report: &Report) -> Figure {
    const FLOOR: f64 = 1e-9;
    let layers: Vec<Layer> = Layer::ALL.into_iter().filter(|l| report.checks.iter().any(|c| c.layer == *l)).collect();
    let strips = layers.len().max(1) as f64;
    let mut chart = Chart::new(
        Scale::log("difference / tolerance (exact agreement at the left edge)", [FLOOR, 100.0]),
        Scale::linear("", [-0.2, strips - 0.3]).without_ticks(),
    );
    for (i, layer) in layers.iter().enumerate() {
        let strip = strips - 1.0 - i as f64;
        let checks: Vec<_> =
            report.checks.iter().filter(|c| c.layer == *layer && !matches!(c.verdict, Verdict::NotRun | Verdict::NotSupported)).collect();
        for (j, c) in checks.iter().enumerate() {
            let ratio = c.ratio();
            let x = if ratio.is_finite() { ratio.clamp(FLOOR, 90.0) } else { 90.0 };
            let y = strip - 0.15 + 0.72 * j as f64 / checks.len().max(1) as f64;
            let class = if c.verdict == Verdict::Pass { "pass" } else { "fail" };
            chart.dot(
                class,
                if c.verdict == Verdict::Pass { 2.6 } else { 4.5 },
                x,
                y,
                &format!("{} {} · {}: {:.2e}", c.id, c.case, c.quantity, ratio),
            );
        }
        chart.text(25.0, strip + 0.2, &layer.to_string());
    }
    chart.vertical("limit", 1.0);
    let names: Vec<String> = layers.iter().map(|l| format!("{l} {}", l.title())).collect();
    Figure {
        title: "How close each check came to its tolerance".into(),
        caption: format!(
            "One dot a check; strips from above: {}. The red line is the tolerance; dots far to the left have room to spare.",
            names.join(", ")
        ),
        svg: chart.svg(),
        wide: false,
    }
}

fn exhibit(exhibit: &Exhibit) -> Option<Figure> {
    Some(match exhibit {
        Exhibit::Trace { case, ours, truth } => trace(case, ours, truth),
        Exhibit::Mixture { case, columns, x, components, truth, first } => mixture(case, columns, x, components, truth, first),
        Exhibit::Spectrum { case, truth, ours } => spectrum(case, truth, ours),
        Exhibit::Pairs { case, what, ours, truth } => pairs(case, what, ours, truth),
        // drawn with the posteriors
        Exhibit::Forest { .. } | Exhibit::Tail { .. } | Exhibit::Elbo { .. } => return None,
    })
}

/// Distance to the end of the reference on a logarithmic axis: EM converges linearly, so the late part is a straight line.
fn trace(case: &str, ours: &[f64], truth: &[f64]) -> Figure {
    let all = ours.iter().chain(truth).copied();
    let mut chart =
        Chart::new(Scale::linear("iteration", [1.0, ours.len().max(truth.len()) as f64]), Scale::linear("log-likelihood, nats", all));
    let points = |v: &[f64]| v.iter().enumerate().map(|(i, &y)| ((i + 1) as f64, y)).collect::<Vec<_>>();
    for (x, y) in points(truth) {
        chart.dot("truth", 4.2, x, y, "");
    }
    chart.line("ours", points(ours));
    let worst = ours.iter().zip(truth).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max);
    Figure {
        title: format!("EM trace: {case}"),
        caption: format!("Line: ours. Circles: the reference trajectory. Largest relative difference {worst:.1e}."),
        svg: chart.svg(),
        wide: false,
    }
}

/// Points of the ellipse of two standard deviations.
fn ellipse(mean: &Array1<f64>, covariance: &Array2<f64>) -> Vec<(f64, f64)> {
    // The Cholesky factor of a 2 x 2 matrix, by hand.
    let a = covariance[[0, 0]].max(0.0).sqrt();
    let b = if a > 0.0 { covariance[[1, 0]] / a } else { 0.0 };
    let c = (covariance[[1, 1]] - b * b).max(0.0).sqrt();
    let angle = |i: usize| std::f64::consts::TAU * i as f64 / 72.0;
    (0..=72).map(angle).map(|t| (mean[0] + 2.0 * a * t.cos(), mean[1] + 2.0 * (b * t.cos() + c * t.sin()))).collect()
}

fn mixture(
    case: &str,
    columns: &[String; 2],
    x: &Array2<f64>,
    components: &[(Array1<f64>, Array2<f64>)],
    truth: &[(Array1<f64>, Array2<f64>)],
    first: &Array1<f64>,
) -> Figure {
    let outlines: Vec<Vec<(f64, f64)>> = components.iter().map(|(m, c)| ellipse(m, c)).collect();
    let points = outlines.iter().flatten().copied();
    let horizontal = x.column(0).iter().copied().chain(points.clone().map(|p| p.0)).collect::<Vec<_>>();
    let vertical = x.column(1).iter().copied().chain(points.map(|p| p.1)).collect::<Vec<_>>();
    let mut chart = Chart::new(Scale::linear(&columns[0], horizontal), Scale::linear(&columns[1], vertical));
    for (row, &share) in x.rows().into_iter().zip(first) {
        chart.mixed_dot(share, row[0], row[1]);
    }
    for (m, c) in truth {
        chart.line("wide", ellipse(m, c));
    }
    for ((m, _), outline) in components.iter().zip(outlines) {
        chart.line("ours", outline);
        chart.dot("centre", 4.0, m[0], m[1], "");
    }
    Figure {
        title: format!("Mixture: {case}"),
        caption: "Ellipses of two standard deviations: thin ours, wide the reference; rows coloured by responsibility.".into(),
        svg: chart.svg(),
        wide: false,
    }
}

fn spectrum(case: &str, truth: &[f64], ours: &[f64]) -> Figure {
    let all = truth.iter().chain(ours).copied();
    let mut chart = Chart::new(Scale::linear("index", [1.0, truth.len() as f64]), Scale::log("eigenvalue", all));
    for (i, &v) in truth.iter().enumerate().filter(|(_, v)| **v > 0.0) {
        chart.dot("truth", 4.2, (i + 1) as f64, v, "");
    }
    chart.line("ours", ours.iter().enumerate().map(|(i, &v)| ((i + 1) as f64, v)));
    Figure {
        title: format!("Spectrum: {case}"),
        caption: "Circles: eigenvalues of the scatter matrix (reference). Line: eigenvalues of the fitted W Wᵀ + σ² I, flat at σ² beyond the latents.".into(),
        svg: chart.svg(),
        wide: false,
    }
}

fn pairs(case: &str, what: &str, ours: &[f64], truth: &[f64]) -> Figure {
    let all: Vec<f64> = truth.iter().chain(ours).copied().collect();
    let mut chart =
        Chart::new(Scale::linear(&format!("{what}, reference"), all.clone()), Scale::linear(&format!("{what}, ours"), all.clone()));
    let (low, high) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    chart.line("wide", [(low, low), (high, high)]);
    for (i, (a, b)) in ours.iter().zip(truth).enumerate() {
        chart.dot("pass", 3.6, *b, *a, &format!("variable {}: {a:.6}, reference {b:.6}", i + 1));
    }
    let worst = ours.iter().zip(truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    Figure {
        title: format!("{what}: {case}"),
        caption: format!("One dot a variable. Largest difference {worst:.1e}."),
        svg: chart.svg(),
        wide: false,
    }
}
