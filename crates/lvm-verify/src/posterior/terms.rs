//! The same models as sums of terms whose expectations under a Gaussian are known: what the deterministic engines work on.

use super::Parametrisation;
use super::generalized_linear::{GeneralizedLinear, Response};
use super::linear_regression::LinearRegression;
use super::schools::Schools;
use super::text::Prior;
use super::varying_intercepts::VaryingIntercepts;
use lvm_core::Result;
use lvm_core::special::lgamma;
use lvm_vi::expectation::{Affine, Exponential, Expression, LogJoint};

/// Adds a prior of a parameter on the line.
pub(super) fn line(p: &mut LogJoint, variable: usize, prior: Prior) -> Result<()> {
    match prior {
        Prior::Normal(mean, sd) => p.normal(Affine::variable(variable) - mean, sd.ln()),
        _ => Ok(()),
    }
}

/// Adds a prior of e^η with its Jacobian.
pub(super) fn scale(p: &mut LogJoint, eta: usize, prior: Prior) -> Result<()> {
    let eta = Affine::variable(eta);
    match prior {
        Prior::HalfNormal(s) => p.half_normal(eta, s),
        Prior::HalfCauchy(s) => p.half_cauchy(eta, s),
        Prior::LogNormal(mean, sd) => p.normal(eta - mean, sd.ln()),
        Prior::Gamma(a, b) => p.gamma(eta, a, b),
        _ => p.affine(eta),
    }
}

/// Adds the prior of normal effects, the first `n` entries.
pub(super) fn effects(p: &mut LogJoint, how: Parametrisation, n: usize, mu: usize, tau: usize) -> Result<()> {
    (0..n).try_for_each(|j| match how {
        Parametrisation::Centred => p.normal(Affine::variable(j) - Affine::variable(mu), Affine::variable(tau)),
        Parametrisation::NonCentred => p.normal(Affine::variable(j), 0.0),
    })
}

/// θ_j.
fn effect(how: Parametrisation, j: usize, mu: usize, tau: usize) -> Expression {
    match how {
        Parametrisation::Centred => Affine::variable(j).into(),
        Parametrisation::NonCentred => Expression::from(Affine::variable(mu)) + Affine::variable(j).times_exp(Affine::variable(tau)),
    }
}

pub(super) fn linear_regression(m: &LinearRegression) -> Result<LogJoint> {
    let sigma = m.x.ncols();
    let mut p = LogJoint::new(sigma + 1)?;
    for (x, y) in m.x.rows().into_iter().zip(&m.y) {
        p.normal(Affine::predictor(0, x) - *y, Affine::variable(sigma))?;
    }
    m.coefficients.iter().enumerate().try_for_each(|(j, prior)| line(&mut p, j, *prior))?;
    scale(&mut p, sigma, m.sigma)?;
    Ok(p)
}

pub(super) fn generalized_linear(m: &GeneralizedLinear) -> Result<LogJoint> {
    let mut p = LogJoint::new(m.x.ncols())?;
    let predictors = || m.x.rows().into_iter().map(|x| Affine::predictor(0, x));
    match &m.response {
        Response::Binomial(trials) => p.binomial(predictors().zip(&m.y).zip(trials).map(|((e, y), m)| (*y, *m, e)))?,
        Response::Poisson => {
            // y e − exp(e) − log y!
            predictors().zip(&m.y).try_for_each(|(e, y)| p.affine(e * *y - lgamma(y + 1.0)))?;
            p.univariate(Exponential, predictors().map(|e| (-1.0, e)))?;
        }
    }
    m.coefficients.iter().enumerate().try_for_each(|(j, prior)| line(&mut p, j, *prior))?;
    Ok(p)
}

pub(super) fn schools(m: &Schools) -> Result<LogJoint> {
    let n = m.y.len();
    let mut p = LogJoint::new(n + 2)?;
    for j in 0..n {
        p.normal(effect(m.parametrisation, j, n, n + 1) - m.y[j], m.sd[j].ln())?;
    }
    effects(&mut p, m.parametrisation, n, n, n + 1)?;
    line(&mut p, n, m.mu)?;
    scale(&mut p, n + 1, m.tau)?;
    Ok(p)
}

pub(super) fn varying_intercepts(m: &VaryingIntercepts) -> Result<LogJoint> {
    let [mu, tau, sigma] = m.places();
    let mut p = LogJoint::new(sigma + 1)?;
    for ((x, y), group) in m.x.rows().into_iter().zip(&m.y).zip(&m.group) {
        let fitted = effect(m.parametrisation, *group, mu, tau) + Affine::predictor(m.groups, x);
        p.normal(fitted - *y, Affine::variable(sigma))?;
    }
    effects(&mut p, m.parametrisation, m.groups, mu, tau)?;
    (m.groups..).zip(&m.line).try_for_each(|(i, prior)| line(&mut p, i, *prior))?;
    scale(&mut p, tau, m.scales[0])?;
    scale(&mut p, sigma, m.scales[1])?;
    Ok(p)
}
