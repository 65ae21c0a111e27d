//! O1: gradients by draws, on a few rows whose latents are one vector: the same optima as in closed form.

use super::engines::{ends, row_by_row};
use super::{Setting, Truth};
use crate::check::Source;
use crate::headline::{Figure, Headline};
use crate::suite::{Budget, Group, Outcome};
use lvm_core::fit::Status;
use lvm_vi::family::{Family, FullRank, MeanField};
use lvm_vi::fit::{Stopping, Vi};
use lvm_vi::local::{self, JointTarget, LocalGaussian, RowTarget, Shape};
use ndarray::{Array2, Axis};

/// The tolerance asked of the runs, in posterior standard deviations; a displacement of δ sds costs δ²/2 nats, and one of log s by δ costs δ².
const TOLERANCE: f64 = 0.02;

/// Mean field over the latents of some rows together, full rank over those of one row after the other: rows spread over the table.
///
/// # Errors
/// If the library refuses.
pub(super) fn few_rows(g: &mut Group<'_>, s: &Setting) -> Outcome {
    let latents = s.model.latents();
    let (rows, of_full) = match g.budget {
        Budget::Quick => (3, 1),
        Budget::Full => (20, 5),
        Budget::Nightly => (60, 60),
    };
    let every = s.x.nrows() / rows;
    let chosen: Vec<usize> = (0..rows).map(|i| i * every).collect();
    let some = s.x.select(Axis(0), &chosen);
    let truth = Truth::of(&s.model, &some)?;
    let stopping = Stopping { tolerance: TOLERANCE, ..Default::default() };
    let case = format!("{}, nats a row", g.case());
    // each of q latents: ½ δ² for its mean and δ² for its log s; doubled, since the tolerance is a 95 % interval
    let margin = 3.0 * TOLERANCE * TOLERANCE * latents as f64;

    let target = JointTarget::new(&s.model, &some)?;
    let fitted = Vi { stopping, ..Vi::new(MeanField::standard(rows * latents)?) }.fit(&target, g.seed(1))?;
    let table = |v: Vec<f64>| Array2::from_shape_vec((rows, latents), v).map_err(|e| e.to_string());
    let found = &fitted.model.q;
    let q = LocalGaussian::diagonal(table(found.mean().to_vec())?, table(found.standard_deviations().to_vec())?.view())?;
    headline(g, s, (&case, "stochastic, pathwise", margin), &truth, Shape::Diagonal, (&q, &some))?;
    // in the worst of many latents the 95 % statement is off by twice and more: four times its square
    row_by_row(g, &truth, Shape::Diagonal, "stochastic, pathwise", &q, 4.0 * margin)?;
    converged(g, "mean field", fitted.status);

    let some = some.select(Axis(0), &(0..of_full).collect::<Vec<_>>());
    let (mut means, mut factors, mut status) = (Array2::zeros((of_full, latents)), Vec::new(), Status::Converged);
    for n in 0..of_full {
        let target = RowTarget::new(&s.model, &some, n)?;
        let fitted = Vi { stopping, ..Vi::new(FullRank::standard(latents)?) }.fit(&target, g.seed(2 + n as u64))?;
        means.row_mut(n).assign(&fitted.model.q.mean());
        factors.push(fitted.model.q.factor());
        if fitted.status != Status::Converged {
            status = fitted.status;
        }
    }
    let q = LocalGaussian::full(means, factors)?;
    // ½ δ² for each of q(q + 1)/2 entries of the factor beside those of the means
    let margin = margin + TOLERANCE * TOLERANCE * (latents * latents) as f64 / 2.0;
    headline(g, s, (&case, "stochastic, pathwise", margin), &truth, Shape::Full, (&q, &some))?;
    row_by_row(g, &truth, Shape::Full, "stochastic, pathwise", &q, 4.0 * margin)?;
    converged(g, "full rank", status);
    Ok(())
}

fn headline(
    g: &mut Group<'_>,
    s: &Setting,
    (case, engine, margin): (&str, &str, f64),
    truth: &Truth,
    shape: Shape,
    (q, x): (&LocalGaussian, &Array2<f64>),
) -> Outcome {
    let rows = x.nrows();
    let (evidence, optimum) = ends(truth, shape, rows);
    let reached = Figure::exact(local::elbo(&s.model, q, x)? / rows as f64, Source::E, truth.allowed());
    let family = if shape == Shape::Diagonal { "mean field" } else { "full rank" };
    g.headline(Headline::new(case, family, engine, evidence, optimum, reached), margin);
    Ok(())
}

fn converged(g: &mut Group<'_>, name: &str, status: Status) {
    let reason = "a run that is close must also know it";
    g.holds(format!("{name}: says that it has converged"), format!("{status:?}"), "Converged", status == Status::Converged, reason);
}
