use super::check_counts;
use crate::dist::{Gamma, NegativeBinomial2, Normal, Univariate};
use crate::error::Result;
use crate::special::{lgamma, lgamma_delta, stirling_error};
use ndarray::ArrayView1;

/// A Poisson rate: λ ~ Gamma(a, rate b), x_n ~ Poisson(λ).
///
/// ```
/// use lvm_core::{conjugate::GammaPoisson, dist::{Gamma, Univariate}};
/// use ndarray::array;
/// let belief = GammaPoisson { rate: Gamma::new(2.0, 1.0)? }.posterior(array![3.0, 4.0].view())?;
/// // (2 + 7) / (1 + 2)
/// assert!((belief.rate.mean() - 3.0).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GammaPoisson {
    /// The belief about λ.
    pub rate: Gamma,
}

impl GammaPoisson {
    /// The belief Gamma(a + Σx, b + n) after the counts.
    ///
    /// # Errors
    /// If a value is not a count.
    pub fn posterior(&self, data: ArrayView1<'_, f64>) -> Result<Self> {
        check_counts("data", data)?;
        Ok(Self { rate: Gamma::new(self.rate.shape() + data.sum(), self.rate.rate() + data.len() as f64)? })
    }

    /// log p(x₁ … x_n) = log Γ(a + Σx)/Γ(a) − a log(1 + n/b) − Σx log(b + n) − Σ log x_n!.
    ///
    /// # Errors
    /// If a value is not a count.
    pub fn log_evidence(&self, data: ArrayView1<'_, f64>) -> Result<f64> {
        check_counts("data", data)?;
        let (a, b) = (self.rate.shape(), self.rate.rate());
        let (n, sum) = (data.len() as f64, data.sum());
        let factorials: f64 = data.iter().map(|x| lgamma(x + 1.0)).sum();
        Ok(lgamma_delta(a, sum) - a * (n / b).ln_1p() - sum * (b + n).ln() - factorials)
    }

    /// The next count: negative binomial with mean a/b and dispersion a.
    ///
    /// # Errors
    /// If the mean overflows.
    pub fn predictive(&self) -> Result<NegativeBinomial2> {
        NegativeBinomial2::new(self.rate.mean(), self.rate.shape())
    }

    /// The best Gaussian approximation of u = log λ, N(log(a/b) − 1/(2a), 1/a), and its Kullback–Leibler divergence
    /// log Γ(a) − [(a − ½) log a − a + ½ log 2π].
    ///
    /// # Errors
    /// If the variance overflows.
    pub fn gaussian_on_log_rate(&self) -> Result<(Normal, f64)> {
        // E_q[log p] = a m − b e^{m + v/2} + …: stationary where b e^{m + v/2} = a and v = 1/a
        let a = self.rate.shape();
        Ok((Normal::new(a.ln() - self.rate.rate().ln() - 0.5 / a, (1.0 / a).sqrt())?, stirling_error(a)))
    }
}
