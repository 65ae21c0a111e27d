//! Probability distributions: normalised log densities in nats, moments, draws and divergences.
//!
//! A distribution is a small value whose constructor checks its parameters; nothing else can fail but a shape. `log_prob` keeps every
//! constant, is −∞ outside the support and NaN at NaN, and is accurate to 1e-12 relative at extreme arguments, too: counts and shapes of a
//! million are written with deviances and Stirling remainders ([`crate::special`]), never as a difference of large logarithms. (Where a
//! log density passes through zero its absolute error is that of its largest term, a few 1e-16.)

mod beta;
mod binomial;
mod categorical;
mod cauchy;
mod dirichlet;
mod gamma;
mod half;
mod inverse_gamma;
mod inverse_wishart;
mod laplace;
mod logistic;
mod lognormal;
mod multivariate_normal;
mod multivariate_t;
mod negative_binomial;
mod normal;
mod poisson;
mod student_t;
mod weibull;
mod wishart;

pub use beta::Beta;
pub use binomial::BinomialLogit;
pub use categorical::Categorical;
pub use cauchy::Cauchy;
pub use dirichlet::Dirichlet;
pub use gamma::Gamma;
pub use half::{HalfCauchy, HalfNormal};
pub use inverse_gamma::InverseGamma;
pub use inverse_wishart::InverseWishart;
pub use laplace::Laplace;
pub use logistic::Logistic;
pub use lognormal::LogNormal;
pub use multivariate_normal::MultivariateNormal;
pub use multivariate_t::MultivariateT;
pub use negative_binomial::NegativeBinomial2;
pub use normal::Normal;
pub use poisson::PoissonLog;
pub use student_t::StudentT;
pub use weibull::Weibull;
pub use wishart::Wishart;

use crate::error::{Error, ErrorKind, Result};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::Rng;

/// A distribution on the real line, or on the counts 0, 1, 2, … as real numbers.
pub trait Univariate {
    /// log p(x): a density, or for counts a probability, in nats; −∞ outside the support.
    fn log_prob(&self, x: f64) -> f64;

    /// One draw.
    fn sample(&self, rng: &mut dyn Rng) -> f64;

    /// E\[x\]; infinite or NaN where the integral is.
    fn mean(&self) -> f64;

    /// E\[(x − E\[x\])²\]; infinite or NaN where the integral is.
    fn variance(&self) -> f64;

    /// A value of highest density; at a boundary where the density is unbounded, that boundary.
    fn mode(&self) -> f64;
}

/// Refuses a parameter that is not finite.
fn finite(field: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::config(field, format!("{value} is not finite"))) }
}

/// Refuses a parameter that is not positive and finite.
fn positive(field: &'static str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(Error::config(field, format!("{value} must be positive and finite"))) }
}

/// Refuses a length that differs.
fn same_length(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(ErrorKind::Shape { what, expected, found }.into()) }
}

/// The Cholesky factor of a matrix that must be square (d, d), symmetric and positive definite.
fn positive_definite(what: &'static str, d: usize, a: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    same_length(what, d, a.nrows())?;
    same_length(what, d, a.ncols())?;
    let scale = a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for i in 0..d {
        for j in 0..i {
            // symmetric up to what a product of matrices rounds
            if (a[[i, j]] - a[[j, i]]).abs() > 1e-10 * scale {
                return Err(Error::config(
                    what,
                    format!("not symmetric: entries ({i}, {j}) and ({j}, {i}) are {} and {}", a[[i, j]], a[[j, i]]),
                ));
            }
        }
    }
    crate::linalg::cholesky(a).map_err(|e| e.of(what))
}

/// a log y, and 0 where a = 0 whatever y is.
fn x_log_y(a: f64, y: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a * y.ln() }
}

/// log(x/s) for x, s > 0, also where the ratio leaves the range of a double.
fn log_ratio(x: f64, s: f64) -> f64 {
    let ratio = x / s;
    if ratio.is_normal() { ratio.ln() } else { x.ln() - s.ln() }
}

/// log(1 + z²/ν), also where z² overflows.
fn log1p_square(z: f64, nu: f64) -> f64 {
    let ratio = z * (z / nu);
    if ratio.is_finite() { ratio.ln_1p() } else { 2.0 * z.abs().ln() - nu.ln() }
}

/// Whether x is one of 0, 1, 2, …
fn is_count(x: f64) -> bool {
    x >= 0.0 && x == x.floor() && x.is_finite()
}

/// (x − m)ᵀ (L Lᵀ)⁻¹ (x − m) by forward substitution, never through an inverse.
fn mahalanobis(x: ArrayView1<'_, f64>, mean: ArrayView1<'_, f64>, cholesky: ArrayView2<'_, f64>) -> f64 {
    let mut z = (&x - &mean).insert_axis(ndarray::Axis(1));
    crate::linalg::solve_lower(cholesky, z.view_mut());
    z.iter().map(|v| v * v).sum()
}

/// An open uniform draw in (0, 1).
fn open_uniform(rng: &mut dyn Rng) -> f64 {
    rand_distr::Distribution::sample(&rand_distr::Open01, rng)
}

/// A draw of the standard normal.
fn standard_normal(rng: &mut dyn Rng) -> f64 {
    rand_distr::Distribution::sample(&rand_distr::StandardNormal, rng)
}

/// The logarithm of a draw of Gamma(shape, 1), which does not underflow at tiny shapes.
fn log_gamma_draw(shape: f64, rng: &mut dyn Rng) -> f64 {
    // x = y U^{1/a} with y ~ Gamma(a + 1): Marsaglia & Tsang (2000)
    let (boosted, extra) = if shape < 1.0 { (shape + 1.0, open_uniform(rng).ln() / shape) } else { (shape, 0.0) };
    // invariant: the shape was checked to be positive and finite
    let gamma = rand_distr::Gamma::new(boosted, 1.0).expect("a positive shape");
    rand_distr::Distribution::sample(&gamma, rng).ln() + extra
}

/// The u in [low, high] where an increasing function F(u) = p: Newton's steps with F′, halving the bracket where they leave it.
fn invert(p: f64, bracket: (f64, f64), function: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut low, mut high) = bracket;
    let mut u = 0.5 * (low + high);
    // 200 halvings shrink any bracket of doubles to neighbours
    for _ in 0..200 {
        let (value, slope) = function(u);
        if value == p {
            break;
        }
        if value < p {
            low = u;
        } else {
            high = u;
        }
        let newton = u - (value - p) / slope;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - u).abs() <= f64::EPSILON * u.abs() || high - low <= f64::EPSILON * high.abs() {
            return next;
        }
        u = next;
    }
    u
}
