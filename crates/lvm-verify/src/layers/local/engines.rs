//! O1: every engine on all rows: the five numbers, in nats a row.

use super::{Setting, Truth};
use crate::check::{Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Outcome};
use lvm_core::fit::Stopping;
use lvm_core::model::Infer;
use lvm_vi::amortized::{AmortizedVi, EncoderConfig, LinearEncoderNewton};
use lvm_vi::local::{self, CoordinateAscent, LocalGaussian, PerDatum, Shape};
use ndarray::{Array1, Array2, Axis, Slice};

/// What a deterministic engine may leave (VERIFY O1), nats a row.
const DETERMINISTIC: f64 = 1e-6;

/// All engines on one model.
///
/// # Errors
/// If the library refuses.
pub(super) fn all(g: &mut Group<'_>, s: &Setting) -> Outcome {
    let truth = s.truth()?;
    let (diagonal, full) = (Shape::Diagonal, Shape::Full);
    reached(g, s, &truth, diagonal, "closed form", &local::mean_field(&s.model, &s.x)?, DETERMINISTIC)?;
    reached(g, s, &truth, full, "closed form", &LocalGaussian::from(&s.model.infer(&s.x)?), DETERMINISTIC)?;
    coordinate_ascent(g, s, &truth)?;
    for shape in [diagonal, full] {
        let ascent = PerDatum { shape, ..Default::default() }.fit(&s.model, &s.x)?;
        reached(g, s, &truth, shape, "ascent of each row", &ascent.model, DETERMINISTIC)?;
        let newton = LinearEncoderNewton { shape, ..Default::default() }.fit(&s.model, &s.x)?.model;
        let gap = newton.amortization_gap(&s.x)?;
        reached(g, s, &truth, shape, "affine encoder, Newton", &newton.encoder.encode(&s.x)?, DETERMINISTIC)?;
        let t = Tolerance::absolute(
            truth.allowed() + 1e-12,
            "the posterior mean is affine in x and the covariance constant: the gap is zero but for rounding",
        );
        let worst = gap.rows.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        g.bounded(format!("{}: amortization gap of an affine encoder, worst row", family(shape)), Source::E, worst, &t);
    }
    minibatches(g, s, &truth)
}

fn family(shape: Shape) -> &'static str {
    if shape == Shape::Diagonal { "mean field" } else { "full rank" }
}

/// log p(x) and the best ELBO over the first `rows` rows, nats a row.
pub(super) fn ends(truth: &Truth, shape: Shape, rows: usize) -> (Figure, Figure) {
    let evidence = truth.evidence_of(rows);
    let gap = if shape == Shape::Diagonal { truth.family_gap } else { 0.0 };
    let figure = |v| Figure::exact(v, truth.source, truth.allowed());
    (figure(evidence), figure(evidence - gap))
}

/// The headline of a q of all rows.
fn reached(g: &mut Group<'_>, s: &Setting, truth: &Truth, shape: Shape, engine: &str, q: &LocalGaussian, margin: f64) -> Outcome {
    let n = s.x.nrows();
    let (evidence, optimum) = ends(truth, shape, n);
    let elbo = local::elbo(&s.model, q, &s.x)? / n as f64;
    let figure = Figure::exact(elbo, Source::E, truth.allowed());
    let case = format!("{}, nats a row", g.case());
    g.headline(Headline::new(&case, family(shape), engine, evidence, optimum, figure), margin.max(4.0 * truth.allowed()));
    row_by_row(g, truth, shape, engine, q, OF_A_ROW)
}

/// What a deterministic engine may leave in the worst row, nats: a hundredth of what R3 allows for an ELBO is 1e-4 in the worst of
/// thousands of rows, a tenth of that here.
const OF_A_ROW: f64 = 1e-5;

/// Means, standard deviations and KL of a q beside the best of its family, row by row. A KL of δ beyond the best moves no mean by more
/// than √(2δ) and no log sd by more than √δ, in the units of that q.
pub(super) fn row_by_row(g: &mut Group<'_>, truth: &Truth, shape: Shape, engine: &str, q: &LocalGaussian, left: f64) -> Outcome {
    let name = format!("{}, {engine}", family(shape));
    let rows = q.mean().nrows();
    let variances = match shape {
        Shape::Diagonal => truth.precision.diag().mapv(|l| 1.0 / l),
        Shape::Full => truth.covariance.diag().to_owned(),
    };
    let sd = variances.mapv(f64::sqrt);
    let rounding = truth.tolerance.absolute;
    let best = truth.mean.slice_axis(Axis(0), Slice::from(..rows)).to_owned();
    let scale = Array2::from_shape_fn(best.dim(), |(_, i)| sd[i]);
    let t = Tolerance::relative((2.0 * left).sqrt() + rounding, format!("√(2δ) standard deviations for δ = {left:.0e} nats left in a row"));
    g.array_scaled(format!("{name}: means of {rows} rows"), truth.source, q.mean(), &best, &scale, &t);
    let ours = q.standard_deviations();
    let t = Tolerance::relative(1.5 * left.sqrt() + rounding, format!("1.5 √δ for δ = {left:.0e} nats left in a row"));
    g.array_scaled(format!("{name}: standard deviations of {rows} rows"), truth.source, &ours, &scale, &scale, &t);
    let some = rows.min(300);
    let kl = (0..some).map(|n| truth.kl(n, &q.mean().row(n).to_owned(), &q.covariance(n))).collect::<Result<Array1<f64>, _>>()?;
    let least = Array1::from_elem(some, if shape == Shape::Diagonal { truth.family_gap } else { 0.0 });
    let t = Tolerance::absolute(left + rounding, format!("KL(q ‖ p) of the best q, and {left:.0e} nats"));
    g.array(format!("{name}: KL(q ‖ p) of {some} rows"), truth.source, &kl, &least, &t);
    Ok(())
}

/// Sweeps over the latents of all rows, with the trace for the page.
fn coordinate_ascent(g: &mut Group<'_>, s: &Setting, truth: &Truth) -> Outcome {
    let fitted = CoordinateAscent::default().fit(&s.model, &s.x)?;
    crate::layers::shared::monotone(g, &fitted.trace, s.x.nrows() as f64, s.x.ncols());
    let (evidence, optimum) = ends(truth, Shape::Diagonal, s.x.nrows());
    g.exhibits.push(Exhibit::Elbo {
        case: format!("{}, mean field, coordinate ascent", g.case()),
        trace: fitted.trace.iter().enumerate().map(|(i, v)| ((i + 1) as f64, *v)).collect(),
        evidence: evidence.value,
        optimum: optimum.value,
    });
    reached(g, s, truth, Shape::Diagonal, "coordinate ascent", &fitted.model, DETERMINISTIC)
}

/// An encoder by minibatches of exact gradients: one affine map is right for all rows, so their noise ends with the error.
fn minibatches(g: &mut Group<'_>, s: &Setting, truth: &Truth) -> Outcome {
    let n = s.x.nrows();
    if g.quick && n > 1000 {
        return Ok(());
    }
    // as many steps whatever the table: the rows a step sees are what differs
    let steps = 2000;
    let batch = 64.min(n);
    let epochs = (steps * batch).div_ceil(n);
    for shape in [Shape::Diagonal, Shape::Full] {
        let config = AmortizedVi {
            encoder: EncoderConfig { shape, ..Default::default() },
            batch,
            stopping: Stopping { max_iterations: epochs, tolerance: 0.0 },
            ..Default::default()
        };
        let fitted = config.fit(&s.model, &s.x, g.seed(1))?;
        let trained = fitted.model;
        let q = trained.encoder.encode(&s.x)?;
        reached(g, s, truth, shape, "affine encoder, minibatches", &q, DETERMINISTIC)?;
        let refined = trained.refine(&s.x, 1)?;
        reached(g, s, truth, shape, "the same refined by one step", &refined, DETERMINISTIC)?;
    }
    Ok(())
}
