//! C4: probabilistic PCA against reference cases: the closed-form optimum, posteriors, densities, EM, linear-VAE facts.

use super::shared::{file_tolerance, select_rows, spectrum_of, trace_check};
use crate::case::{Case, CaseError};
use crate::check::{Source, Tolerance};
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Outcome};
use lvm_core::fit::Stopping;
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl, Start};
use ndarray::{Array1, Array2};

/// The maximum-likelihood optimum: parameters, log-likelihood, posteriors, densities, criteria.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn optimum(g: &mut Group<'_>, case: &Case) -> Outcome {
    let x = case.table()?;
    let truth = case.get("truth")?;
    let q = case.get("model.latent")?.count()?;
    let (n, d) = x.dim();
    let fitted = g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, &x, 0)?;
    let model = fitted.model;

    let mean = truth.get("mean")?.vector()?;
    // Every term of the sum is at most max|x|; the mean of N terms carries N ε of that.
    let largest = x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    g.array("mean", Source::E, model.mean(), &mean, &Tolerance::rounding(n, largest));

    let sigma2 = truth.get("sigma2")?.number()?;
    let sigma2_tolerance = file_tolerance(case, "sigma2_relative", 1e-10)?;
    g.scalar("sigma2", Source::E, model.noise_variance(), sigma2, &sigma2_tolerance);

    let eigenvalues = truth.get("eigenvalues")?.vector()?;
    let ours = spectrum_of(&model)?;
    let leading = Array1::from_iter(eigenvalues.iter().take(q).copied());
    let bound = Tolerance::absolute(
        8.0 * (n + d) as f64 * f64::EPSILON * (eigenvalues[0] + largest * eigenvalues[0].sqrt()),
        "8·(N+D)·ε·(λ₁ + max|x|·√λ₁): rounding of centring and scatter, backward error of a symmetric eigensolver (Weyl)",
    );
    g.array("leading eigenvalues of W Wᵀ + σ² I", Source::E, &Array1::from_iter(ours.iter().take(q).copied()), &leading, &bound);
    g.exhibits.push(Exhibit::Spectrum { case: case.id.clone(), truth: eigenvalues.to_vec(), ours: ours.to_vec() });

    let w = truth.get("W")?.matrix()?;
    let wwt = match truth.find("WWt") {
        Some(node) => node.matrix()?,
        None => w.dot(&w.t()),
    };
    let projections = file_tolerance(case, "projections_relative", 1e-9)?;
    g.array_norm("W Wᵀ", Source::E, &model.loadings().dot(&model.loadings().t()), &wwt, &projections);

    let criteria = g.subject.ppca_criteria(&model, &x)?;
    let likelihood = file_tolerance(case, "log_likelihood_relative", 1e-12)?;
    let total = truth.get("log_likelihood")?.number()?;
    g.scalar("log-likelihood of the model", Source::E, criteria.log_likelihood, total, &likelihood);
    g.scalar(
        "mean log-likelihood reported by the fit",
        Source::E,
        fitted.trace[fitted.trace.len() - 1],
        truth.get("mean_log_likelihood")?.number()?,
        &likelihood,
    );
    g.scalar(
        "free parameters",
        Source::E,
        criteria.n_parameters as f64,
        truth.get("n_parameters")?.number()?,
        &Tolerance::exact("a count"),
    );
    if let Some(bic) = truth.find("bic") {
        // BIC is −2 log L plus an exact term.
        let t = Tolerance::absolute(
            2.0 * likelihood.allowed(total) + 4.0 * f64::EPSILON * bic.number()?.abs(),
            "twice the file's tolerance on log L, and rounding",
        );
        g.scalar("BIC", Source::E, g.subject.bic(&criteria), bic.number()?, &t);
    }
    posterior(g, case, &x, &model, &w, &projections)
}

/// What does not depend on the rotation of the latents: W E[z|x] and W Cov[z|x] Wᵀ; and the densities of single rows.
fn posterior(g: &mut Group<'_>, case: &Case, x: &Array2<f64>, model: &Ppca, w: &Array2<f64>, tolerance: &Tolerance) -> Outcome {
    let truth = case.get("truth.posterior")?;
    let rows = select_rows(&truth.get("rows_0based")?, x)?;
    let latents = g.subject.ppca_posterior(model, &rows)?;
    let signal = truth.get("mean")?.matrix()?.dot(&w.t());
    g.array_norm("W E[z|x]", Source::E, &latents.mean.dot(&model.loadings().t()), &signal, tolerance);
    let spread = w.dot(&truth.get("covariance")?.matrix()?).dot(&w.t());
    g.array_norm("W Cov[z|x] Wᵀ", Source::E, &model.loadings().dot(&latents.covariance).dot(&model.loadings().t()), &spread, tolerance);
    let densities = case.get("truth.log_density_rows")?.vector()?;
    let ours = g.subject.ppca_evidence(model, &rows)?;
    // log p = −½ (D log 2π + log|C| + quadratic form): first order in parameters that are good to the file's figure.
    let t = Tolerance::both(
        tolerance.relative * x.ncols() as f64,
        tolerance.relative,
        "first order in the parameters: the file's projections_relative times (D + |log p|)",
    );
    g.array("log p(x) of single rows", Source::E, &ours, &densities, &t);
    Ok(())
}

/// The start written in the file: "W0 = first 2 columns of the identity, sigma2 = 1.0; …".
fn start(case: &Case) -> Result<f64, CaseError> {
    let node = case.get("em.start")?;
    let text = node.text()?;
    let value = text.split("sigma2 = ").nth(1).and_then(|t| t.split([';', ',', ' ']).next()).and_then(|t| t.parse::<f64>().ok());
    match value {
        Some(v) if text.contains("columns of the identity") => Ok(v),
        _ => Err(node.problem("this version knows the start \"W0 = first q columns of the identity, sigma2 = …\" only")),
    }
}

/// EM from the start in the file: the trajectory, its monotony, its end.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn em(g: &mut Group<'_>, case: &Case) -> Outcome {
    let x = case.table()?;
    let (n, d) = x.dim();
    let q = case.get("model.latent")?.count()?;
    let trajectory = case.get("em.log_likelihood_first_20")?.vector()?;
    let sigma2 = start(case)?;
    let mean = x.mean_axis(ndarray::Axis(0)).ok_or_else(|| "the table is empty".to_owned())?;
    let w = Array2::from_shape_fn((d, q), |(i, k)| if i == k { 1.0 } else { 0.0 });
    let begin = Ppca::new(mean, w, sigma2)?;
    let fit = |g: &Group<'_>, iterations: usize| {
        let algorithm = PpcaEm {
            components: q,
            start: Start::Parameters(begin.clone()),
            restarts: 1,
            stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
            ..Default::default()
        };
        g.subject.fit_ppca_em(&algorithm, &x, 0)
    };
    let fitted = fit(g, trajectory.len())?;
    let t = Tolerance::relative(1e-10, "one evaluation each (reference README): EM is a contraction, rounding does not grow");
    trace_check(g, &fitted.trace, n as f64, &trajectory, d, &t);
    if let Some(run) = case.find("em.iterations_run") {
        let cap = if g.quick { 2000 } else { 20_000 };
        let iterations = run.count()?.min(cap);
        let last = fit(g, iterations)?.objective() * n as f64;
        if iterations == run.count()? {
            g.scalar(
                format!("log-likelihood after {iterations} iterations"),
                Source::E,
                last,
                case.get("em.log_likelihood_end")?.number()?,
                &t,
            );
        }
        let best = case.get("truth.log_likelihood")?.number()?;
        let above = (last - best).max(0.0);
        g.bounded("EM does not pass the maximum: excess", Source::E, above, &Tolerance::rounding(n * d, best));
    }
    Ok(())
}

/// The linear-VAE facts: with W's columns along the principal axes the diagonal encoder is exact; turned, it loses
/// (Σ log M_jj − log det M)/2 a row; columns collapse when their eigenvalue is below σ².
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn linear_vae(g: &mut Group<'_>, case: &Case) -> Outcome {
    let facts = case.get("linear_vae")?;
    let x = case.table()?;
    let q = case.get("model.latent")?.count()?;
    let model = g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, &x, 0)?.model;
    let gap = |w: &Array2<f64>| -> Result<f64, crate::suite::Problem> {
        let m = w.t().dot(w) + Array2::from_diag_elem(q, model.noise_variance());
        let (values, _) = lvm_core::linalg::eigh(m.view())?;
        Ok(0.5 * (m.diag().iter().map(|v| v.ln()).sum::<f64>() - values.iter().map(|v| v.ln()).sum::<f64>()))
    };
    let w = model.loadings().clone();
    let likelihood = g.subject.ppca_criteria(&model, &x)?.mean_log_likelihood();
    let t = file_tolerance(case, "projections_relative", 1e-9)?;
    let aligned = gap(&w)?;
    g.scalar("ELBO a row of the diagonal encoder", Source::E, likelihood - aligned, facts.get("elbo_per_row_at_optimum")?.number()?, &t);
    if let Some(angle) = facts.find("rotation_first_two_axes_radians").filter(|_| q >= 2) {
        let (sin, cos) = angle.number()?.sin_cos();
        let mut turned = w.clone();
        for i in 0..w.nrows() {
            // W R with R = [[cos, −sin], [sin, cos]] in the first two axes.
            turned[[i, 0]] = w[[i, 0]] * cos + w[[i, 1]] * sin;
            turned[[i, 1]] = -w[[i, 0]] * sin + w[[i, 1]] * cos;
        }
        g.scalar("ELBO gap after turning W", Source::E, gap(&turned)?, facts.get("elbo_gap_per_row_after_rotation")?.number()?, &t);
    }
    if let Some(counts) = facts.find("n_directions_above_sigma2_if_sigma2_fixed_at") {
        let all = PpcaMl { components: x.ncols() - 1, ..Default::default() };
        let ours = spectrum_of(&g.subject.fit_ppca(&all, &x, 0)?.model)?;
        for (at, expected) in counts.fields()? {
            let level = at.parse::<f64>().map_err(|_| counts.problem(format!("\"{at}\" is not a number")))?;
            let found = ours.iter().filter(|v| **v > level).count();
            g.scalar(
                format!("directions alive at sigma2 = {at}"),
                Source::E,
                found as f64,
                expected.number()?,
                &Tolerance::exact("a count"),
            );
        }
    }
    Ok(())
}
