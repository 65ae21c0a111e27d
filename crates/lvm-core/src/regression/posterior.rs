use super::least_squares::LeastSquares;
use crate::dist::{InverseGamma, MultivariateT, StudentT};
use crate::error::{Error, ErrorKind, Result};
use crate::special::lgamma_delta;
use ndarray::{Array1, Array2};

/// The exact posterior of y ~ N(Xβ, σ²) under a flat prior on (β, log σ) (Jeffreys: 1/σ in σ).   Gelman et al., *BDA3*, 14.2
///
/// σ² | y ~ inverse gamma(ν/2, rss/2), β | σ, y ~ N(β̂, σ² (XᵀX)⁻¹), so β | y is multivariate t with ν = N − P.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatPosterior {
    /// E\[β\] = β̂ (P).
    pub beta_mean: Array1<f64>,
    /// Cov(β) = rss/(ν − 2) (XᵀX)⁻¹ (P, P).
    pub beta_covariance: Array2<f64>,
    /// E\[σ\].
    pub sigma_mean: f64,
    /// The standard deviation of σ.
    pub sigma_sd: f64,
    /// The marginal of σ².
    pub variance: InverseGamma,
    degrees_of_freedom: f64,
}

impl FlatPosterior {
    pub(super) fn new(fit: &LeastSquares) -> Result<Self> {
        let nu = fit.degrees_of_freedom as f64;
        if fit.degrees_of_freedom <= 2 {
            let columns = fit.coefficients.len();
            let why = "the posterior variance under a flat prior";
            return Err(ErrorKind::TooFewRows { rows: columns + fit.degrees_of_freedom, needed: columns + 3, why }.into());
        }
        if !(fit.rss > 0.0) {
            return Err(Error::config("y", "the fit is exact (rss = 0), so the posterior is a point; check the data"));
        }
        // E[σ] = √(rss/2) Γ((ν−1)/2)/Γ(ν/2),  E[σ²] = rss/(ν − 2); the variance through expm1, not as a difference
        let ratio = lgamma_delta(0.5 * (nu - 1.0), 0.5);
        let sigma_mean = (0.5 * fit.rss).sqrt() * (-ratio).exp();
        let excess = (2.0 * ratio - (0.5 * (nu - 2.0)).ln()).exp_m1();
        Ok(Self {
            beta_mean: fit.coefficients.clone(),
            beta_covariance: &fit.unscaled_covariance * (fit.rss / (nu - 2.0)),
            sigma_mean,
            sigma_sd: sigma_mean * excess.sqrt(),
            variance: InverseGamma::new(0.5 * nu, 0.5 * fit.rss)?,
            degrees_of_freedom: nu,
        })
    }

    /// The standard deviations of β (P).
    pub fn beta_sd(&self) -> Array1<f64> {
        self.beta_covariance.diag().mapv(f64::sqrt)
    }

    /// β | y: multivariate t with ν degrees of freedom.
    ///
    /// # Errors
    /// If rounding left its scale matrix not positive definite.
    pub fn beta(&self) -> Result<MultivariateT> {
        let nu = self.degrees_of_freedom;
        MultivariateT::new(nu, self.beta_mean.view(), (&self.beta_covariance * ((nu - 2.0) / nu)).view())
    }

    /// The marginal of β_j: Student's t with ν degrees of freedom.
    ///
    /// # Errors
    /// If there is no column j.
    pub fn beta_marginal(&self, j: usize) -> Result<StudentT> {
        if j >= self.beta_mean.len() {
            return Err(Error::config("j", format!("there are {} coefficients, from 0", self.beta_mean.len())));
        }
        let nu = self.degrees_of_freedom;
        StudentT::new(nu, self.beta_mean[j], (self.beta_covariance[[j, j]] * ((nu - 2.0) / nu)).sqrt())
    }
}
