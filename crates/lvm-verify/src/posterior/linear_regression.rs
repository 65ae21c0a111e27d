//! y ~ N(X β, σ²), with σ unknown.

use super::design::design;
use super::scale::{is_of_scale, is_on_line, on_line, on_log};
use super::text::{Clause, Prior, Statement, capture, squeeze};
use super::{Posterior, finite};
use crate::case::{Case, CaseError};
use lvm_core::special::HALF_LOG_2PI;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, ArrayView1};

/// y_n ~ N(x_n · β, σ²), β_j normal or flat, σ half-normal, half-Cauchy or flat; z = (β_1 … β_p, log σ).
#[derive(Debug, Clone)]
pub struct LinearRegression {
    /// X (N, p).
    pub x: Array2<f64>,
    /// y (N).
    pub y: Array1<f64>,
    /// Priors of β (p).
    pub coefficients: Vec<Prior>,
    /// Prior of σ.
    pub sigma: Prior,
}

impl LinearRegression {
    /// The linear regression a case states; none if it states another model.
    ///
    /// # Errors
    /// As [`super::recognise`].
    pub fn recognise(case: &Case) -> Result<Option<LinearRegression>, CaseError> {
        Ok(LinearRegression::of(&Statement::of(case)?))
    }

    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<LinearRegression> {
        let (sigma, coefficients) = s.names.split_last()?;
        let is_last_positive = s.supports.last()? == "positive" && s.supports[..coefficients.len()].iter().all(|t| t == "real");
        if squeeze(s.sampled("y_i")?) != "Normal(x_i.beta,sigma)" || sigma != "sigma" || !is_last_positive {
            return None;
        }
        let (ranges, priors): (Vec<Clause>, Vec<Clause>) =
            s.without(&["y_i"]).into_iter().partition(|c| matches!(c, Clause::Other(t) if t.starts_with("i=1..")));
        let mut priors = Statement::priors(&priors, &s.names)?;
        let sigma = priors.pop()?;
        let design = design(s)?;
        let y = design.y?;
        let has_range =
            ranges.iter().all(|c| matches!(c, Clause::Other(t) if capture("i=1..{}", t).is_some_and(|f| f[0] == y.len().to_string())));
        let agrees = has_range && design.x.dim() == (y.len(), priors.len()) && priors.iter().all(is_on_line) && is_of_scale(&sigma);
        agrees.then_some(LinearRegression { x: design.x, y, coefficients: priors, sigma })
    }
}

impl DataLogDensity for LinearRegression {
    fn dim(&self) -> usize {
        self.x.ncols() + 1
    }

    fn n_data(&self) -> usize {
        self.y.len()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let p = self.coefficients.len();
        let mut value = 0.0;
        for (j, prior) in self.coefficients.iter().enumerate() {
            let (v, g) = on_line(*prior, z[j]);
            value += v;
            gradient[j] = g;
        }
        let (v, g) = on_log(self.sigma, z[p]);
        gradient[p] = g;
        finite(value + v)
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        // −n (η + ½ log 2π) − ½ e^{−2η} Σ (y_n − x_n · β)²
        let (beta, eta) = (ArrayView1::from(&z[..z.len() - 1]), z[z.len() - 1]);
        let precision = (-2.0 * eta).exp();
        let n = rows.len() as f64;
        let mut squares = 0.0;
        gradient.fill(0.0);
        for &row in rows {
            let x = self.x.row(row);
            let r = self.y[row] - x.dot(&beta);
            squares += r * r;
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += precision * r * x);
        }
        gradient[z.len() - 1] = precision * squares - n;
        finite(-n * (eta + HALF_LOG_2PI) - 0.5 * precision * squares)
    }
}

super::all_rows!(LinearRegression);

impl Posterior for LinearRegression {
    fn form(&self) -> &'static str {
        "linear regression"
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(super::terms::linear_regression(self)?))
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
}
