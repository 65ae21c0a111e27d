//! M2: a linear regression in other coordinates of β is the same posterior.

use super::Optima;
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Prior;
use crate::posterior::linear_regression::LinearRegression;
use crate::suite::{Group, Outcome, Problem};
use lvm_vi::deterministic::Shape;
use ndarray::{Array1, Array2};

/// Whether the case is a linear regression whose prior of β some recombination of columns leaves as it is.
pub(super) fn applies(case: &Case) -> bool {
    LinearRegression::recognise(case).is_ok_and(|m| m.is_some_and(|m| kind(&m).is_some()))
}

/// Flat priors allow any invertible recombination, equal normal priors around 0 any rotation.
enum Kind {
    Invertible,
    Rotation,
}

fn kind(model: &LinearRegression) -> Option<Kind> {
    let first = model.coefficients.first()?;
    if model.coefficients.iter().any(|p| p != first) {
        return None;
    }
    match first {
        Prior::Flat => Some(Kind::Invertible),
        Prior::Normal(mean, _) if *mean == 0.0 => Some(Kind::Rotation),
        _ => None,
    }
}

/// M2: with X A in the place of X the best full-rank q has an ELBO higher by −log|det A| and the same KL; with A diagonal so has the best
/// mean-field q, where priors are flat.
///
/// # Errors
/// If the case is no such regression or the library refuses.
pub(super) fn columns(g: &mut Group<'_>, case: &Case) -> Outcome {
    let Some(model) = LinearRegression::recognise(case)? else { return Err(Problem("no linear regression".into())) };
    let kind = kind(&model).ok_or_else(|| "priors of the coefficients differ".to_owned())?;
    let (p, evidence) = (model.x.ncols(), case.get("truth.log_evidence")?.number()?);
    let (a, log_det) = match kind {
        Kind::Invertible => {
            // unit triangular with scales on the diagonal
            let a = Array2::from_shape_fn((p, p), |(i, j)| {
                if i == j {
                    1.0 + 0.5 * j as f64
                } else if i < j {
                    0.3 / (1.0 + (j - i) as f64)
                } else {
                    0.0
                }
            });
            let log_det = a.diag().iter().map(|v: &f64| v.ln()).sum();
            (a, log_det)
        }
        Kind::Rotation => {
            // the reflection I − 2 v vᵀ/|v|²
            let v = Array1::from_shape_fn(p, |j| 1.0 + j as f64);
            let outer = Array2::from_shape_fn((p, p), |(i, j)| v[i] * v[j]);
            (Array2::eye(p) - outer * (2.0 / v.dot(&v)), 0.0)
        }
    };
    let t = Tolerance::absolute(1e-6, "VERIFY M2 asks for 1e-4; a deterministic engine meets 1e-6");
    let kl = |model: &LinearRegression, shape: Shape, log_det: f64| -> Result<f64, Problem> {
        // the evidence in the new coordinates is p(y)/|det A| where priors are flat
        Ok(evidence - log_det - Optima::new(model).get(shape)?.model.elbo)
    };
    let before = kl(&model, Shape::Full, 0.0)?;
    let recombined = LinearRegression { x: model.x.dot(&a), ..model.clone() };
    g.scalar("columns recombined: full-rank KL", Source::I, kl(&recombined, Shape::Full, log_det)?, before, &t);
    if let Some(truth) = case.find("vi_optimum.fullrank.kl_to_posterior") {
        g.scalar("columns recombined: full-rank KL of the file", Source::Q, kl(&recombined, Shape::Full, log_det)?, truth.number()?, &t);
    }
    if let Kind::Invertible = kind {
        let scaled = LinearRegression { x: &model.x * &a.diag(), ..model.clone() };
        let before = kl(&model, Shape::Diagonal, 0.0)?;
        g.scalar("columns rescaled: mean-field KL", Source::I, kl(&scaled, Shape::Diagonal, log_det)?, before, &t);
    }
    Ok(())
}
