//! C1 and C2: mixtures by EM against reference cases: the first iterations from given responsibilities, and the fixed point.

use super::shared::{covariance_scale, file_absolute, file_tolerance, select_rows, trace_check};
use crate::case::{Case, CaseError, Node};
use crate::check::{Source, Tolerance};
use crate::oracle::{
    self, Lapack,
    mixture::{Mixture, Shape},
};
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Outcome, Problem};
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::gmm::{CovarianceType, GaussianMixture, GmmEm, Start};
use ndarray::{Array1, Array2, Axis};

/// What a case of kind `gmm_em` asks for.
struct Setting {
    x: Array2<f64>,
    covariance: CovarianceType,
    components: usize,
    start: Array2<f64>,
    ridge: f64,
}

fn setting(case: &Case) -> Result<Setting, CaseError> {
    let x = case.table()?;
    let model = case.get("model")?;
    let kind = model.get("covariance_type")?;
    let covariance = match kind.text()? {
        "full" => CovarianceType::Full,
        "tied" => CovarianceType::Tied,
        "diag" => CovarianceType::Diagonal,
        "spherical" => CovarianceType::Spherical,
        other => return Err(kind.problem(format!("\"{other}\" is not one of full, tied, diag, spherical"))),
    };
    let components = model.get("components")?.count()?;
    let start = case.get("initial_responsibilities")?;
    let responsibilities = start.matrix()?;
    if responsibilities.dim() != (x.nrows(), components) {
        return Err(start.problem(format!("is {:?}, {} x {components} needed", responsibilities.dim(), x.nrows())));
    }
    let ridge = match model.find("regularisation") {
        None => 0.0,
        Some(node) if node.is_number() => node.number()?,
        Some(node) if node.text()?.starts_with("none") => 0.0,
        Some(node) => return Err(node.problem("neither a number nor \"none …\"")),
    };
    Ok(Setting { x, covariance, components, start: responsibilities, ridge })
}

impl Setting {
    fn algorithm(&self, iterations: usize) -> GmmEm {
        GmmEm {
            components: self.components,
            covariance: self.covariance,
            start: Start::Responsibilities(self.start.clone()),
            restarts: 1,
            stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
            ridge: self.ridge,
            ..Default::default()
        }
    }
}

/// A mixture as components with dense covariances, whatever its type.
pub fn dense(model: &GaussianMixture) -> Mixture {
    let (k, d) = model.means().dim();
    Mixture {
        weights: model.weights().clone(),
        means: model.means().rows().into_iter().map(|r| r.to_owned()).collect(),
        covariances: (0..k).map(|i| model.covariances().matrix(i, d).into_owned()).collect(),
    }
}

/// The oracle's name for a covariance type.
pub fn shape(covariance: CovarianceType) -> Shape {
    match covariance {
        CovarianceType::Full => Shape::Full,
        CovarianceType::Tied => Shape::Tied,
        CovarianceType::Diagonal => Shape::Diagonal,
        CovarianceType::Spherical => Shape::Spherical,
    }
}

/// The parameters a case states, with covariances as its type has them.
fn stated(node: &Node<'_>, s: &Setting) -> Result<Mixture, CaseError> {
    let (k, d) = (s.components, s.x.ncols());
    let (weights, means) = (node.get("weights")?, node.get("means")?);
    let (pi, mu) = (weights.vector()?, means.matrix()?);
    if pi.len() != k {
        return Err(weights.problem(format!("{} weights, {k} needed", pi.len())));
    }
    if mu.dim() != (k, d) {
        return Err(means.problem(format!("is {:?}, {k} x {d} needed", mu.dim())));
    }
    let node = node.get("covariances")?;
    let covariances: Vec<Array2<f64>> = match s.covariance {
        CovarianceType::Full => node.matrices()?.outer_iter().map(|m| m.to_owned()).collect(),
        CovarianceType::Tied => vec![node.matrix()?; k],
        CovarianceType::Diagonal => node.matrix()?.rows().into_iter().map(|r| Array2::from_diag(&r)).collect(),
        CovarianceType::Spherical => node.vector()?.iter().map(|v| Array2::from_diag_elem(d, *v)).collect(),
    };
    if covariances.len() != k || covariances.iter().any(|c| c.dim() != (d, d)) {
        return Err(node.problem(format!("does not hold {k} covariances of {d} x {d}")));
    }
    Ok(Mixture { weights: pi, means: mu.rows().into_iter().map(|r| r.to_owned()).collect(), covariances })
}

/// Weights, means and covariances, each on its own scale: a mean on that of its component's spread and its own size, a covariance on that
/// of its two variances.
fn parameters(g: &mut Group<'_>, when: &str, ours: &Mixture, truth: &Mixture, tolerance: &Tolerance) {
    g.array(format!("{when}: weights"), Source::X, &ours.weights, &truth.weights, tolerance);
    let rows = |m: &[Array1<f64>]| Array2::from_shape_fn((m.len(), m[0].len()), |(i, j)| m[i][j]);
    let spread = Array2::from_shape_fn((truth.means.len(), truth.means[0].len()), |(k, j)| {
        truth.means[k][j].abs() + truth.covariances[k][[j, j]].sqrt()
    });
    g.array_scaled(format!("{when}: means"), Source::X, &rows(&ours.means), &rows(&truth.means), &spread, tolerance);
    let stack = |v: Vec<&Array2<f64>>| ndarray::stack(Axis(0), &v.iter().map(|m| m.view()).collect::<Vec<_>>());
    let scales: Vec<Array2<f64>> = truth.covariances.iter().map(covariance_scale).collect();
    match (stack(ours.covariances.iter().collect()), stack(truth.covariances.iter().collect()), stack(scales.iter().collect())) {
        (Ok(a), Ok(b), Ok(s)) => g.array_scaled(format!("{when}: covariances"), Source::X, &a, &b, &s, tolerance),
        _ => g.failed(format!("{when}: covariances"), "components of different dimension"),
    }
}

/// C1: the trajectory from the given responsibilities, and the parameters at the iterations the case names.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn trajectory(g: &mut Group<'_>, case: &Case) -> Outcome {
    let s = setting(case)?;
    let trajectory = case.get("log_likelihood_first_20")?.vector()?;
    let fitted = g.subject.fit_mixture(&s.algorithm(trajectory.len()), &s.x, 0)?;
    let t = file_tolerance(case, "trajectory_relative", 1e-10)?;
    trace_check(g, &fitted.trace, s.x.nrows() as f64, &trajectory, s.x.ncols(), &t);
    let t = file_tolerance(case, "parameters_relative", 1e-6)?;
    let mut stops = Vec::new();
    for (at, node) in case.get("parameters_at_iteration")?.fields()? {
        stops.push((at.parse::<usize>().map_err(|_| node.problem("is not named by a number of iterations"))?, node));
    }
    stops.sort_by_key(|s| s.0);
    for (iterations, node) in stops {
        let model = g.subject.fit_mixture(&s.algorithm(iterations), &s.x, 0)?.model;
        parameters(g, &format!("iteration {iterations}"), &dense(&model), &stated(&node, &s)?, &t);
    }
    let repairs = fitted.repairs.len();
    g.holds(
        "regular data is not repaired",
        format!("{repairs} repairs"),
        "0 repairs",
        repairs == 0,
        "the floor acts only where a component needs it",
    );
    Ok(())
}

/// C2: the fixed point: log-likelihood, criteria, parameters, responsibilities and densities of single rows.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn fixed_point(g: &mut Group<'_>, case: &Case) -> Outcome {
    let s = setting(case)?;
    let n = s.x.nrows() as f64;
    let truth = case.get("converged")?;
    let needed = truth.find("iterations_to_machine_precision").map_or(Ok(2000), |c| c.count())?.max(20);
    let fitted = g.subject.fit_mixture(&s.algorithm(needed.min(200_000)), &s.x, 0)?;
    let model = &fitted.model;
    super::shared::monotone(g, &fitted.trace, n, s.x.ncols());

    let likelihood = file_absolute(case, "converged_log_likelihood_abs", 1e-8)?;
    let criteria = g.subject.mixture_criteria(model, &s.x)?;
    g.scalar("log-likelihood", Source::X, criteria.log_likelihood, truth.get("log_likelihood")?.number()?, &likelihood);
    g.scalar("N · last entry of the trace", Source::X, fitted.objective() * n, truth.get("log_likelihood")?.number()?, &likelihood);
    g.scalar(
        "free parameters",
        Source::E,
        criteria.n_parameters as f64,
        truth.get("n_parameters")?.number()?,
        &Tolerance::exact("a count"),
    );
    let twice = Tolerance::absolute(2.0 * likelihood.absolute, "twice the tolerance of the log-likelihood");
    g.scalar("BIC = -2 log L + p log N", Source::X, g.subject.bic(&criteria), truth.get("bic")?.number()?, &twice);
    g.scalar("AIC", Source::X, g.subject.aic(&criteria), truth.get("aic")?.number()?, &twice);
    let t = file_tolerance(case, "parameters_relative", 1e-6)?;
    if let Some(icl) = truth.find("bic_plus_2_entropy") {
        let reason = "2 N times the file's parameters_relative: the entropy is first order in the responsibilities";
        let t = Tolerance::absolute(twice.absolute + 2.0 * n * t.relative, reason);
        g.scalar("ICL = BIC + 2 entropy", Source::X, g.subject.icl(model, &s.x)?, icl.number()?, &t);
    }
    let expected = stated(&truth, &s)?;
    parameters(g, "fixed point", &dense(model), &expected, &t);
    rows(g, &truth, &s, model, &t)?;
    stationary(g, &s, &fitted)?;
    if s.x.ncols() == 2 {
        exhibit(g, case, &s, model, &expected)?;
    }
    Ok(())
}

fn rows(g: &mut Group<'_>, truth: &Node<'_>, s: &Setting, model: &GaussianMixture, parameters: &Tolerance) -> Outcome {
    let Some(per_row) = truth.find("per_row") else { return Ok(()) };
    let x = select_rows(&per_row.get("rows_0based")?, &s.x)?;
    let density = per_row.get("log_density")?.vector()?;
    let d = s.x.ncols() as f64;
    // A quadratic form of size m moves by m times the relative change of the precision; 2|log p| + D bounds it up to constants.
    let t = Tolerance::both(
        d * parameters.relative,
        2.0 * parameters.relative,
        "first order in the parameters: parameters_relative times (D + 2|log p|)",
    );
    g.array("log p(x) of single rows", Source::X, &g.subject.mixture_evidence(model, &x)?, &density, &t);
    let r = per_row.get("responsibilities")?.matrix()?;
    let largest = density.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let t = Tolerance::absolute(
        parameters.relative * (d + 2.0 * largest),
        "a responsibility moves by at most the change of a log density (its slope is γ(1−γ) ≤ 1/4)",
    );
    g.array("responsibilities of single rows", Source::X, &g.subject.responsibilities(model, &x)?, &r, &t);
    Ok(())
}

/// One textbook EM step on LAPACK responsibilities does not move the fixed point, and all densities agree with dense LAPACK ones.
fn stationary(g: &mut Group<'_>, s: &Setting, fitted: &Fitted<GaussianMixture>) -> Outcome {
    match Lapack::get() {
        None => g.not_run("densities of all rows, and stationarity, by LAPACK", oracle::ABSENT, oracle::ENABLE),
        Some(lapack) => {
            against_lapack(g, lapack, &fitted.model, &s.x)?;
            let mixture = dense(&fitted.model);
            let r = mixture.responsibilities(lapack, &s.x)?;
            let again = oracle::mixture::m_step(&s.x, &r, None, shape(s.covariance));
            let t =
                Tolerance::relative(1e-6, "README: 1e-6 for a fixed point; a step of EM from there moves by less than the distance to it");
            parameters(g, "one textbook EM step later", &again, &mixture, &t);
        }
    }
    Ok(())
}

/// Densities and responsibilities of all rows against dense LAPACK ones at the same parameters.
///
/// # Errors
/// If the library or LAPACK refuses.
pub fn against_lapack(g: &mut Group<'_>, lapack: Lapack, model: &GaussianMixture, x: &Array2<f64>) -> Outcome {
    let mixture = dense(model);
    let truth = mixture.log_density(lapack, x)?;
    let worst = worst_condition(lapack, &mixture)?;
    let d = x.ncols() as f64;
    // The quadratic form of the nearest component is at most about 2|log p| + D log 2π + |log|Σ||.
    let log_det = mixture.covariances.iter().map(|c| c.diag().iter().map(|v| v.ln().abs()).sum::<f64>()).fold(0.0, f64::max);
    let unit = 8.0 * d * f64::EPSILON * worst;
    let t = Tolerance::both(
        unit * (4.0 * d + log_det),
        2.0 * unit,
        format!("8·D·ε·κ·(2|log p| + 4D + Σ|log σ²|): backward error of Cholesky and LU solves, κ = {worst:.1e}"),
    );
    g.array("log p(x) of all rows, dense LAPACK", Source::Q, &g.subject.mixture_evidence(model, x)?, &truth, &t);
    let r = mixture.responsibilities(lapack, x)?;
    let joint = mixture.log_joint(lapack, x)?;
    // A responsibility's error is its log's error times γ(1−γ); log joints of far components are large but their γ is zero.
    let size = Array2::from_shape_fn(r.dim(), |(n, k)| r[[n, k]].sqrt() * joint[[n, k]].abs());
    let largest = size.iter().copied().fold(0.0, f64::max);
    let t = Tolerance::absolute(t.allowed(largest), "γ times the error of its log density (the bound above at the largest √γ·|log joint|)");
    g.array("responsibilities of all rows, dense LAPACK", Source::Q, &g.subject.responsibilities(model, x)?, &r, &t);
    Ok(())
}

/// The largest condition number of a component's correlation-scaled covariance: scaling of columns costs nothing.
///
/// # Errors
/// If LAPACK does not converge.
pub fn worst_condition(lapack: Lapack, mixture: &Mixture) -> Result<f64, Problem> {
    let mut worst = 1.0_f64;
    for c in &mixture.covariances {
        worst = worst.max(oracle::gaussian::condition(lapack, &(c / &covariance_scale(c)))?);
    }
    Ok(worst)
}

fn exhibit(g: &mut Group<'_>, case: &Case, s: &Setting, model: &GaussianMixture, truth: &Mixture) -> Outcome {
    let names = case.find("data.columns").map_or(Ok(vec!["x1".to_owned(), "x2".to_owned()]), |c| c.texts())?;
    let pairs = |m: &Mixture| m.means.iter().cloned().zip(m.covariances.iter().cloned()).collect();
    if let [a, b] = &names[..] {
        g.exhibits.push(Exhibit::Mixture {
            case: case.id.clone(),
            columns: [a.clone(), b.clone()],
            x: s.x.clone(),
            components: pairs(&dense(model)),
            truth: pairs(truth),
            first: g.subject.responsibilities(model, &s.x)?.column(0).to_owned(),
        });
    }
    Ok(())
}
