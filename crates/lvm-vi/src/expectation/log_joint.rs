//! A log joint density composed of terms whose expectations are known.

use super::{Affine, Covariance, Expectation, Expression, GaussianExpectation};
use super::{ExponentialQuadratic, LogOnePlusSquare, Predictors, Softplus, Univariate};
use crate::target::{LogDensity, LogDensityGrad, TargetError};
use lvm_core::special::lgamma;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView1};
use std::f64::consts::{LN_2, PI, TAU};

/// log p(u, data) as a sum of terms, each of which knows its value, its gradient and its expectations under a Gaussian.
///
/// # Terms
/// | method | density | expectation |
/// |---|---|---|
/// | [`normal`](Self::normal) | N(residual; 0, e^{2 log σ}), residual a sum of exp(affine) · affine, log σ affine | closed form |
/// | [`poisson`](Self::poisson) | Poisson(k; e^{affine}) | closed form |
/// | [`binomial`](Self::binomial) | Binomial(k; n, logit⁻¹(affine)) | one-dimensional rule, 1e-13 |
/// | [`half_normal`](Self::half_normal), [`gamma`](Self::gamma) | of e^η, as densities of η | closed form |
/// | [`half_cauchy`](Self::half_cauchy), [`student_t`](Self::student_t) | | one-dimensional rule, 1e-13 |
/// | [`predictors`](Self::predictors) | Σ w f(affine) for any analytic f | one-dimensional rule, 1e-13 |
///
/// # Numerics
/// Terms with the same exponent are added up when they are put in: a regression of N rows costs O(d²) an evaluation, whatever N.
/// Binomial and Poisson terms cost O(N d) a value and O(N d²) an expectation.
///
/// ```
/// use lvm_vi::{expectation::{Affine, LogJoint}, target::LogDensity};
/// // y ~ N(β x, σ), β ~ N(0, 10), σ ~ half-Cauchy(0, 1); u = (β, log σ)
/// let (beta, eta) = (Affine::variable(0), Affine::variable(1));
/// let mut p = LogJoint::new(2)?;
/// for (x, y) in [(1.0, 2.1), (2.0, 3.9), (3.0, 6.2)] {
///     p.normal(beta.clone() * x - y, eta.clone())?;
/// }
/// p.normal(beta, 10_f64.ln())?;
/// p.half_cauchy(eta, 1.0)?;
/// assert!(p.log_density(&[2.0, -1.0]).unwrap() > p.log_density(&[1.0, -1.0]).unwrap());
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LogJoint {
    dim: usize,
    /// The first has the exponent 0.
    exponentials: Vec<ExponentialQuadratic>,
    predictors: Vec<Predictors>,
}

impl LogJoint {
    /// log p = 0 in d dimensions.
    ///
    /// # Errors
    /// If d is 0.
    pub fn new(d: usize) -> Result<Self> {
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        Ok(LogJoint { dim: d, exponentials: vec![ExponentialQuadratic::zero(Array1::zeros(d))], predictors: Vec::new() })
    }

    /// Adds an affine form, for example the log-Jacobian η of σ = e^η.
    ///
    /// # Errors
    /// If a latent is not there or a number is not finite; so do all that follow.
    pub fn affine(&mut self, form: impl Into<Affine>) -> Result<()> {
        let form = form.into();
        self.exponentials[0].linear += &form.dense(self.dim)?;
        self.exponentials[0].constant += form.constant;
        Ok(())
    }

    /// Adds weight · exp(form).
    ///
    /// # Errors
    /// As [`LogJoint::affine`].
    pub fn exponential(&mut self, weight: f64, form: &Affine) -> Result<()> {
        self.product(weight, form, (&Affine::constant(1.0), &Affine::constant(1.0)))
    }

    /// Adds log N(residual; 0, e^{2 log_sd}).
    ///
    /// # Errors
    /// As [`LogJoint::affine`].
    pub fn normal(&mut self, residual: impl Into<Expression>, log_sd: impl Into<Affine>) -> Result<()> {
        let (residual, log_sd) = (residual.into(), log_sd.into());
        // −½ log 2π − log σ − ½ e^{−2 log σ} (Σ_k e^{a_k} b_k)²
        self.affine(-log_sd.clone() - 0.5 * TAU.ln())?;
        for (k, (a, b)) in residual.terms.iter().enumerate() {
            for (l, (a_other, b_other)) in residual.terms.iter().enumerate().take(k + 1) {
                let twice = if l < k { 2.0 } else { 1.0 };
                let exponent = a.clone() + a_other.clone() - log_sd.clone() * 2.0;
                self.product(-0.5 * twice, &exponent, (b, b_other))?;
            }
        }
        Ok(())
    }

    /// Adds log Poisson(count; e^{log_rate}).
    ///
    /// # Errors
    /// As [`LogJoint::affine`]; if the count is negative.
    pub fn poisson(&mut self, count: f64, log_rate: Affine) -> Result<()> {
        if !(count >= 0.0) {
            return Err(Error::config("count", format!("{count} is no count")));
        }
        // k log λ − λ − log k!
        self.affine(log_rate.clone() * count - lgamma(count + 1.0))?;
        self.univariate(super::Exponential, [(-1.0, log_rate)])
    }

    /// Adds Σ log Binomial(successes; trials, logit⁻¹(logit)) over (successes, trials, logit); one trial is a Bernoulli.
    ///
    /// # Errors
    /// As [`LogJoint::affine`]; if there are more successes than trials.
    pub fn binomial(&mut self, rows: impl IntoIterator<Item = (f64, f64, Affine)>) -> Result<()> {
        let mut negative = Vec::new();
        for (successes, trials, logit) in rows {
            if !(0.0 <= successes && successes <= trials) {
                return Err(Error::config("successes", format!("{successes} of {trials} can not be")));
            }
            // log C(n, k) + k logit − n log(1 + e^{logit})
            let choose = lgamma(trials + 1.0) - lgamma(successes + 1.0) - lgamma(trials - successes + 1.0);
            self.affine(logit.clone() * successes + choose)?;
            negative.push((-trials, logit));
        }
        self.univariate(Softplus, negative)
    }

    /// Adds the density of η = log τ for τ ~ half-Cauchy(0, scale), the Jacobian η included.
    ///
    /// # Errors
    /// As [`LogJoint::affine`]; if the scale is not positive.
    pub fn half_cauchy(&mut self, eta: Affine, scale: f64) -> Result<()> {
        positive("scale", scale)?;
        // log 2/(πs) − log(1 + e^{2(η − log s)}) + η
        self.affine(eta.clone() + (LN_2 - (PI * scale).ln()))?;
        self.univariate(Softplus, [(-1.0, (eta - scale.ln()) * 2.0)])
    }

    /// Adds the density of η = log τ for τ ~ |N(0, scale²)|, the Jacobian η included.
    ///
    /// # Errors
    /// As [`LogJoint::half_cauchy`].
    pub fn half_normal(&mut self, eta: Affine, scale: f64) -> Result<()> {
        positive("scale", scale)?;
        // log 2 − ½ log 2π − log s − ½ e^{2(η − log s)} + η
        self.affine(eta.clone() + (LN_2 - 0.5 * TAU.ln() - scale.ln()))?;
        self.exponential(-0.5, &((eta - scale.ln()) * 2.0))
    }

    /// Adds the density of η = log x for x ~ Gamma(shape, rate), the Jacobian η included; of −η for an inverse gamma's x.
    ///
    /// # Errors
    /// As [`LogJoint::affine`]; if shape or rate is not positive.
    pub fn gamma(&mut self, eta: Affine, shape: f64, rate: f64) -> Result<()> {
        positive("shape", shape)?;
        positive("rate", rate)?;
        // a log b − log Γ(a) + a η − b e^η
        self.affine(eta.clone() * shape + (shape * rate.ln() - lgamma(shape)))?;
        self.exponential(-rate, &eta)
    }

    /// Adds log t_ν(x / scale) − log scale.
    ///
    /// # Errors
    /// As [`LogJoint::affine`]; if ν or the scale is not positive.
    pub fn student_t(&mut self, x: Affine, degrees_of_freedom: f64, scale: f64) -> Result<()> {
        let nu = degrees_of_freedom;
        positive("degrees_of_freedom", nu)?;
        positive("scale", scale)?;
        // log Γ((ν+1)/2) − log Γ(ν/2) − ½ log(νπ) − log s − (ν+1)/2 log(1 + (x/s)²/ν)
        self.affine(lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu) - 0.5 * (nu * PI).ln() - scale.ln())?;
        self.univariate(LogOnePlusSquare, [(-0.5 * (nu + 1.0), x * (1.0 / (scale * nu.sqrt())))])
    }

    /// Adds Σ weight · f(form).
    ///
    /// # Errors
    /// As [`LogJoint::affine`].
    pub fn univariate(&mut self, function: impl Univariate + 'static, forms: impl IntoIterator<Item = (f64, Affine)>) -> Result<()> {
        let (mut design, mut offset, mut weight) = (Vec::new(), Vec::new(), Vec::new());
        for (w, form) in forms {
            design.extend(form.dense(self.dim)?);
            offset.push(form.constant);
            weight.push(w);
        }
        let shape = (offset.len(), self.dim);
        let found = design.len();
        let design = Array2::from_shape_vec(shape, design).map_err(|_| ErrorKind::Shape {
            what: "design of linear predictors",
            expected: shape.0 * shape.1,
            found,
        })?;
        self.predictors(Predictors { function: Box::new(function), design, offset: offset.into(), weight: weight.into() })
    }

    /// Adds Σ_n w_n f(x_nᵀu + o_n).
    ///
    /// # Errors
    /// If a shape is not that of the rows, or a number is not finite.
    pub fn predictors(&mut self, predictors: Predictors) -> Result<()> {
        let (n, d) = predictors.design.dim();
        let lengths = [(self.dim, d), (n, predictors.offset.len()), (n, predictors.weight.len())];
        if let Some(&(expected, found)) = lengths.iter().find(|(a, b)| a != b) {
            return Err(ErrorKind::Shape { what: "linear predictors", expected, found }.into());
        }
        if let Some(v) = predictors.design.iter().chain(&predictors.offset).chain(&predictors.weight).find(|v| !v.is_finite()) {
            return Err(Error::config("predictors", format!("an entry is {v}; every one must be finite")));
        }
        self.predictors.push(predictors);
        Ok(())
    }

    /// Adds weight · exp(exponent) · b · b'.
    fn product(&mut self, weight: f64, exponent: &Affine, (b, other): (&Affine, &Affine)) -> Result<()> {
        let a = exponent.dense(self.dim)?;
        let weight = weight * exponent.constant.exp();
        let (b_dense, other_dense) = (b.dense(self.dim)?, other.dense(self.dim)?);
        let position = self.exponentials.iter().position(|t| t.exponent == a).unwrap_or_else(|| {
            self.exponentials.push(ExponentialQuadratic::zero(a));
            self.exponentials.len() - 1
        });
        let term = &mut self.exponentials[position];
        term.constant += weight * b.constant * other.constant;
        term.linear.scaled_add(weight * b.constant, &other_dense);
        term.linear.scaled_add(weight * other.constant, &b_dense);
        // w bᵢ b'ⱼ uᵢ uⱼ = ½ uᵀQu with Q = w (b b'ᵀ + b' bᵀ)
        for &(i, bi) in &b.coefficients {
            for &(j, bj) in &other.coefficients {
                term.quadratic[[i, j]] += weight * bi * bj;
                term.quadratic[[j, i]] += weight * bi * bj;
            }
        }
        Ok(())
    }
}

fn positive(field: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { Err(Error::config(field, format!("{value} given; it must be positive"))) }
}

impl LogDensity for LogJoint {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, z: &[f64]) -> std::result::Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl LogDensityGrad for LogJoint {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> std::result::Result<f64, TargetError> {
        gradient.fill(0.0);
        let mut value: f64 = self.exponentials.iter().map(|t| t.add_value_grad(z, gradient)).sum();
        value += self.predictors.iter().map(|t| t.add_value_grad(z, gradient)).sum::<f64>();
        if value.is_finite() && gradient.iter().all(|g| g.is_finite()) {
            Ok(value)
        } else {
            Err(TargetError::Recoverable(format!("the log joint is {value} here")))
        }
    }
}

impl GaussianExpectation for LogJoint {
    fn expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) -> Result<()> {
        out.value = 0.0;
        out.gradient.fill(0.0);
        out.hessian.fill(0.0);
        self.exponentials.iter().for_each(|t| t.add_expectation(mean, covariance, out));
        self.predictors.iter().for_each(|t| t.add_expectation(mean, covariance, out));
        Ok(())
    }
}
