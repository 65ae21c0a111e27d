use super::check_counts;
use crate::dist::{Categorical, Dirichlet};
use crate::error::{ErrorKind, Result};
use crate::special::lgamma_delta;
use ndarray::ArrayView1;

/// Category probabilities: π ~ Dirichlet(α), x_n ~ Categorical(π).   PRML 2.41
///
/// ```
/// use lvm_core::{conjugate::DirichletCategorical, dist::Dirichlet};
/// use ndarray::array;
/// let belief = DirichletCategorical { probabilities: Dirichlet::new(array![1.0, 1.0, 1.0].view())? };
/// let belief = belief.posterior(array![4.0, 0.0, 1.0].view())?;
/// assert!((belief.predictive()?.log_prob(0) - (5.0_f64 / 8.0).ln()).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DirichletCategorical {
    /// The belief about π.
    pub probabilities: Dirichlet,
}

impl DirichletCategorical {
    /// The belief Dirichlet(α + c) after c_k observations of category k, `counts` (K).
    ///
    /// # Errors
    /// If the length differs or a value is not a count.
    pub fn posterior(&self, counts: ArrayView1<'_, f64>) -> Result<Self> {
        self.check(counts)?;
        Ok(Self { probabilities: Dirichlet::new((&self.probabilities.alpha() + &counts).view())? })
    }

    /// log p(x₁ … x_n) = Σ_k log Γ(α_k + c_k)/Γ(α_k) − log Γ(A + n)/Γ(A), of the sequence: no multinomial coefficient.
    ///
    /// # Errors
    /// If the length differs or a value is not a count.
    pub fn log_evidence(&self, counts: ArrayView1<'_, f64>) -> Result<f64> {
        self.check(counts)?;
        let alpha = self.probabilities.alpha();
        let each: f64 = alpha.iter().zip(counts).map(|(a, c)| lgamma_delta(*a, *c)).sum();
        Ok(each - lgamma_delta(alpha.sum(), counts.sum()))
    }

    /// The next observation: category k with probability α_k/A.
    ///
    /// # Errors
    /// Never for valid concentrations.
    pub fn predictive(&self) -> Result<Categorical> {
        Categorical::new(self.probabilities.mean().view())
    }

    fn check(&self, counts: ArrayView1<'_, f64>) -> Result<()> {
        let expected = self.probabilities.alpha().len();
        if counts.len() != expected {
            return Err(ErrorKind::Shape { what: "counts", expected, found: counts.len() }.into());
        }
        check_counts("counts", counts)
    }
}
