//! Success rates of groups under a common normal distribution of their logits: surgical mortality in hospitals.

use super::quadrature::{ByQuadrature, Part, Tensor};
use super::scale::{is_of_scale, is_on_line, on_line, on_log};
use super::terms;
use super::text::{Prior, Statement, squeeze};
use super::{Parametrisation, Posterior, finite};
use lvm_core::special::{lgamma, sigmoid, softplus};
use lvm_vi::expectation::{GaussianExpectation, LogJoint};
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;

/// y_j ~ Binomial(m_j, σ(μ + τ z_j)), z_j ~ N(0, 1); z = (z_1 … z_J, μ, log τ).
#[derive(Debug, Clone)]
pub struct HierarchicalLogit {
    /// y (J).
    pub y: Array1<f64>,
    /// m (J).
    pub trials: Array1<f64>,
    /// Prior of μ.
    pub mu: Prior,
    /// Prior of τ.
    pub tau: Prior,
}

const EFFECTS: Parametrisation = Parametrisation::NonCentred;

impl HierarchicalLogit {
    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<HierarchicalLogit> {
        let (effects, hyper) = s.names.split_at_checked(s.names.len().checked_sub(2)?)?;
        if squeeze(s.sampled("y_j")?) != "Binomial(K_j,logit^-1(mu+tauz_j))" || squeeze(s.sampled("z_j")?) != "Normal(0,1)" {
            return None;
        }
        let (y, trials) = (s.columns.column("y")?.clone(), s.columns.column("K")?.clone());
        let priors = Statement::priors(&s.without(&["y_j", "z_j"]), hyper)?;
        let named = effects.iter().enumerate().all(|(j, n)| *n == format!("z{}", j + 1)) && hyper == ["mu", "tau"];
        let agrees = named && effects.len() == y.len() && trials.len() == y.len() && is_on_line(&priors[0]) && is_of_scale(&priors[1]);
        agrees.then_some(HierarchicalLogit { y, trials, mu: priors[0], tau: priors[1] })
    }
}

impl HierarchicalLogit {
    /// log Binomial(y_j; m_j, σ(θ)) = log C(m, y) + y θ − m log(1 + e^θ), and its derivative by θ.
    fn group(&self, j: usize, theta: f64) -> (f64, f64) {
        let (y, m) = (self.y[j], self.trials[j]);
        let choose = lgamma(m + 1.0) - lgamma(y + 1.0) - lgamma(m - y + 1.0);
        (choose + y * theta - m * softplus(theta), y - m * sigmoid(theta))
    }
}

impl DataLogDensity for HierarchicalLogit {
    fn dim(&self) -> usize {
        self.y.len() + 2
    }

    fn n_data(&self) -> usize {
        self.y.len()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let j = self.y.len();
        let (mu_value, mu_gradient) = on_line(self.mu, z[j]);
        let (tau_value, tau_gradient) = on_log(self.tau, z[j + 1]);
        gradient[j] = mu_gradient;
        gradient[j + 1] = tau_gradient;
        finite(EFFECTS.log_prior_grad(j, z[j], z[j + 1], z, gradient, [j, j + 1]) + mu_value + tau_value)
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let j = self.y.len();
        let mut value = 0.0;
        gradient.fill(0.0);
        for &row in rows {
            let (log_density, slope) = self.group(row, EFFECTS.effect(z[row], z[j], z[j + 1]));
            value += log_density;
            EFFECTS.add_effect_grad(slope, row, z, gradient, [j, j + 1]);
        }
        finite(value)
    }
}

super::all_rows!(HierarchicalLogit);

impl Posterior for HierarchicalLogit {
    fn form(&self) -> &'static str {
        "hierarchical logit"
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        let n = self.y.len();
        let mut closed = LogJoint::new(n + 2)?;
        terms::effects(&mut closed, EFFECTS, n, n, n + 1)?;
        terms::line(&mut closed, n, self.mu)?;
        terms::scale(&mut closed, n + 1, self.tau)?;
        // the likelihood of a group is a function of (log τ, μ, z_j)
        let part = |j: usize| {
            let part: Part<'_> = Box::new(move |u, g| {
                let (tau, mu, z) = (u[0].exp(), u[1], u[2]);
                let (value, slope) = self.group(j, mu + tau * z);
                g.copy_from_slice(&[slope * tau * z, slope, slope * tau]);
                value.is_finite().then_some(value)
            });
            (vec![n + 1, n, j], part)
        };
        Ok(Box::new(ByQuadrature { closed: Some(closed), parts: (0..n).map(part).collect(), rule: Tensor::affordable(3)?, dim: n + 2 }))
    }
    fn is_integrated(&self) -> bool {
        true
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
}
