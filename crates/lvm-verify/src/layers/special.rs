//! N1: special functions, log densities and divergences, by the names the reference files give them.

use crate::case::{Case, Node};
use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::dist::{self, Univariate};
use lvm_core::special as ours;
use ndarray::Array1;
use std::collections::BTreeMap;

/// What one name was compared at.
#[derive(Default)]
struct Series {
    ours: Vec<f64>,
    truth: Vec<f64>,
    /// The smallest scale an error of each value is relative to.
    floor: Vec<f64>,
    why: &'static str,
}

/// The smallest scale an error is relative to, and where it comes from.
type Floor = fn(&str, &Node<'_>) -> Result<(f64, &'static str), Problem>;

/// A value of ours, or nothing for a name this version does not know.
type Value = Result<Option<f64>, Problem>;

/// Kind `special`: every value of `functions`, `densities` and `divergences`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn special(g: &mut Group<'_>, case: &Case) -> Outcome {
    let relative = super::shared::file_tolerance(case, "relative", 1e-12)?;
    section(g, case, &relative, ["functions", "f", "value"], function, floor_of_function)?;
    section(g, case, &relative, ["densities", "density", "log_density"], density, floor_of_density)?;
    section(g, case, &relative, ["divergences", "divergence", "value"], divergence, floor_of_divergence)
}

/// One list of the file: values gathered by name, one check a name.
fn section(
    g: &mut Group<'_>,
    case: &Case,
    relative: &Tolerance,
    [list, name, value]: [&str; 3],
    evaluate: fn(&str, &Node<'_>) -> Value,
    floor: Floor,
) -> Outcome {
    let Some(items) = case.find(list) else { return Ok(()) };
    let mut all: BTreeMap<&str, Series> = BTreeMap::new();
    for item in items.list()? {
        let (name, truth) = (item.get(name)?.text()?, item.get(value)?.number()?);
        let Some(found) = evaluate(name, &item)? else {
            g.failed(format!("special: {name}"), "this version knows no such quantity: it was not tested");
            continue;
        };
        if truth.is_finite() {
            let (floor, why) = floor(name, &item)?;
            let series = all.entry(name).or_default();
            series.why = why;
            series.floor.push(floor / relative.relative);
            series.ours.push(found);
            series.truth.push(truth);
        } else {
            g.scalar(format!("{name} that diverges"), Source::E, found, truth, &Tolerance::exact("the same infinity"));
        }
    }
    for (name, series) in all {
        let truth = Array1::from(series.truth);
        let scale = Array1::from_shape_fn(truth.len(), |i| truth[i].abs().max(series.floor[i]));
        let tolerance = Tolerance::relative(relative.relative, format!("{} of |truth|; {}", relative.reason, series.why));
        g.array_scaled(name, Source::E, &Array1::from(series.ours), &truth, &scale, &tolerance);
    }
    Ok(())
}

/// Absolute errors that are allowed where a value passes through zero.
fn floor_of_function(name: &str, _: &Node<'_>) -> Result<(f64, &'static str), Problem> {
    Ok(match name {
        "lgamma" | "digamma" | "multivariate_lgamma(d,a)" => (1e-13, "1e-13 absolute at its zeros (the file's note)"),
        // 50 digits are 169 bits
        "log_norm_cdf" => (2f64.powi(-169), "2⁻¹⁶⁹ absolute: the reference rounds 1 − Φ(−x) to 50 digits before its logarithm"),
        _ => (0.0, "relative throughout"),
    })
}

/// Nine roundings of the terms that a log density is the sum of: at most five terms of one ulp each, and four additions.
fn floor_of_density(name: &str, item: &Node<'_>) -> Result<(f64, &'static str), Problem> {
    let magnitude = super::terms::magnitude(name, item)?;
    Ok((9.0 * f64::EPSILON * magnitude, "at least 9·ε·Σ|terms of the log density|"))
}

/// A divergence is of second order where two distributions meet: parameters read to 32 ε give at most (32 ε)². A distance is of first.
fn floor_of_divergence(name: &str, _: &Node<'_>) -> Result<(f64, &'static str), Problem> {
    Ok(match name.starts_with("KL") || name.starts_with("Renyi") {
        true => ((32.0 * f64::EPSILON).powi(2), "(32ε)² absolute between equal distributions: of second order in the parameters"),
        false => (0.0, "relative throughout"),
    })
}

fn function(name: &str, item: &Node<'_>) -> Value {
    let a = item.get("args")?.vector()?;
    let x = *a.first().ok_or_else(|| Problem(format!("{name} without arguments")))?;
    // a missing argument is NaN, which agrees with nothing
    let at = |i: usize| a.get(i).copied().unwrap_or(f64::NAN);
    Ok(Some(match name {
        "lgamma" => ours::lgamma(x),
        "digamma" => ours::digamma(x),
        "trigamma" => ours::trigamma(x),
        "softplus" => ours::softplus(x),
        "log_sigmoid" => ours::log_sigmoid(x),
        "sigmoid" => ours::sigmoid(x),
        "logit" => ours::logit(x),
        "erf" => ours::erf(x),
        "erfc" => ours::erfc(x),
        "norm_cdf" => ours::norm_cdf(x),
        "log_norm_cdf" => ours::log_norm_cdf(x),
        "norm_quantile" => ours::norm_quantile(x),
        "expm1" => x.exp_m1(),
        "gammainc_lower_regularised" => ours::gammainc_lower(x, at(1)),
        "gammainc_upper_regularised" => ours::gammainc_upper(x, at(1)),
        "betainc_regularised" => ours::betainc(x, at(1), at(2)),
        "multivariate_lgamma(d,a)" => ours::multivariate_lgamma(x as usize, at(1)),
        _ => return Ok(None),
    }))
}

fn density(name: &str, item: &Node<'_>) -> Value {
    let parameters = item.get("parameters")?;
    let p = |field: &str| -> Result<f64, Problem> { Ok(parameters.get(field)?.number()?) };
    let x = item.get("x")?;
    let at = |d: &dyn Univariate| -> Value { Ok(Some(d.log_prob(x.number()?))) };
    match name.split(' ').next().unwrap_or_default() {
        "normal" => at(&dist::Normal::new(p("mean")?, p("sd")?)?),
        "cauchy" => at(&dist::Cauchy::new(p("loc")?, p("scale")?)?),
        "laplace" => at(&dist::Laplace::new(p("loc")?, p("scale")?)?),
        "logistic" => at(&dist::Logistic::new(p("loc")?, p("scale")?)?),
        "student_t" => at(&dist::StudentT::new(p("df")?, p("loc")?, p("scale")?)?),
        "gamma_shape_rate" => at(&dist::Gamma::new(p("shape")?, p("rate")?)?),
        "inverse_gamma_shape_scale" => at(&dist::InverseGamma::new(p("shape")?, p("scale")?)?),
        "lognormal" => at(&dist::LogNormal::new(p("mu")?, p("sigma")?)?),
        "weibull" => at(&dist::Weibull::new(p("shape")?, p("scale")?)?),
        "half_cauchy" => at(&dist::HalfCauchy::new(p("scale")?)?),
        "half_normal" => at(&dist::HalfNormal::new(p("scale")?)?),
        "beta" => at(&dist::Beta::new(p("a")?, p("b")?)?),
        "binomial_logit" => at(&dist::BinomialLogit::new(p("n")? as u64, p("logit")?)?),
        "poisson_log" => at(&dist::PoissonLog::new(p("log_rate")?)?),
        "negative_binomial_2" => at(&dist::NegativeBinomial2::new(p("mean")?, p("dispersion")?)?),
        "dirichlet" => {
            let alpha = parameters.get("alpha")?.vector()?;
            Ok(Some(dist::Dirichlet::new(alpha.view())?.log_prob(x.vector()?.view())?))
        }
        "mvn" => Ok(Some(multivariate_normal(&parameters)?.log_prob(x.vector()?.view())?)),
        "multivariate_t" => {
            let (loc, scale) = (parameters.get("loc")?.vector()?, parameters.get("scale_matrix")?.matrix()?);
            Ok(Some(dist::MultivariateT::new(p("df")?, loc.view(), scale.view())?.log_prob(x.vector()?.view())?))
        }
        "wishart" => Ok(Some(wishart(&parameters)?.log_prob(x.matrix()?.view())?)),
        "inverse_wishart" => {
            let scale = parameters.get("scale")?.matrix()?;
            Ok(Some(dist::InverseWishart::new(p("df")?, scale.view())?.log_prob(x.matrix()?.view())?))
        }
        _ => Ok(None),
    }
}

fn divergence(name: &str, item: &Node<'_>) -> Value {
    let parameters = item.get("parameters")?;
    if name == "entropy(mvn)" {
        let cov = parameters.get("cov")?.matrix()?;
        return Ok(Some(dist::MultivariateNormal::new(Array1::zeros(cov.nrows()).view(), cov.view())?.entropy()));
    }
    let (q, p) = (parameters.get("q")?, parameters.get("p")?);
    Ok(Some(match name {
        "KL(normal||normal)" => normal(&q)?.kl(&normal(&p)?),
        "Renyi alpha=2 D(normal||normal)" => normal(&q)?.renyi(&normal(&p)?, 2.0),
        "Wasserstein-2(normal,normal)" => normal(&q)?.wasserstein_2(&normal(&p)?),
        "KL(gamma||gamma) shape,rate" => {
            let ((a, b), (c, d)) = (pair(&q)?, pair(&p)?);
            dist::Gamma::new(a, b)?.kl(&dist::Gamma::new(c, d)?)
        }
        "KL(beta||beta)" => {
            let ((a, b), (c, d)) = (pair(&q)?, pair(&p)?);
            dist::Beta::new(a, b)?.kl(&dist::Beta::new(c, d)?)
        }
        "KL(dirichlet||dirichlet)" => dist::Dirichlet::new(q.vector()?.view())?.kl(&dist::Dirichlet::new(p.vector()?.view())?)?,
        "KL(mvn||mvn)" => multivariate_normal(&q)?.kl(&multivariate_normal(&p)?)?,
        "Wasserstein-2(mvn,mvn)" => multivariate_normal(&q)?.wasserstein_2(&multivariate_normal(&p)?)?,
        "KL(wishart||wishart) df,scale" => wishart(&q)?.kl(&wishart(&p)?)?,
        _ => return Ok(None),
    }))
}

fn pair(node: &Node<'_>) -> Result<(f64, f64), Problem> {
    match node.vector()?.as_slice() {
        Some(&[a, b]) => Ok((a, b)),
        _ => Err(node.problem("is not a pair of numbers").into()),
    }
}

fn normal(node: &Node<'_>) -> Result<dist::Normal, Problem> {
    let (mean, sd) = pair(node)?;
    Ok(dist::Normal::new(mean, sd)?)
}

/// N(mean, cov).
///
/// # Errors
/// If a field is missing or the library refuses.
pub fn multivariate_normal(node: &Node<'_>) -> Result<dist::MultivariateNormal, Problem> {
    Ok(dist::MultivariateNormal::new(node.get("mean")?.vector()?.view(), node.get("cov")?.matrix()?.view())?)
}

fn wishart(node: &Node<'_>) -> Result<dist::Wishart, Problem> {
    Ok(dist::Wishart::new(node.get("df")?.number()?, node.get("scale")?.matrix()?.view())?)
}
