//! Logistic, binomial and Poisson regression.

use super::design::{design, response};
use super::formula::Names;
use super::scale::{is_on_line, on_line};
use super::text::{Clause, Prior, Statement, capture, split, squeeze};
use super::{Posterior, finite};
use lvm_core::special::{lgamma, sigmoid, softplus};
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, ArrayView1};

/// What is counted.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// y_n of m_n trials succeed, each with probability σ(x_n · β).
    Binomial(Array1<f64>),
    /// y_n is Poisson with mean exp(x_n · β).
    Poisson,
}

/// A generalised linear model of counts with its canonical link; z = β, each normal or flat.
#[derive(Debug, Clone)]
pub struct GeneralizedLinear {
    /// X (N, p).
    pub x: Array2<f64>,
    /// y (N).
    pub y: Array1<f64>,
    /// The distribution of y.
    pub response: Response,
    /// Priors of β (p).
    pub coefficients: Vec<Prior>,
    /// log of the binomial coefficient, or −log y!, a row (N).
    constants: Array1<f64>,
}

impl GeneralizedLinear {
    /// The model; shapes must agree.
    pub fn new(x: Array2<f64>, y: Array1<f64>, response: Response, coefficients: Vec<Prior>) -> Option<Self> {
        let trials = if let Response::Binomial(m) = &response { m.len() } else { y.len() };
        if x.dim() != (y.len(), coefficients.len()) || trials != y.len() {
            return None;
        }
        let constants = match &response {
            Response::Binomial(m) => y.iter().zip(m).map(|(y, m)| lgamma(m + 1.0) - lgamma(y + 1.0) - lgamma(m - y + 1.0)).collect(),
            Response::Poisson => y.mapv(|y| -lgamma(y + 1.0)),
        };
        Some(GeneralizedLinear { x, y, response, coefficients, constants })
    }

    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<GeneralizedLinear> {
        let Clause::Sampled { names, right } = s.clauses.first()? else { return None };
        let [name] = names.as_slice() else { return None };
        let y = response(s)?;
        let text = right.trim();
        let (response, predictor) = if let Some(inner) = inside(text, "Bernoulli(logit^-1(", "))") {
            (Response::Binomial(Array1::ones(y.len())), inner)
        } else if let Some(inner) = inside(text, "Binomial(", "))") {
            let parts = split(inner, ',');
            let [trials, predictor] = parts.as_slice() else { return None };
            let trials = Names::new(&s.columns).evaluate(trials)?.spread(y.len())?;
            (Response::Binomial(trials), predictor.strip_prefix("logit^-1(")?)
        } else {
            (Response::Poisson, inside(text, "Poisson(exp(", "))")?)
        };
        let x = if squeeze(predictor) == "x_i.beta" { design(s)?.x } else { predictors(s, predictor, y.len())? };
        let is_range = |c: &Clause| matches!(c, Clause::Other(t) if capture("i=1..{}", t).is_some_and(|f| f[0] == y.len().to_string()));
        let others: Vec<Clause> = s.without(&[name]).into_iter().filter(|c| !is_range(c)).collect();
        let priors = Statement::priors(&others, &s.names)?;
        let agrees = s.supports.iter().all(|t| t == "real") && priors.iter().all(is_on_line);
        if !agrees {
            return None;
        }
        GeneralizedLinear::new(x, y, response, priors)
    }
}

/// The design matrix of a predictor written out in the parameters, such as `alpha + beta1 t + beta2 t^2` with the design `t = year`.
fn predictors(s: &Statement, predictor: &str, n: usize) -> Option<Array2<f64>> {
    let mut names = Names::new(&s.columns);
    for part in split(&s.design, ';').into_iter().flat_map(|p| split(p, ',')).filter(|p| !p.is_empty()) {
        let (left, right) = part.split_once('=')?;
        let value = names.evaluate(right.trim())?;
        names.defined.insert(left.trim().to_owned(), value);
    }
    names.linear(predictor, &s.names, n)
}

fn inside<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

impl DataLogDensity for GeneralizedLinear {
    fn dim(&self) -> usize {
        self.x.ncols()
    }

    fn n_data(&self) -> usize {
        self.y.len()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let mut value = 0.0;
        for (j, prior) in self.coefficients.iter().enumerate() {
            let (v, g) = on_line(*prior, z[j]);
            value += v;
            gradient[j] = g;
        }
        finite(value)
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        // Σ y_n e_n − A_n(e_n) + c_n with e = X β; A = m log(1 + eᵉ) (binomial) or eᵉ (Poisson), A′ the mean of y
        let beta = ArrayView1::from(z);
        let mut value = 0.0;
        gradient.fill(0.0);
        for &row in rows {
            let x = self.x.row(row);
            let e = x.dot(&beta);
            let (cumulant, mean) = match &self.response {
                Response::Binomial(m) => (m[row] * softplus(e), m[row] * sigmoid(e)),
                Response::Poisson => (e.exp(), e.exp()),
            };
            value += self.y[row] * e - cumulant + self.constants[row];
            let r = self.y[row] - mean;
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += r * x);
        }
        finite(value)
    }
}

super::all_rows!(GeneralizedLinear);

impl Posterior for GeneralizedLinear {
    fn form(&self) -> &'static str {
        match self.response {
            Response::Binomial(_) => "binomial regression",
            Response::Poisson => "Poisson regression",
        }
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(super::terms::generalized_linear(self)?))
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
}
