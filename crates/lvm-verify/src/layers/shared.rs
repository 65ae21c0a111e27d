//! What several layers need.

use crate::case::{Case, CaseError, Node};
use crate::check::{Source, Tolerance};
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Problem};
use lvm_core::linalg;
use lvm_core::ppca::Ppca;
use ndarray::{Array1, Array2, Axis};

/// The relative tolerance a case states for itself, or the README's figure.
///
/// # Errors
/// If the entry is there and not a number.
pub fn file_tolerance(case: &Case, key: &str, readme: f64) -> Result<Tolerance, CaseError> {
    Ok(match case.find(&format!("tolerance.{key}")) {
        Some(node) => Tolerance::relative(node.number()?, format!("the file's tolerance.{key}")),
        None => Tolerance::relative(readme, format!("reference README: relative {readme:e} where the file says nothing")),
    })
}

/// The same as an absolute tolerance.
///
/// # Errors
/// If the entry is there and not a number.
pub fn file_absolute(case: &Case, key: &str, otherwise: f64) -> Result<Tolerance, CaseError> {
    let t = file_tolerance(case, key, otherwise)?;
    Ok(Tolerance::absolute(t.relative, t.reason.replace("relative", "absolute")))
}

/// The rows of a table that a list of numbers from 0 names.
///
/// # Errors
/// If a row is not there.
pub fn select_rows(rows: &Node<'_>, x: &Array2<f64>) -> Result<Array2<f64>, CaseError> {
    let numbers = rows.counts()?;
    match numbers.iter().find(|&&r| r >= x.nrows()) {
        Some(r) => Err(rows.problem(format!("there is no row {r} in a table of {}", x.nrows()))),
        None => Ok(x.select(Axis(0), &numbers)),
    }
}

/// All D eigenvalues of W Wᵀ + σ² I, descending: those of WᵀW + σ², then σ².
///
/// # Errors
/// If the eigen-decomposition does not converge.
pub fn spectrum_of(model: &Ppca) -> Result<Array1<f64>, Problem> {
    let (d, q) = model.loadings().dim();
    let (values, _) = linalg::eigh(model.loadings().t().dot(model.loadings()).view())?;
    Ok(Array1::from_shape_fn(d, |i| model.noise_variance() + if i < q { values[i] } else { 0.0 }))
}

/// An EM trace (nats a row) beside a trajectory (nats in all), and its monotony.
pub fn trace_check(g: &mut Group<'_>, trace: &[f64], n: f64, trajectory: &Array1<f64>, d: usize, tolerance: &Tolerance) {
    let ours: Array1<f64> = trace.iter().map(|v| v * n).collect();
    g.array(format!("log-likelihood of {} iterations", trajectory.len()), Source::X, &ours, trajectory, tolerance);
    monotone(g, trace, n, d);
    g.exhibits.push(Exhibit::Trace { case: g.case().to_owned(), ours: ours.to_vec(), truth: trajectory.to_vec() });
}

/// The largest decrease of a trace (nats a row), which EM never makes but for rounding.
pub fn monotone(g: &mut Group<'_>, trace: &[f64], n: f64, d: usize) {
    let fall = trace.windows(2).map(|w| (w[0] - w[1]).max(0.0)).fold(0.0, f64::max);
    let size = trace.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let bound = Tolerance::absolute(
        4.0 * n * d as f64 * f64::EPSILON * size.max(1.0),
        "4·N·D·ε·|mean log-likelihood| (VERIFY C2): a smaller fall is rounding, not a decrease",
    );
    g.bounded("largest decrease of the trace", Source::I, fall, &bound);
}

/// 1/N standardised columns: (x − x̄)/s.
pub fn standardised(x: &Array2<f64>) -> Array2<f64> {
    let (mean, covariance) = crate::oracle::gaussian::moments(x, None);
    (x - &mean) / covariance.diag().mapv(f64::sqrt)
}

/// Entry (i, j) is √(a_ii a_jj): the scale on which an entry of a covariance is judged.
pub fn covariance_scale(a: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(a.dim(), |(i, j)| (a[[i, i]] * a[[j, j]]).sqrt())
}

/// [`monotone`], where monotony is promised: not where a component was repaired or a ridge changes the objective.
pub fn monotone_if(g: &mut Group<'_>, trace: &[f64], n: f64, d: usize, promised: bool) {
    if promised {
        monotone(g, trace, n, d);
    }
}
