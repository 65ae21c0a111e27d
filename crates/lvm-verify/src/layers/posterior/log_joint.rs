//! L1 and L2: log joint and gradient at the points of the file.

use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::layers::shared::file_tolerance;
use crate::posterior::Posterior;
use crate::suite::{Group, Outcome, Problem};
use lvm_vi::target::TargetError;
use ndarray::{Array1, Array2};

impl From<TargetError> for Problem {
    fn from(e: TargetError) -> Self {
        Problem(format!("the model can't be evaluated: {e}"))
    }
}

/// Points (K, d), values (K) and gradients (K, d).
type Points = (Array2<f64>, Array1<f64>, Array2<f64>);

/// The points of a case.
fn points(case: &Case) -> Result<Points, Problem> {
    let checks = case.get("log_joint_checks")?.list()?;
    let rows = |name: &str| -> Result<Array2<f64>, Problem> {
        let rows = checks.iter().map(|c| c.get(name)?.vector()).collect::<Result<Vec<_>, _>>()?;
        let d = rows.first().map_or(0, Array1::len);
        let numbers: Vec<f64> = rows.iter().flat_map(|r| r.iter().copied()).collect();
        Array2::from_shape_vec((rows.len(), d), numbers).map_err(|e| Problem(format!("log_joint_checks: {name}: {e}")))
    };
    let values = checks.iter().map(|c| c.get("log_joint")?.number()).collect::<Result<_, _>>()?;
    let (u, gradients) = (rows("u")?, rows("gradient")?);
    if u.dim() != gradients.dim() {
        return Err(Problem("log_joint_checks: u and gradient differ in length".into()));
    }
    Ok((u, values, gradients))
}

fn slice(row: ndarray::ArrayView1<'_, f64>) -> Vec<f64> {
    row.to_vec()
}

/// L1: values.
///
/// # Errors
/// If the case lacks a field or the model can't be evaluated.
pub(super) fn values(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let (u, truth, _) = points(case)?;
    if u.ncols() != model.dim() {
        return Err(Problem(format!("the points have {} numbers, the model {}", u.ncols(), model.dim())));
    }
    let value = |row: ndarray::ArrayView1<'_, f64>| model.log_density(&slice(row));
    let ours: Array1<f64> = u.rows().into_iter().map(value).collect::<Result<_, _>>()?;
    g.array(format!("{}: log joint", model.form()), Source::E, &ours, &truth, &file_tolerance(case, "log_joint_relative", 1e-10)?);
    let Ok(expectation) = model.expectation() else { return Ok(()) };
    let terms: Array1<f64> = u.rows().into_iter().map(|row| expectation.log_density(&slice(row))).collect::<Result<_, _>>()?;
    // sums of squares multiplied out lose digits where the residuals are small beside the data
    let t = Tolerance::both(1e-8, 1e-10, "1e-10 relative; 1e-8 nats for squares multiplied out, a hundredth of what O1 asks of the ELBO");
    g.array("log joint as terms of known expectations", Source::E, &terms, &truth, &t);
    Ok(())
}

/// L2: gradients, against the file and against differences of values.
///
/// # Errors
/// If the case lacks a field or the model can't be evaluated.
pub(super) fn gradients(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let (u, _, truth) = points(case)?;
    let sd = case.get("truth.unconstrained.sd")?.vector()?;
    if u.ncols() != model.dim() || sd.len() != model.dim() {
        return Err(Problem(format!("the points have {} numbers, the model {}", u.ncols(), model.dim())));
    }
    let mut ours = Array2::zeros(u.dim());
    let (mut value, mut alone) = (Vec::new(), Vec::new());
    for (row, mut out) in u.rows().into_iter().zip(ours.rows_mut()) {
        let mut gradient = vec![f64::NAN; model.dim()];
        value.push(model.log_density_grad(&slice(row), &mut gradient)?);
        alone.push(model.log_density(&slice(row))?);
        out.assign(&Array1::from(gradient));
    }
    // the unit of a gradient: what changes log p by 1 over one posterior standard deviation
    let scale = Array2::from_shape_fn(truth.dim(), |(k, j)| truth[[k, j]].abs().max(1.0 / sd[j]));
    let file = file_tolerance(case, "gradient_relative", 1e-9)?;
    let file = Tolerance::relative(file.relative, format!("{}, of the larger of the entry and 1/(posterior sd)", file.reason));
    g.array_scaled("gradient", Source::E, &ours, &truth, &scale, &file);
    let differences = Array2::from_shape_fn(u.dim(), |(k, j)| richardson(model, &slice(u.row(k)), j, 0.1 * sd[j]));
    let t = Tolerance::relative(1e-6, "VERIFY L2: 1e-6 for differences, of the larger of the entry and 1/(posterior sd)");
    g.array_scaled("gradient against differences of the values", Source::I, &ours, &differences, &scale, &t);
    let t = Tolerance::relative(1e-12, "the same sums, perhaps in another order");
    g.array("value with and without its gradient", Source::I, &Array1::from(value), &Array1::from(alone), &t);
    Ok(())
}

/// Central differences with steps h, h/2 and h/4, extrapolated twice: the error is O(h⁶).
fn richardson(model: &dyn Posterior, u: &[f64], j: usize, h: f64) -> f64 {
    let difference = |h: f64| {
        let at = |step: f64| {
            let mut u = u.to_vec();
            u[j] += step;
            model.log_density(&u).unwrap_or(f64::NAN)
        };
        (at(h) - at(-h)) / (2.0 * h)
    };
    let [a, b, c] = [h, 0.5 * h, 0.25 * h].map(difference);
    let (ab, bc) = (b + (b - a) / 3.0, c + (c - b) / 3.0);
    bc + (bc - ab) / 15.0
}
