//! N2 and N3: cancellation, ill-conditioning, far tails, exact least squares.

use crate::case::{Case, Node};
use crate::check::{Source, Tolerance};
use crate::oracle::gaussian::LOG_2PI;
use crate::suite::{Group, Outcome, Problem};
use lvm_core::gmm::{Covariances, GaussianMixture};
use lvm_core::moments::moments;
use lvm_core::regression::least_squares;
use ndarray::{Array1, Array2, Axis, Slice};

pub use super::special::special;

/// N2, kind `numerics`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn torture(g: &mut Group<'_>, case: &Case) -> Outcome {
    for (i, c) in case.get("cases")?.list()?.iter().enumerate() {
        let relative = Tolerance::relative(c.get("tolerance_relative")?.number()?, "the file's tolerance_relative");
        match c.get("name")?.text()? {
            "mean_variance_with_offset" => offset(g, i, c, &relative)?,
            "mvn_log_density_ill_conditioned" => {
                let found = super::special::multivariate_normal(c)?.log_prob(c.get("x")?.vector()?.view())?;
                let condition = c.find("condition_number").map_or(Ok(f64::NAN), |n| n.number())?;
                let quantity = format!("[{i}] log density at condition {condition:.1e}");
                g.scalar(quantity, Source::E, found, c.get("log_density")?.number()?, &relative);
            }
            "gmm_far_tail_responsibilities" => far_tail(g, i, c, &relative)?,
            other => g.failed(format!("numerics: {other}"), "this version knows no such quantity: it was not tested"),
        }
    }
    Ok(())
}

/// Mean and variance of a column far from zero.
fn offset(g: &mut Group<'_>, i: usize, c: &Node<'_>, relative: &Tolerance) -> Outcome {
    let x = c.get("x")?.vector()?;
    let n = x.len() as f64;
    let found = moments(&x.insert_axis(Axis(1)))?;
    let variance = found.covariance[[0, 0]];
    g.scalar(format!("[{i}] mean with an offset"), Source::E, found.mean[0], c.get("mean")?.number()?, relative);
    g.scalar(format!("[{i}] variance with an offset, over N"), Source::E, variance, c.get("variance_n")?.number()?, relative);
    let over_n_minus_1 = c.get("variance_n_minus_1")?.number()?;
    g.scalar(format!("[{i}] variance with an offset, over N − 1"), Source::E, variance * n / (n - 1.0), over_n_minus_1, relative);
    Ok(())
}

/// Density and responsibilities of a mixture on the line, up to where every component's density underflows.
fn far_tail(g: &mut Group<'_>, i: usize, c: &Node<'_>, relative: &Tolerance) -> Outcome {
    let (weights, means, sds) = (c.get("weights")?.vector()?, c.get("means")?.vector()?, c.get("sds")?.vector()?);
    let variances = sds.mapv(|s| s * s).insert_axis(Axis(1));
    let parts = (weights.clone(), means.clone(), sds);
    let model = GaussianMixture::new(weights, means.insert_axis(Axis(1)), Covariances::Diagonal(variances))?;
    let points = c.get("points")?.list()?;
    let column =
        |name: &str| -> Result<Array1<f64>, Problem> { Ok(points.iter().map(|p| p.get(name)?.number()).collect::<Result<_, _>>()?) };
    let x = column("x")?.insert_axis(Axis(1));
    g.array(format!("[{i}] log density"), Source::E, &g.subject.mixture_evidence(&model, &x)?, &column("log_density")?, relative);

    let rows = points.iter().map(|p| p.get("log_responsibilities")?.vector()).collect::<Result<Vec<_>, _>>()?;
    let truth = Array2::from_shape_fn((rows.len(), model.n_components()), |(n, k)| rows[n].get(k).copied().unwrap_or(f64::NAN));
    let found = model.log_responsibilities(&x)?;
    let allowed = far_tail_rounding(&parts, &x.column(0).to_owned(), &truth);
    let why = "8·ε·(T_k + Σ_j γ_j T_j), T_k = Σ|terms of log π_k N_k|: log γ_k = a_k − log Σ_j e^a_j, and d log Σ e^a = Σ γ_j d a_j";
    g.array_scaled(format!("[{i}] log responsibilities"), Source::E, &found, &truth, &allowed, &Tolerance::relative(1.0, why));
    let gamma = g.subject.responsibilities(&model, &x)?;
    let finite = found.iter().chain(&gamma).all(|v| v.is_finite());
    g.holds(format!("[{i}] finite everywhere"), if finite { "finite" } else { "not finite" }, "finite", finite, "the file's \"must\"");
    let k = model.n_components();
    g.array(
        format!("[{i}] responsibilities sum to 1"),
        Source::I,
        &gamma.sum_axis(Axis(1)),
        &Array1::ones(x.nrows()),
        &Tolerance::rounding(k, 1.0),
    );
    Ok(())
}

/// The rounding of log γ_nk (N, K): each a_k = log π_k − log σ_k − ½ log 2π − z²/2 is a sum of four terms, good to 8 ε of their magnitude.
fn far_tail_rounding(
    (weights, means, sds): &(Array1<f64>, Array1<f64>, Array1<f64>),
    x: &Array1<f64>,
    log_responsibilities: &Array2<f64>,
) -> Array2<f64> {
    let terms = Array2::from_shape_fn(log_responsibilities.dim(), |(n, k)| {
        let z = (x[n] - means[k]) / sds[k];
        weights[k].ln().abs() + sds[k].ln().abs() + 0.5 * LOG_2PI + 0.5 * z * z
    });
    let of_sum = (&terms * &log_responsibilities.mapv(f64::exp)).sum_axis(Axis(1)).insert_axis(Axis(1));
    (terms + of_sum) * (8.0 * f64::EPSILON)
}

/// N3, kind `exact_regression`: the last column on the others.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn regression(g: &mut Group<'_>, case: &Case) -> Outcome {
    let table = case.table()?;
    let p = table.ncols().checked_sub(1).ok_or_else(|| Problem("the table has no columns".to_owned()))?;
    let fit = least_squares(table.slice_axis(Axis(1), Slice::from(..p)), table.column(p))?;
    let posterior = fit.flat_posterior()?;
    let truth = case.get("truth")?;
    let t = Tolerance::relative(1e-6, "VERIFY N3: QR loses ε · condition, normal equations lose ε · condition²");

    g.array("coefficients", Source::E, &fit.coefficients, &truth.get("ols")?.vector()?, &t);
    g.array("standard errors", Source::E, &fit.standard_errors(), &truth.get("standard_errors")?.vector()?, &t);
    g.scalar("residual sd", Source::E, fit.residual_sd(), truth.get("residual_sd")?.number()?, &t);
    g.scalar("residual sum of squares", Source::E, fit.rss, truth.get("rss")?.number()?, &t);
    let nu = truth.get("degrees_of_freedom")?.number()?;
    g.scalar("degrees of freedom", Source::E, fit.degrees_of_freedom as f64, nu, &Tolerance::exact("a count"));
    let Some(exact) = truth.find("posterior") else { return Ok(()) };
    g.array("posterior mean of β", Source::E, &posterior.beta_mean, &exact.get("beta_mean")?.vector()?, &t);
    g.array("posterior sd of β", Source::E, &posterior.beta_sd(), &exact.get("beta_sd")?.vector()?, &t);
    let covariance = exact.get("beta_cov")?.matrix()?;
    let scale = super::shared::covariance_scale(&covariance);
    g.array_scaled("posterior covariance of β", Source::E, &posterior.beta_covariance, &covariance, &scale, &t);
    g.scalar("posterior mean of σ", Source::E, posterior.sigma_mean, exact.get("sigma_mean")?.number()?, &t);
    g.scalar("posterior sd of σ", Source::E, posterior.sigma_sd, exact.get("sigma_sd")?.number()?, &t);
    Ok(())
}
