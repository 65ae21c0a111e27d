//! C6: coordinate ascent where every step is known: on a Gaussian it is Gauss-Seidel, and for the normal-gamma model its end is in closed form.

use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::layers::shared::file_tolerance;
use crate::report::exhibit::Exhibit;
use crate::suite::{Group, Outcome};
use lvm_core::dist::Gamma;
use lvm_vi::cavi::gaussian_target::GaussianTarget;
use lvm_vi::cavi::linear_regression::{BayesianLinearRegression, Noise};
use ndarray::{Array1, Array2};

/// Kind `gaussian_target`: means and ELBO after each sweep, the end, and the rate of the last sweeps.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn gaussian(g: &mut Group<'_>, case: &Case) -> Outcome {
    let target = GaussianTarget::new(case.get("target.mean")?.vector()?, case.get("target.precision")?.matrix()?)?;
    let t = file_tolerance(case, "deterministic_relative", 1e-10)?;
    let sweeps = case.get("cavi.iterations_first_20")?.list()?;
    let found = target.ascend(Array1::zeros(target.dim()), sweeps.len())?;
    let sd = case.get("meanfield_optimum.variances")?.vector()?.mapv(f64::sqrt);
    let (mut ours, mut theirs, mut scale) = (Vec::new(), Vec::new(), Vec::new());
    let (mut elbo, mut truth) = (Vec::new(), Vec::new());
    for (q, sweep) in found.iter().zip(&sweeps) {
        ours.extend(q.mean.iter().copied());
        theirs.extend(sweep.get("mean")?.vector()?);
        scale.extend(sd.iter().copied());
        if let Some(value) = sweep.find("elbo") {
            elbo.push(q.elbo);
            truth.push(value.number()?);
        }
    }
    let of_sd = Tolerance::relative(t.relative, format!("{}, of a standard deviation", t.reason));
    g.array_scaled(
        format!("means after each of {} sweeps", sweeps.len()),
        Source::E,
        &Array1::from(ours),
        &Array1::from(theirs),
        &Array1::from(scale),
        &of_sd,
    );
    if !truth.is_empty() {
        // the ELBO is a difference of terms of order d
        let t = Tolerance::both(t.relative * target.dim() as f64, t.relative, format!("{}, of d + |ELBO|", t.reason));
        g.array("ELBO after each sweep", Source::E, &Array1::from(elbo.clone()), &Array1::from(truth), &t);
    }
    let rate = case.get("cavi.asymptotic_rate_spectral_radius")?.number()?;
    let t = Tolerance::relative(1e-6, "by repeated squaring: a relative error of about 1e-8 by its documentation");
    g.scalar("rate: spectral radius of Gauss-Seidel", Source::E, target.rate(), rate, &t);
    // The distance to the optimum shrinks by the rate a sweep once the other directions have died out: sweeps until it is 1e-5 of the first.
    let long = (1e-5_f64.ln() / rate.ln()).ceil() as usize;
    let late = target.ascend(Array1::zeros(target.dim()), long + 5)?;
    let optimum = target.optimum();
    let away = |i: usize| (&late[i].mean - &optimum.mean).mapv(|v| v * v).sum().sqrt();
    let observed = (away(long + 4) / away(long - 1)).powf(0.2);
    g.scalar("rate observed over five late sweeps", Source::E, observed, rate, &Tolerance::relative(0.01, "VERIFY C6: 1 %"));
    let falls = late.windows(2).map(|w| (w[0].elbo - w[1].elbo).max(0.0)).fold(0.0, f64::max);
    let size = late.iter().map(|q| q.elbo.abs()).fold(1.0, f64::max);
    g.bounded("largest decrease of the ELBO", Source::I, falls, &Tolerance::rounding(target.dim() * target.dim(), size));
    let best = case.get("meanfield_optimum.elbo")?.number()?;
    let exact = |v| Figure::exact(v, Source::E, 1e-10);
    let reached = late[late.len() - 1].elbo;
    g.headline(Headline::new(&case.id, "mean field", "coordinate ascent", exact(0.0), exact(best), exact(reached)), 1e-3);
    g.exhibits.push(Exhibit::Elbo {
        case: format!("{}, coordinate ascent", case.id),
        trace: late.iter().enumerate().map(|(i, q)| ((i + 1) as f64, q.elbo)).collect(),
        evidence: 0.0,
        optimum: best,
    });
    Ok(())
}

/// Kind `conjugate`, its normal-gamma part, as a regression on a column of ones: the library's coordinate ascent for regressions must give
/// what the closed form for one mean gives.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn normal_gamma(g: &mut Group<'_>, case: &Case) -> Outcome {
    let list = case.get("cases")?.list()?;
    let Some(c) = list.iter().find(|c| c.find("mean_field").is_some() && c.find("cavi").is_some()) else {
        g.holds("a normal-gamma part", "none in this file", "none needed", true, "only some files have one");
        return Ok(());
    };
    let number = |path: &str| c.get(path)?.number();
    let y = c.get("data")?.vector()?;
    let ones: Array2<f64> = Array2::ones((y.len(), 1));
    let precision = Gamma::new(number("prior.shape")?, number("prior.rate")?)?;
    let regression = BayesianLinearRegression {
        mean: Array1::from_elem(1, number("prior.mean")?),
        precision: Array2::from_elem((1, 1), number("prior.lam")?),
        noise: Noise::Conjugate { precision },
    };
    let t = Tolerance::relative(1e-12, "VERIFY C7: closed forms of a few dozen roundings");
    let evidence = regression.exact(&ones, y.view())?.log_evidence;
    g.scalar("regression on ones: log evidence", Source::E, evidence, number("exact.log_evidence")?, &t);
    let run = regression.mean_field(&ones, y.view(), 60)?;
    let Some(last) = run.last() else { return Ok(()) };
    let (a0, b0, n) = (precision.shape(), precision.rate(), y.len() as f64);
    // a_N = a₀ + (n + 1)/2,   b_N = (b₀ + C/2)/(1 − 1/(2 a_N)),   C = Σ (x − m_N)² + λ₀ (m_N − m₀)²
    let (lambda, m0) = (number("prior.lam")?, number("prior.mean")?);
    let m = (lambda * m0 + y.sum()) / (lambda + n);
    let squares = y.iter().map(|v| (v - m).powi(2)).sum::<f64>() + lambda * (m - m0).powi(2);
    let a = a0 + 0.5 * (n + 1.0);
    let b = (b0 + 0.5 * squares) / (1.0 - 0.5 / a);
    let Some(tau) = last.noise else { return Ok(()) };
    let fixed = "the fixed point of coordinate ascent in closed form";
    g.scalar("q(τ): shape", Source::E, tau.shape(), a, &t);
    g.scalar("q(τ): rate, the fixed point", Source::E, tau.rate(), b, &Tolerance::relative(1e-12, fixed));
    g.scalar("q(μ): mean", Source::E, last.mean[0], number("mean_field.q_mu_mean")?, &t);
    g.scalar("q(μ): sd", Source::E, last.covariance[[0, 0]].sqrt(), number("mean_field.q_mu_sd")?, &t);
    let (optimum, best) = (number("mean_field.elbo")?, number("exact.log_evidence")?);
    g.scalar("ELBO at the fixed point", Source::E, last.elbo, optimum, &t);
    let falls = run.windows(2).map(|w| (w[0].elbo - w[1].elbo).max(0.0)).fold(0.0, f64::max);
    g.bounded("largest decrease of the ELBO", Source::I, falls, &Tolerance::rounding(y.len(), optimum));
    // near its end the error of b shrinks by 1/(2 a_N) an iteration
    let error = |i: usize| run[i].noise.map_or(f64::NAN, |g| (g.rate() - b).abs());
    g.scalar(
        "rate: the error of b_N shrinks by 1/(2 a_N)",
        Source::E,
        error(2) / error(1),
        0.5 / a,
        &Tolerance::relative(1e-6, "b ↦ b₀ + C/2 + b/(2 a_N) is affine; the error after three iterations is still 1e-6 of b"),
    );
    let exact = |v: f64| Figure::exact(v, Source::E, 1e-12 * v.abs());
    let headline = Headline::new(
        &format!("{}, normal-gamma", case.id),
        "q(μ) q(τ)",
        "coordinate ascent",
        exact(best),
        exact(optimum),
        exact(last.elbo),
    );
    g.headline(headline, 1e-6);
    Ok(())
}
