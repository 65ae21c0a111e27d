//! C5: factor analysis against reference cases: the maximum-likelihood optimum in what rotation leaves alone, and EM.

use super::shared::{covariance_scale, file_absolute, select_rows, standardised, trace_check};
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::oracle::{self, Lapack, gaussian, linear_gaussian::Factors};
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Outcome};
use lvm_core::fa::{FaMl, FactorAnalysis, Method, Start};
use lvm_core::fit::{Repair, RepairKind, Stopping};
use lvm_core::linalg;
use ndarray::{Array1, Array2};

/// The parameters as the oracle has them.
pub fn dense(model: &FactorAnalysis) -> Factors {
    let f = model.linear_gaussian();
    Factors { mean: f.mean().clone(), loadings: f.loadings().clone(), noise: f.noise().clone() }
}

/// The optimum: uniquenesses, ψ, W Wᵀ, log-likelihood, posterior; gradient zero by LAPACK; the same from the covariance matrix.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn optimum(g: &mut Group<'_>, case: &Case) -> Outcome {
    let x = case.table()?;
    let truth = case.get("truth")?;
    let q = case.get("model.factors")?.count()?;
    let n = x.nrows() as f64;
    let algorithm = FaMl { factors: q, ..Default::default() };
    let fitted = g.subject.fit_factors(&algorithm, &x, 0)?;
    let model = &fitted.model;
    let (_, scatter) = gaussian::moments(&x, None);
    let variance = scatter.diag().to_owned();

    let u = truth.get("uniquenesses")?.vector()?;
    let share = file_absolute(case, "uniquenesses_abs", 1e-4)?;
    let ours = g.subject.uniquenesses(model);
    g.array("uniquenesses", Source::E, &ours, &u, &share);
    g.exhibits.push(Exhibit::Pairs { case: case.id.clone(), what: "uniqueness".into(), ours: ours.to_vec(), truth: u.to_vec() });
    let of_variance = Tolerance::relative(share.absolute, format!("{}, of the column's variance", share.reason));
    g.array_scaled("psi", Source::E, model.noise_variances(), &truth.get("psi")?.vector()?, &variance, &of_variance);
    g.array("communalities", Source::E, &model.communalities(), &truth.get("communalities")?.vector()?, &share);
    let wwt = truth.get("WWt_correlation_scale")?.matrix()?;
    let f = dense(model);
    let on_correlation_scale = f.loadings.dot(&f.loadings.t()) / covariance_scale(&scatter);
    g.array("W Wᵀ on the correlation scale", Source::E, &on_correlation_scale, &wwt, &share);
    if let Some(node) = truth.find("eigenvalues_of_scaled_loadings") {
        let scaled = &f.loadings.t() / &f.noise;
        let (ours, _) = linalg::eigh(scaled.dot(&f.loadings).view())?;
        let smallest = u.iter().copied().fold(f64::INFINITY, f64::min);
        // Wᵀ Ψ⁻¹ W is first order in log ψ: a change of u by δ is one of log ψ by δ/u.
        let t = Tolerance::relative(
            2.0 * share.absolute / smallest,
            "2 · uniquenesses_abs / smallest uniqueness: first order in log ψ, relative to 1 + eigenvalue",
        );
        g.array_scaled("eigenvalues of Wᵀ Ψ⁻¹ W", Source::E, &ours, &node.vector()?, &node.vector()?.mapv(|v| 1.0 + v), &t);
    }
    likelihood(g, case, &x, &algorithm, model, fitted.objective() * n)?;
    posterior(g, case, &x, model, &share)?;

    let again = g.subject.fit_factors_to_covariance(&algorithm, scatter.view(), n)?;
    g.array("uniquenesses from the covariance matrix", Source::E, &g.subject.uniquenesses(&again.model), &u, &share);
    let proper = u.iter().all(|u| *u > 1e-4);
    let repairs = fitted.repairs.len();
    g.holds(
        "Heywood cases are reported, and only they",
        format!("{repairs} repairs"),
        if proper { "0 repairs" } else { "at least 1 repair" },
        (repairs == 0) == proper,
        "an improper solution is a fact the user must be told (statsmodels 4169)",
    );
    match Lapack::get() {
        None => g.not_run("gradient of the likelihood by LAPACK", oracle::ABSENT, oracle::ENABLE),
        Some(lapack) => gradient(g, lapack, &scatter, &f, &heywood(&fitted.repairs))?,
    }
    Ok(())
}

/// The variables a fit reports as improper.
pub fn heywood(repairs: &[Repair]) -> Vec<usize> {
    let variable = |r: &Repair| match r.kind {
        RepairKind::Heywood { variable, .. } => Some(variable),
        _ => None,
    };
    repairs.iter().filter_map(variable).collect()
}

/// The conditions of an optimum with ψ_j bounded below: ∂L/∂log ψ_j = 0 where ψ_j is free, ≤ 0 where it is held at the floor (the
/// likelihood would rise further), and ∂L/∂W = 0.
///
/// # Errors
/// If LAPACK refuses.
pub fn gradient(g: &mut Group<'_>, lapack: Lapack, scatter: &Array2<f64>, f: &Factors, held: &[usize]) -> Outcome {
    let (in_log_noise, in_loadings, _) = oracle::linear_gaussian::factor_gradient(lapack, scatter, f)?;
    let condition = gaussian::condition(lapack, &(f.covariance() / covariance_scale(scatter)))?;
    let d = scatter.nrows() as f64;
    let rounding = 64.0 * d * f64::EPSILON * condition;
    let reason = "the fit's gradient_tolerance 1e-9, and 64·D·ε·κ(C) of rounding in C⁻¹(S−C)C⁻¹";
    let t = Tolerance::absolute(1e-9 + rounding, reason);
    let free: Array1<f64> = in_log_noise.iter().enumerate().filter(|(j, _)| !held.contains(j)).map(|(_, v)| *v).collect();
    g.array("∂L/∂log ψ = 0 where ψ is free", Source::Q, &free, &Array1::zeros(free.len()), &t);
    if !held.is_empty() {
        let rise = held.iter().map(|&j| in_log_noise[j].max(0.0)).fold(0.0, f64::max);
        g.bounded("∂L/∂log ψ <= 0 where it is held (Heywood)", Source::Q, rise, &t);
        return Ok(());
    }
    // In units of √s_jj the derivative in W carries a factor up to the largest 1/u.
    let smallest = (&f.noise / &scatter.diag()).iter().copied().fold(f64::INFINITY, f64::min);
    let t = Tolerance::absolute((1e-9 + rounding) / smallest, format!("{reason}; divided by the smallest uniqueness"));
    g.array("∂L/∂W = 0", Source::Q, &in_loadings, &Array2::zeros(in_loadings.dim()), &t);
    Ok(())
}

fn likelihood(g: &mut Group<'_>, case: &Case, x: &Array2<f64>, algorithm: &FaMl, model: &FactorAnalysis, reported: f64) -> Outcome {
    let truth = case.get("truth")?;
    let n = x.nrows() as f64;
    let d = x.ncols();
    let t = file_absolute(case, "log_likelihood_abs", 1e-6)?;
    let total = truth.get("log_likelihood")?.number()?;
    let criteria = g.subject.factor_criteria(model, x)?;
    g.scalar("log-likelihood of the model", Source::E, criteria.log_likelihood, total, &t);
    g.scalar("log-likelihood reported by the fit", Source::E, reported, total, &t);
    g.scalar("sum of log p(x)", Source::E, g.subject.factor_evidence(model, x)?.sum(), total, &t);
    if let Some(count) = truth.find("n_covariance_parameters") {
        let expected = count.number()? + d as f64;
        g.scalar("free parameters, mean included", Source::E, criteria.n_parameters as f64, expected, &Tolerance::exact("a count"));
    }
    let z = standardised(x);
    let fitted = g.subject.fit_factors(algorithm, &z, 0)?;
    let standard = truth.get("log_likelihood_of_standardised_data")?.number()?;
    g.scalar("log-likelihood of standardised data", Source::E, fitted.objective() * n, standard, &t);
    if let (Some(node), Some(lapack)) = (truth.find("discrepancy_F"), Lapack::get()) {
        // F = log|C| − log|R| = −2 (log L − log L_saturated)/N
        let (_, correlation) = gaussian::moments(&z, None);
        let log_det = 2.0 * lapack.cholesky(&correlation)?.diag().iter().map(|v| v.ln()).sum::<f64>();
        let saturated = -0.5 * (d as f64 * gaussian::LOG_2PI + log_det + d as f64);
        let t = Tolerance::absolute(2.0 * t.absolute / n, "2/N of the file's tolerance on log L");
        g.scalar("discrepancy F", Source::E, 2.0 * (saturated - fitted.objective()), node.number()?, &t);
    }
    Ok(())
}

fn posterior(g: &mut Group<'_>, case: &Case, x: &Array2<f64>, model: &FactorAnalysis, share: &Tolerance) -> Outcome {
    let Some(truth) = case.find("truth.posterior") else { return Ok(()) };
    let rows = select_rows(&truth.get("rows_0based")?, x)?;
    let latents = g.subject.factor_posterior(model, &rows)?;
    let signal = truth.get("W_times_mean")?.matrix()?;
    let sd = gaussian::moments(x, None).1.diag().mapv(f64::sqrt);
    let scale = Array2::from_shape_fn(signal.dim(), |(_, j)| sd[j]);
    let smallest = g.subject.uniquenesses(model).iter().copied().fold(f64::INFINITY, f64::min);
    // E[z|x] weighs a standardised residual (a few units) by W/ψ: first order in log ψ.
    let t = Tolerance::relative(
        10.0 * share.absolute / smallest,
        "10 · uniquenesses_abs / smallest uniqueness, in sd of the column: residuals of a few sd, first order in log ψ",
    );
    g.array_scaled("W E[z|x]", Source::E, &latents.mean.dot(&model.loadings().t()), &signal, &scale, &t);
    let expected = truth.get("covariance_eigenvalues")?.vector()?;
    let (values, _) = linalg::eigh(latents.covariance.view())?;
    let ascending: Array1<f64> = values.iter().rev().copied().collect();
    g.array(
        "eigenvalues of Cov[z|x]",
        Source::E,
        &ascending,
        &expected,
        &Tolerance::absolute(2.0 * share.absolute / smallest, t.reason.clone()),
    );
    Ok(())
}

/// EM (Rubin & Thayer) on standardised data from the start in the file.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn em(g: &mut Group<'_>, case: &Case) -> Outcome {
    let node = case.get("em.start")?;
    if !node.text()?.starts_with("W0[j, j mod L] = 0.7, other entries 0, psi = 0.5") {
        return Err(node.problem("this version knows the start \"W0[j, j mod L] = 0.7, other entries 0, psi = 0.5\" only").into());
    }
    let x = standardised(&case.table()?);
    let (n, d) = x.dim();
    let q = case.get("model.factors")?.count()?;
    let trajectory = case.get("em.log_likelihood_first_20")?.vector()?;
    let w = Array2::from_shape_fn((d, q), |(j, k)| if j % q == k { 0.7 } else { 0.0 });
    let (mean, _) = gaussian::moments(&x, None);
    let algorithm = FaMl {
        factors: q,
        method: Method::Em,
        start: Start::Parameters(FactorAnalysis::new(mean, w, Array1::from_elem(d, 0.5))?),
        restarts: 1,
        stopping: Stopping { max_iterations: trajectory.len(), tolerance: 0.0 },
        ..Default::default()
    };
    let fitted = g.subject.fit_factors(&algorithm, &x, 0)?;
    let t = Tolerance::relative(1e-10, "one evaluation each (reference README): EM is a contraction, rounding does not grow");
    trace_check(g, &fitted.trace, n as f64, &trajectory, d, &t);
    Ok(())
}
