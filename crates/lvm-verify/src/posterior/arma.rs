//! An autoregression with moving-average errors, ARMA(1, 1).

use super::quadrature::ByQuadrature;
use super::scale::{is_of_scale, is_on_line, on_line, on_log};
use super::text::{Clause, Prior, Statement, squeeze};
use super::{Posterior, finite};
use lvm_core::special::HALF_LOG_2PI;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;

/// y_t = μ + φ y_{t−1} + θ e_{t−1} + e_t, e_t ~ N(0, σ²), with e_1 = y_1 − (μ + φ μ); z = (μ, φ, θ, log σ).
#[derive(Debug, Clone)]
pub struct Arma {
    /// y (T).
    pub y: Array1<f64>,
    /// Priors of μ, φ, θ.
    pub line: [Prior; 3],
    /// Prior of σ.
    pub sigma: Prior,
}

impl Arma {
    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<Arma> {
        let y = s.columns.column("y")?.clone();
        let recursion = [
            Clause::Other("err_1=y_1-(mu+phimu)".to_owned()),
            Clause::Other("err_t=y_t-(mu+phiy_{t-1}+thetaerr_{t-1})".to_owned()),
            Clause::Other(format!("t=1..{}", y.len())),
        ];
        let is_normal = squeeze(s.sampled("err_t")?) == "Normal(0,sigma)";
        if s.names != ["mu", "phi", "theta", "sigma"] || !is_normal || recursion.iter().any(|c| !s.clauses.contains(c)) {
            return None;
        }
        let mut clauses = s.without(&["err_t"]);
        clauses.retain(|c| !recursion.contains(c));
        let p = Statement::priors(&clauses, &s.names)?;
        (p[..3].iter().all(is_on_line) && is_of_scale(&p[3])).then(|| Arma { y, line: [p[0], p[1], p[2]], sigma: p[3] })
    }
}

impl LogDensity for Arma {
    fn dim(&self) -> usize {
        4
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 4])
    }
}

impl LogDensityGrad for Arma {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (mu, phi, theta, eta) = (z[0], z[1], z[2], z[3]);
        let t = self.y.len() as f64;
        // e_t and its derivatives by (μ, φ, θ), carried along the recursion
        let mut e = self.y[0] - (mu + phi * mu);
        let mut d = [-1.0 - phi, -mu, 0.0];
        let (mut squares, mut slope) = (e * e, d.map(|d| e * d));
        for (now, before) in self.y.iter().skip(1).zip(&self.y) {
            d = [-1.0 - theta * d[0], -before - theta * d[1], -e - theta * d[2]];
            e = now - (mu + phi * before + theta * e);
            squares += e * e;
            slope.iter_mut().zip(d).for_each(|(s, d)| *s += e * d);
        }
        let precision = (-2.0 * eta).exp();
        let mut value = -t * (eta + HALF_LOG_2PI) - 0.5 * precision * squares;
        for i in 0..3 {
            let (v, g) = on_line(self.line[i], z[i]);
            value += v;
            gradient[i] = g - precision * slope[i];
        }
        let (v, g) = on_log(self.sigma, eta);
        gradient[3] = g + precision * squares - t;
        finite(value + v)
    }
}

impl Posterior for Arma {
    fn form(&self) -> &'static str {
        "ARMA(1, 1)"
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(ByQuadrature::whole(self)?))
    }
    fn is_integrated(&self) -> bool {
        true
    }
    fn cost(&self) -> usize {
        4 * self.y.len()
    }
}
