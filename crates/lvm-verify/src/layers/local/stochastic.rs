//! O1: gradients by draws, on a few rows whose latents are one vector: the same optima as in closed form.

use super::Setting;
use super::engines::ends;
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

/// Mean field over the latents of some rows together, full rank over those of the first row.
///
/// # Errors
/// If the library refuses.
pub(super) fn few_rows(g: &mut Group<'_>, s: &Setting) -> Outcome {
    let truth = s.truth()?;
    let latents = s.model.latents();
    let rows = if g.budget == Budget::Quick { 1 } else { 5 };
    let some = s.x.select(Axis(0), &(0..rows).collect::<Vec<_>>());
    let stopping = Stopping { tolerance: TOLERANCE, ..Default::default() };
    let case = format!("{}, nats a row", g.case());
    // each of q latents: ½ δ² for its mean and δ² for its log s; doubled, since the tolerance is a 95 % interval
    let margin = 3.0 * TOLERANCE * TOLERANCE * latents as f64;

    let target = JointTarget::new(&s.model, &some)?;
    let fitted = Vi { stopping, ..Vi::new(MeanField::standard(rows * latents)?) }.fit(&target, g.seed(1))?;
    let table = |v: Vec<f64>| Array2::from_shape_vec((rows, latents), v).map_err(|e| e.to_string());
    let found = &fitted.model.q;
    let q = LocalGaussian::diagonal(table(found.mean().to_vec())?, table(found.standard_deviations().to_vec())?.view())?;
    let (evidence, optimum) = ends(&truth, Shape::Diagonal, rows);
    let reached = Figure::exact(local::elbo(&s.model, &q, &some)? / rows as f64, Source::E, truth.allowed());
    g.headline(Headline::new(&case, "mean field", "stochastic, pathwise", evidence, optimum, reached), margin);
    converged(g, "mean field", fitted.status);

    let one = s.x.select(Axis(0), &[0]);
    let target = RowTarget::new(&s.model, &one, 0)?;
    let fitted = Vi { stopping, ..Vi::new(FullRank::standard(latents)?) }.fit(&target, g.seed(2))?;
    let found = &fitted.model.q;
    let mean = Array2::from_shape_vec((1, latents), found.mean().to_vec()).map_err(|e| e.to_string())?;
    let q = LocalGaussian::full(mean, vec![found.factor()])?;
    let (evidence, optimum) = ends(&truth, Shape::Full, 1);
    let reached = Figure::exact(local::elbo(&s.model, &q, &one)?, Source::E, truth.allowed());
    // ½ δ² for each of q(q + 1)/2 entries of the factor beside those of the means
    let margin = margin + TOLERANCE * TOLERANCE * (latents * latents) as f64 / 2.0;
    g.headline(Headline::new(&case, "full rank", "stochastic, pathwise", evidence, optimum, reached), margin);
    converged(g, "full rank", fitted.status);
    Ok(())
}

fn converged(g: &mut Group<'_>, name: &str, status: Status) {
    let reason = "a run that is close must also know it";
    g.holds(format!("{name}: says that it has converged"), format!("{status:?}"), "Converged", status == Status::Converged, reason);
}
