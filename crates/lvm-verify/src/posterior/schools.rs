//! Means of groups known with error, under a common normal distribution: eight schools.

use super::scale::{is_of_scale, is_on_line, on_line, on_log};
use super::text::{Prior, Statement, squeeze};
use super::{Parametrisation, Posterior, finite};
use lvm_core::special::HALF_LOG_2PI;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;

/// y_j ~ N(θ_j, s_j²), θ_j ~ N(μ, τ²); z = (θ_1 … θ_J, μ, log τ), or (z_1 … z_J, μ, log τ) with θ_j = μ + τ z_j.
#[derive(Debug, Clone)]
pub struct Schools {
    /// y (J).
    pub y: Array1<f64>,
    /// s (J), known.
    pub sd: Array1<f64>,
    /// How θ is written.
    pub parametrisation: Parametrisation,
    /// Prior of μ.
    pub mu: Prior,
    /// Prior of τ.
    pub tau: Prior,
}

impl Schools {
    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<Schools> {
        let (effects, hyper) = s.names.split_at_checked(s.names.len().checked_sub(2)?)?;
        let (parametrisation, letter, rest) = match squeeze(s.sampled("y_j")?).as_str() {
            "Normal(mu+tauz_j,sigma_j)" if squeeze(s.sampled("z_j")?) == "Normal(0,1)" => {
                (Parametrisation::NonCentred, "z", ["y_j", "z_j"])
            }
            "Normal(theta_j,sigma_j)" if squeeze(s.sampled("theta_j")?) == "Normal(mu,tau)" => {
                (Parametrisation::Centred, "theta", ["y_j", "theta_j"])
            }
            _ => return None,
        };
        let (y, sd) = (s.columns.column("y")?.clone(), s.columns.column("sigma")?.clone());
        let named = effects.iter().enumerate().all(|(j, n)| *n == format!("{letter}{}", j + 1)) && hyper == ["mu", "tau"];
        let priors = Statement::priors(&s.without(&rest), hyper)?;
        let agrees = named && effects.len() == y.len() && sd.len() == y.len() && is_on_line(&priors[0]) && is_of_scale(&priors[1]);
        agrees.then_some(Schools { y, sd, parametrisation, mu: priors[0], tau: priors[1] })
    }
}

impl DataLogDensity for Schools {
    fn dim(&self) -> usize {
        self.y.len() + 2
    }

    fn n_data(&self) -> usize {
        self.y.len()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let j = self.y.len();
        let (mu, eta) = (z[j], z[j + 1]);
        let (mu_value, mu_gradient) = on_line(self.mu, mu);
        let (tau_value, tau_gradient) = on_log(self.tau, eta);
        gradient[j] = mu_gradient;
        gradient[j + 1] = tau_gradient;
        let effects = self.parametrisation.log_prior_grad(j, mu, eta, z, gradient, [j, j + 1]);
        finite(effects + mu_value + tau_value)
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let j = self.y.len();
        let mut value = 0.0;
        gradient.fill(0.0);
        for &row in rows {
            let theta = self.parametrisation.effect(z[row], z[j], z[j + 1]);
            let r = (self.y[row] - theta) / self.sd[row];
            value -= 0.5 * r * r + self.sd[row].ln() + HALF_LOG_2PI;
            self.parametrisation.add_effect_grad(r / self.sd[row], row, z, gradient, [j, j + 1]);
        }
        finite(value)
    }
}

super::all_rows!(Schools);

impl Posterior for Schools {
    fn form(&self) -> &'static str {
        match self.parametrisation {
            Parametrisation::Centred => "group means, centred",
            Parametrisation::NonCentred => "group means, non-centred",
        }
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(super::terms::schools(self)?))
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
}
