//! Exponential families of global latents, and products of them.

use super::factor::Factor;
use lvm_core::{Error, ErrorKind, Result};

/// A family q(θ; η) = h(θ) exp(ηᵀ t(θ) − A(η)) over global latents θ: all that is needed of it to climb an ELBO.
///
/// [`Factor`] has the common ones and [`Product`] puts several side by side; another family is a type of one's own with this trait.
///
/// ```
/// use lvm_core::dist::Gamma;
/// use lvm_vi::cavi::conjugate::{ExponentialFamily, Factor, Natural};
/// let (q, p) = (Gamma::new(3.0, 2.0)?.natural(), Gamma::new(1.0, 1.0)?.natural());
/// // ∇A = E[t], and KL(q ‖ p) = A(η_p) − A(η_q) − (η_p − η_q)ᵀ E_q[t]
/// let t = Factor::Gamma.expected_statistics(&q)?;
/// let bregman = Factor::Gamma.log_normaliser(&p)? - Factor::Gamma.log_normaliser(&q)? - (p[0] - q[0]) * t[0] - (p[1] - q[1]) * t[1];
/// assert!((Factor::Gamma.kl(&q, &p)? - bregman).abs() < 1e-13);
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub trait ExponentialFamily: Sync {
    /// P, how many natural parameters there are.
    fn dim(&self) -> usize;

    /// Refuses η of another length or outside the domain, where A(η) is not finite.
    ///
    /// # Errors
    /// Which entries, and what is allowed.
    fn check(&self, natural: &[f64]) -> Result<()>;

    /// A(η) = log ∫ h(θ) exp(ηᵀ t(θ)) dθ.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn log_normaliser(&self, natural: &[f64]) -> Result<f64>;

    /// E_q[t(θ)] = ∇A(η) (P).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn expected_statistics(&self, natural: &[f64]) -> Result<Vec<f64>>;

    /// KL(q ‖ p) = A(η_p) − A(η_q) − (η_p − η_q)ᵀ ∇A(η_q), the Bregman divergence of A. As it stands here it loses digits where q and p are
    /// close or their parameters large; the supplied families have it in forms that do not.
    ///
    /// # Errors
    /// As [`check`](Self::check), of either.
    fn kl(&self, q: &[f64], p: &[f64]) -> Result<f64> {
        let step: f64 = self.expected_statistics(q)?.iter().zip(q.iter().zip(p)).map(|(t, (q, p))| t * (p - q)).sum();
        Ok(self.log_normaliser(p)? - self.log_normaliser(q)? - step)
    }
}

/// Independent factors, their natural parameters one after another.
///
/// ```
/// use lvm_core::dist::{Dirichlet, Gamma};
/// use lvm_vi::cavi::conjugate::{ExponentialFamily, Factor, Natural, Product};
/// let (weights, rate) = (Dirichlet::new(ndarray::array![1.0, 2.0, 3.0].view())?, Gamma::new(4.0, 5.0)?);
/// let family = Product(vec![Factor::Dirichlet { categories: 3 }, Factor::Gamma]);
/// let eta = [weights.natural(), rate.natural()].concat();
/// assert_eq!(eta, [1.0, 2.0, 3.0, 4.0, 5.0]);
/// assert_eq!(Gamma::from_natural(family.part(1, &eta)?)?, rate);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Product(
    /// The factors, in the order of their parameters.
    pub Vec<Factor>,
);

impl Product {
    /// The natural parameters (or expected statistics) of factor `index`, cut out of those of all.
    ///
    /// # Errors
    /// If there is no such factor, or the length differs.
    pub fn part<'a>(&self, index: usize, natural: &'a [f64]) -> Result<&'a [f64]> {
        same_length(self.dim(), natural.len())?;
        let start = self.0.iter().take(index).map(Factor::dim).sum::<usize>();
        match self.0.get(index) {
            Some(factor) => Ok(&natural[start..start + factor.dim()]),
            None => Err(Error::config("index", format!("factor {index} (from 0) asked for; there are {}", self.0.len()))),
        }
    }

    /// The factors with their parts of η.
    fn parts<'a>(&'a self, natural: &'a [f64]) -> Result<impl Iterator<Item = (&'a Factor, &'a [f64])>> {
        same_length(self.dim(), natural.len())?;
        let mut rest = natural;
        Ok(self.0.iter().map(move |factor| {
            let (own, after) = rest.split_at(factor.dim());
            rest = after;
            (factor, own)
        }))
    }
}

impl ExponentialFamily for Product {
    fn dim(&self) -> usize {
        self.0.iter().map(Factor::dim).sum()
    }

    fn check(&self, natural: &[f64]) -> Result<()> {
        for (index, (factor, own)) in self.parts(natural)?.enumerate() {
            if let Some(why) = factor.outside(own) {
                return Err(Error::config("natural parameters", format!("of factor {index} (from 0): {why}")));
            }
        }
        Ok(())
    }

    fn log_normaliser(&self, natural: &[f64]) -> Result<f64> {
        self.check(natural)?;
        self.parts(natural)?.map(|(factor, own)| factor.log_normaliser(own)).sum()
    }

    fn expected_statistics(&self, natural: &[f64]) -> Result<Vec<f64>> {
        self.check(natural)?;
        let parts: Vec<Vec<f64>> = self.parts(natural)?.map(|(factor, own)| factor.expected_statistics(own)).collect::<Result<_>>()?;
        Ok(parts.concat())
    }

    fn kl(&self, q: &[f64], p: &[f64]) -> Result<f64> {
        self.check(q)?;
        self.check(p)?;
        self.parts(q)?.zip(self.parts(p)?).map(|((factor, q), (_, p))| factor.kl(q, p)).sum()
    }
}

/// Refuses natural parameters of another length.
pub(super) fn same_length(expected: usize, found: usize) -> Result<()> {
    if found != expected {
        return Err(ErrorKind::Shape { what: "number of natural parameters", expected, found }.into());
    }
    Ok(())
}
