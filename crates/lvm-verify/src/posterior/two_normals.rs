//! A mixture of two normal distributions in order, its responsibilities summed out.

use super::quadrature::ByQuadrature;
use super::scale::{on_line, on_log};
use super::text::{Clause, Prior, Statement, capture, squeeze};
use super::{Posterior, finite};
use lvm_core::special::{HALF_LOG_2PI, lbeta, log_sigmoid, sigmoid};
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;
use std::f64::consts::LN_2;

/// y_n ~ π N(μ₁, σ₁²) + (1 − π) N(μ₂, σ₂²), μ₁ < μ₂; z = (μ₁, log(μ₂ − μ₁), log σ₁, log σ₂, logit π).
#[derive(Debug, Clone)]
pub struct TwoNormals {
    /// y (N).
    pub y: Array1<f64>,
    /// Standard deviation of the normal prior (mean 0) of each mean before they are put in order.
    pub means: f64,
    /// Prior of each standard deviation.
    pub sigma: Prior,
    /// a and b of the beta prior of π.
    pub weight: [f64; 2],
}

impl TwoNormals {
    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<TwoNormals> {
        let names = ["mu1", "mu2", "sigma1", "sigma2", "theta"];
        let supports = ["real", "> mu[1]", "positive", "positive", "(0,1)"];
        let unconstrained = s.unconstrained.starts_with("u=(mu1,log(mu2-mu1),logsigma1,logsigma2,logittheta)");
        if s.names != names || s.supports != supports || !unconstrained {
            return None;
        }
        // the likelihood is a sum, which no clause of one distribution is
        let mixture = squeeze(s.sampled("y_n")?) == "thetaN(mu1,sigma1)+(1-theta)N(mu2,sigma2)";
        let rest = s.without(&["y_n"]);
        let ordered = rest.iter().find_map(|c| match c {
            Clause::Other(t) => capture("(mu1,mu2)orderedpairofNormal(0,{}):density2N(mu1|0,{})N(mu2|0,{})onmu1<mu2", t),
            Clause::Sampled { .. } => None,
        })?;
        let others: Vec<Clause> = rest.into_iter().filter(|c| matches!(c, Clause::Sampled { .. })).collect();
        let priors = Statement::priors(&others, &["sigma_k".to_owned(), "theta".to_owned()])?;
        let (Prior::HalfNormal(_) | Prior::HalfCauchy(_), Prior::Beta(a, b)) = (priors[0], priors[1]) else { return None };
        let agrees = mixture && others.len() == 2 && s.clauses.len() == 4 && ordered.iter().all(|t| *t == ordered[0]);
        let (y, means) = (s.columns.column("y")?.clone(), ordered[0].parse().ok()?);
        agrees.then_some(TwoNormals { y, means, sigma: priors[0], weight: [a, b] })
    }
}

impl DataLogDensity for TwoNormals {
    fn dim(&self) -> usize {
        5
    }

    fn n_data(&self) -> usize {
        self.y.len()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        // p(μ₁, μ₂) = 2 N(μ₁) N(μ₂) on μ₁ < μ₂, and μ₂ = μ₁ + e^{z₂} with log|J| = z₂
        let gap = z[1].exp();
        let normal = Prior::Normal(0.0, self.means);
        let ((first, d_first), (second, d_second)) = (on_line(normal, z[0]), on_line(normal, z[0] + gap));
        gradient[0] = d_first + d_second;
        gradient[1] = d_second * gap + 1.0;
        let mut value = LN_2 + first + second + z[1];
        for i in [2, 3] {
            let (v, g) = on_log(self.sigma, z[i]);
            value += v;
            gradient[i] = g;
        }
        // the beta density times π (1 − π), the Jacobian of the logit
        let [a, b] = self.weight;
        let pi = sigmoid(z[4]);
        gradient[4] = a * (1.0 - pi) - b * pi;
        let beta = a * log_sigmoid(z[4]) + b * log_sigmoid(-z[4]) - lbeta(a, b);
        finite(value + beta)
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let gap = z[1].exp();
        let (mu, inverse) = ([z[0], z[0] + gap], [(-z[2]).exp(), (-z[3]).exp()]);
        let prior = [log_sigmoid(z[4]) - z[2] - HALF_LOG_2PI, log_sigmoid(-z[4]) - z[3] - HALF_LOG_2PI];
        let pi = sigmoid(z[4]);
        let mut value = 0.0;
        gradient.fill(0.0);
        for &row in rows {
            let r = [(self.y[row] - mu[0]) * inverse[0], (self.y[row] - mu[1]) * inverse[1]];
            let log = [prior[0] - 0.5 * r[0] * r[0], prior[1] - 0.5 * r[1] * r[1]];
            let first = sigmoid(log[0] - log[1]);
            value += log[0].max(log[1]) + (-(log[0] - log[1]).abs()).exp().ln_1p();
            // Fisher's identity: responsibilities weigh the derivatives of the parts
            let d = [first * r[0] * inverse[0], (1.0 - first) * r[1] * inverse[1]];
            gradient[0] += d[0] + d[1];
            gradient[1] += d[1] * gap;
            gradient[2] += first * (r[0] * r[0] - 1.0);
            gradient[3] += (1.0 - first) * (r[1] * r[1] - 1.0);
            gradient[4] += first - pi;
        }
        finite(value)
    }
}

super::all_rows!(TwoNormals);

impl Posterior for TwoNormals {
    fn form(&self) -> &'static str {
        "two normals in order"
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(ByQuadrature::whole(self)?))
    }
    fn is_integrated(&self) -> bool {
        true
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
}
