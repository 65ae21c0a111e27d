//! The supplied exponential families, and distributions by their natural parameters.

use super::exponential_family::{ExponentialFamily, same_length};
use lvm_core::conjugate::NormalGamma;
use lvm_core::dist::{Beta, Dirichlet, Gamma, Normal, Univariate};
use lvm_core::special::{deviance, digamma, lbeta, lgamma};
use lvm_core::{Error, Result};
use ndarray::ArrayView1;

/// An exponential family of which A, ∇A and the Kullback–Leibler divergence are in closed form.
///
/// | family | over | t(θ) | η | domain | h(θ) |
/// |---|---|---|---|---|---|
/// | `Normal`, N(m, 1/λ) | x | x, −x²/2 | λm, λ | λ > 0 | (2π)^−½ |
/// | `NormalGamma`, N(μ; m, 1/(λτ)) Gamma(τ; a, b) | μ, τ | τμ, −τμ²/2, log τ, −τ | λm, λ, a − ½, b + λm²/2 | λ, a, b > 0 | (2π)^−½ |
/// | `Gamma`, shape a, rate b | x | log x, −x | a, b | a, b > 0 | 1/x |
/// | `Beta`, (a, b) | x | log x, log(1 − x) | a, b | a, b > 0 | 1/(x(1 − x)) |
/// | `Dirichlet`, α (K) | x | log x_k | α | α_k > 0 | Π 1/x_k |
///
/// The prior of a normal mean of known precision is `Normal`; of unknown precision `NormalGamma`.
///
/// # Numerics
/// Signs and h are such that η is what is commonly written, wherever that is possible. b of `NormalGamma` is a difference in η,
/// b = η₄ − η₁²/(2η₂): the rate loses as many digits as m²λ/(2b) has, so take a constant near the mean off data that are far from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Factor {
    /// N(m, 1/λ).
    Normal,
    /// μ | τ ~ N(m, 1/(λτ)), τ ~ Gamma(a, b).
    NormalGamma,
    /// Gamma(a, rate b).
    Gamma,
    /// Beta(a, b).
    Beta,
    /// Dirichlet(α).
    Dirichlet {
        /// K ≥ 1.
        categories: usize,
    },
}

/// A distribution by the natural parameters of its family ([`Factor`]), and back.
///
/// ```
/// use lvm_core::{conjugate::NormalGamma, dist::Gamma};
/// use lvm_vi::cavi::conjugate::Natural;
/// let belief = NormalGamma::new(2.0, 4.0, Gamma::new(3.0, 1.0)?)?;
/// assert_eq!(belief.natural(), [8.0, 4.0, 2.5, 9.0]);
/// assert_eq!(NormalGamma::from_natural(&belief.natural())?, belief);
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub trait Natural: Sized {
    /// Its family.
    fn factor(&self) -> Factor;

    /// η.
    fn natural(&self) -> Vec<f64>;

    /// The distribution with natural parameters η.
    ///
    /// # Errors
    /// If the length differs, or η is outside the domain.
    fn from_natural(natural: &[f64]) -> Result<Self>;
}

impl Factor {
    /// What is wrong with η of the right length, if anything is.
    pub(super) fn outside(self, natural: &[f64]) -> Option<String> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let (inside, allowed) = match (self, natural) {
            (Factor::Normal, &[first, precision]) => (first.is_finite() && positive(precision), "λ = η₂ must be positive, and η₁ finite"),
            (Factor::NormalGamma, &[first, lambda, power, square]) => {
                let inside = first.is_finite() && positive(lambda) && positive(power + 0.5) && positive(rate(first, lambda, square));
                (inside, "λ = η₂, a = η₃ + ½ and b = η₄ − η₁²/(2η₂) must be positive, and η₁ finite")
            }
            (Factor::Gamma, _) => (natural.iter().all(|v| positive(*v)), "shape η₁ and rate η₂ must be positive"),
            (Factor::Beta, _) => (natural.iter().all(|v| positive(*v)), "both must be positive"),
            (Factor::Dirichlet { .. }, _) => {
                (!natural.is_empty() && natural.iter().all(|v| positive(*v)), "at least one concentration, all positive")
            }
            // only lengths that fit come here
            (Factor::Normal | Factor::NormalGamma, _) => (false, "the length differs"),
        };
        (!inside).then(|| format!("{natural:?} is outside the domain of {self:?}: {allowed}"))
    }
}

/// b of a normal-gamma.
fn rate(first: f64, lambda: f64, square: f64) -> f64 {
    square - 0.5 * first * (first / lambda)
}

impl ExponentialFamily for Factor {
    fn dim(&self) -> usize {
        match self {
            Factor::Normal | Factor::Gamma | Factor::Beta => 2,
            Factor::NormalGamma => 4,
            Factor::Dirichlet { categories } => *categories,
        }
    }

    fn check(&self, natural: &[f64]) -> Result<()> {
        same_length(self.dim(), natural.len())?;
        match self.outside(natural) {
            Some(why) => Err(Error::config("natural parameters", why)),
            None => Ok(()),
        }
    }

    fn log_normaliser(&self, natural: &[f64]) -> Result<f64> {
        self.check(natural)?;
        Ok(match self {
            // ½ λ m² − ½ log λ
            Factor::Normal => 0.5 * natural[0] * (natural[0] / natural[1]) - 0.5 * natural[1].ln(),
            // log Γ(a) − a log b − ½ log λ
            Factor::NormalGamma => {
                let (a, b) = (natural[2] + 0.5, rate(natural[0], natural[1], natural[3]));
                lgamma(a) - a * b.ln() - 0.5 * natural[1].ln()
            }
            Factor::Gamma => lgamma(natural[0]) - natural[0] * natural[1].ln(),
            Factor::Beta => lbeta(natural[0], natural[1]),
            Factor::Dirichlet { .. } => natural.iter().map(|a| lgamma(*a)).sum::<f64>() - lgamma(natural.iter().sum()),
        })
    }

    fn expected_statistics(&self, natural: &[f64]) -> Result<Vec<f64>> {
        self.check(natural)?;
        Ok(match self {
            Factor::Normal => {
                let mean = natural[0] / natural[1];
                vec![mean, -0.5 * (mean * mean + 1.0 / natural[1])]
            }
            // E[τμ] = m E[τ],  E[τμ²] = m² E[τ] + 1/λ
            Factor::NormalGamma => {
                let q = NormalGamma::from_natural(natural)?;
                let (m, tau) = (q.mean(), q.precision().mean());
                vec![m * tau, -0.5 * (m * m * tau + 1.0 / q.lambda()), q.precision().mean_log(), -tau]
            }
            Factor::Gamma => {
                let q = Gamma::from_natural(natural)?;
                vec![q.mean_log(), -q.mean()]
            }
            Factor::Beta => {
                let at_total = digamma(natural[0] + natural[1]);
                vec![digamma(natural[0]) - at_total, digamma(natural[1]) - at_total]
            }
            Factor::Dirichlet { .. } => Dirichlet::from_natural(natural)?.mean_log().to_vec(),
        })
    }

    fn kl(&self, q: &[f64], p: &[f64]) -> Result<f64> {
        Ok(match self {
            Factor::Normal => Normal::from_natural(q)?.kl(&Normal::from_natural(p)?),
            Factor::NormalGamma => {
                let (q, p) = (NormalGamma::from_natural(q)?, NormalGamma::from_natural(p)?);
                // KL of the precisions + E_τ KL(N(m, 1/(λτ)) ‖ N(m_p, 1/(λ_p τ))) = … + ½ [r − 1 − log r + λ_p E[τ] (m − m_p)²],  r = λ_p/λ
                let away = q.mean() - p.mean();
                let means = deviance(1.0, p.lambda() / q.lambda(), (q.lambda() - p.lambda()) / q.lambda());
                q.precision().kl(&p.precision()) + 0.5 * (means + p.lambda() * q.precision().mean() * away * away)
            }
            Factor::Gamma => Gamma::from_natural(q)?.kl(&Gamma::from_natural(p)?),
            Factor::Beta => Beta::from_natural(q)?.kl(&Beta::from_natural(p)?),
            Factor::Dirichlet { .. } => {
                self.check(q)?;
                self.check(p)?;
                Dirichlet::from_natural(q)?.kl(&Dirichlet::from_natural(p)?)?
            }
        })
    }
}

impl Natural for Normal {
    fn factor(&self) -> Factor {
        Factor::Normal
    }

    fn natural(&self) -> Vec<f64> {
        let precision = 1.0 / (self.sd() * self.sd());
        vec![precision * self.mean(), precision]
    }

    fn from_natural(natural: &[f64]) -> Result<Self> {
        Factor::Normal.check(natural)?;
        Normal::new(natural[0] / natural[1], 1.0 / natural[1].sqrt())
    }
}

impl Natural for NormalGamma {
    fn factor(&self) -> Factor {
        Factor::NormalGamma
    }

    fn natural(&self) -> Vec<f64> {
        let (m, lambda, precision) = (self.mean(), self.lambda(), self.precision());
        vec![lambda * m, lambda, precision.shape() - 0.5, precision.rate() + 0.5 * lambda * m * m]
    }

    fn from_natural(natural: &[f64]) -> Result<Self> {
        Factor::NormalGamma.check(natural)?;
        let precision = Gamma::new(natural[2] + 0.5, rate(natural[0], natural[1], natural[3]))?;
        NormalGamma::new(natural[0] / natural[1], natural[1], precision)
    }
}

impl Natural for Gamma {
    fn factor(&self) -> Factor {
        Factor::Gamma
    }

    fn natural(&self) -> Vec<f64> {
        vec![self.shape(), self.rate()]
    }

    fn from_natural(natural: &[f64]) -> Result<Self> {
        Factor::Gamma.check(natural)?;
        Gamma::new(natural[0], natural[1])
    }
}

impl Natural for Beta {
    fn factor(&self) -> Factor {
        Factor::Beta
    }

    fn natural(&self) -> Vec<f64> {
        vec![self.a(), self.b()]
    }

    fn from_natural(natural: &[f64]) -> Result<Self> {
        Factor::Beta.check(natural)?;
        Beta::new(natural[0], natural[1])
    }
}

impl Natural for Dirichlet {
    fn factor(&self) -> Factor {
        Factor::Dirichlet { categories: self.alpha().len() }
    }

    fn natural(&self) -> Vec<f64> {
        self.alpha().to_vec()
    }

    fn from_natural(natural: &[f64]) -> Result<Self> {
        Factor::Dirichlet { categories: natural.len() }.check(natural)?;
        Dirichlet::new(ArrayView1::from(natural))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::derivative;

    fn cases() -> Vec<(Factor, Vec<f64>, Vec<f64>)> {
        let gamma = |a, b| Gamma::new(a, b).unwrap();
        let normal_gamma = |m, lambda, a, b| NormalGamma::new(m, lambda, gamma(a, b)).unwrap().natural();
        vec![
            (Factor::Normal, Normal::new(1.5, 0.7).unwrap().natural(), Normal::new(-0.5, 2.0).unwrap().natural()),
            (Factor::NormalGamma, normal_gamma(1.5, 3.0, 2.2, 1.3), normal_gamma(-0.4, 0.8, 1.1, 2.0)),
            (Factor::Gamma, gamma(3.2, 2.0).natural(), gamma(0.7, 0.4).natural()),
            (Factor::Beta, vec![2.5, 0.6], vec![1.0, 3.0]),
            (Factor::Dirichlet { categories: 3 }, vec![0.5, 2.0, 7.0], vec![1.0, 1.5, 0.3]),
        ]
    }

    #[test]
    fn expected_statistics_are_the_gradient_of_the_log_normaliser() {
        for (family, q, _) in cases() {
            let t = family.expected_statistics(&q).unwrap();
            for j in 0..q.len() {
                let along = |h: f64| {
                    let mut eta = q.clone();
                    eta[j] += h;
                    family.log_normaliser(&eta)
                };
                // small enough to stay inside the domain; b of the normal-gamma is 1.3
                let d = derivative(along, 0.05).unwrap();
                assert!((d.value - t[j]).abs() < 1e-8 * t[j].abs().max(1.0), "{family:?} {j}: {} against {d:?}", t[j]);
            }
        }
    }

    #[test]
    fn divergences_are_bregman_divergences() {
        for (family, q, p) in cases() {
            let t = family.expected_statistics(&q).unwrap();
            let step: f64 = t.iter().zip(q.iter().zip(&p)).map(|(t, (q, p))| t * (p - q)).sum();
            let bregman = family.log_normaliser(&p).unwrap() - family.log_normaliser(&q).unwrap() - step;
            let kl = family.kl(&q, &p).unwrap();
            // a dozen roundings of terms up to about 20
            assert!((kl - bregman).abs() < 1e-13 * (1.0 + bregman) * 20.0, "{family:?}: {kl} against {bregman}");
            assert!(family.kl(&q, &q).unwrap().abs() < 1e-14, "{family:?}");
        }
    }

    #[test]
    fn what_is_outside_the_domain_is_refused() {
        for (family, q, _) in cases() {
            assert!(family.check(&q).is_ok());
            assert!(family.check(&q[1..]).is_err() && family.check(&[]).is_err(), "{family:?}");
            for j in 0..q.len() {
                let mut bad = q.clone();
                bad[j] = f64::NAN;
                assert!(family.check(&bad).is_err() && family.kl(&q, &bad).is_err(), "{family:?} {j}");
            }
            let mut bad = q.clone();
            bad[1] = -1.0;
            for e in [family.check(&bad).err(), family.log_normaliser(&bad).err(), family.expected_statistics(&bad).err()] {
                assert!(e.unwrap().to_string().contains("outside the domain"), "{family:?}");
            }
        }
        // b = 1 − 2²/2 < 0 though each entry alone is allowed
        assert!(Factor::NormalGamma.check(&[2.0, 1.0, 1.0, 1.0]).is_err());
        assert!(Factor::Dirichlet { categories: 2 }.kl(&[1.0, 1.0], &[1.0, 1.0, 1.0]).is_err());
    }
}
