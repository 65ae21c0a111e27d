//! Mixture weights: a Dirichlet distribution, or the sticks of a truncated Dirichlet process.

use lvm_core::dist::{Beta, Dirichlet};
use lvm_core::mutant::planted;
use lvm_core::special::{digamma, lbeta};
use lvm_core::{Error, Result};
use ndarray::Array1;

/// The prior of the weights π (K).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WeightPrior {
    /// π ~ Dirichlet(α₀, …, α₀). Below 1 it prefers few components of many.
    Dirichlet {
        /// α₀ > 0.
        concentration: f64,
    },
    /// π_k = v_k Π_{j<k} (1 − v_j) with v_k ~ Beta(1, α) for k < K and v_K = 1: a Dirichlet process cut off at K (Blei & Jordan 2006).
    DirichletProcess {
        /// α > 0; N rows have about α log(1 + N/α) components.
        concentration: f64,
    },
}

impl Default for WeightPrior {
    fn default() -> Self {
        WeightPrior::DirichletProcess { concentration: 1.0 }
    }
}

/// q(π), of the same form.
#[derive(Debug, Clone, PartialEq)]
pub enum WeightFactor {
    /// Dirichlet with concentrations α (K).
    Dirichlet(Array1<f64>),
    /// v_k ~ Beta(a_k, b_k) for k < K.
    Sticks {
        /// a (K − 1).
        a: Array1<f64>,
        /// b (K − 1).
        b: Array1<f64>,
    },
}

impl WeightPrior {
    /// Refuses a concentration that is not positive.
    pub(super) fn check(self) -> Result<()> {
        let (WeightPrior::Dirichlet { concentration } | WeightPrior::DirichletProcess { concentration }) = self;
        if concentration > 0.0 && concentration.is_finite() {
            return Ok(());
        }
        Err(Error::config("concentration", format!("{concentration} must be positive and finite")))
    }

    /// The best q(π) for expected counts N_k (K).
    ///
    /// ```text
    /// α_k = α₀ + N_k                             PRML 10.58
    /// a_k = 1 + N_k,   b_k = α + Σ_{j>k} N_j     Blei & Jordan 2006, eqs 18 and 19
    /// ```
    pub(super) fn update(self, counts: &Array1<f64>) -> WeightFactor {
        match self {
            WeightPrior::Dirichlet { concentration } => WeightFactor::Dirichlet(counts + concentration),
            WeightPrior::DirichletProcess { concentration } => {
                let sticks = counts.len() - 1;
                let mut rest = counts[sticks];
                let mut b = Array1::zeros(sticks);
                for k in (0..sticks).rev() {
                    b[k] = concentration + if planted("sticks_reversed") { counts.sum() - rest - counts[k] } else { rest };
                    rest += counts[k];
                }
                WeightFactor::Sticks { a: counts.iter().take(sticks).map(|n| 1.0 + n).collect(), b }
            }
        }
    }

    /// The order of the components under which the bound of the weights at their optimum, Σ_k log B(a_k, b_k) for sticks, is larger
    /// than in the present one, if descending counts are. The order is part of q for sticks, and any may be chosen.
    pub(super) fn better_order(self, counts: &Array1<f64>) -> Option<Vec<usize>> {
        let WeightPrior::DirichletProcess { concentration } = self else { return None };
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by(|&i, &j| counts[j].total_cmp(&counts[i]));
        let value = |order: &mut dyn DoubleEndedIterator<Item = usize>| {
            let mut rest = 0.0;
            let mut sum = 0.0;
            for (i, k) in order.rev().enumerate() {
                if i > 0 {
                    sum += lbeta(1.0 + counts[k], concentration + rest);
                }
                rest += counts[k];
            }
            sum
        };
        let (now, then) = (value(&mut (0..counts.len())), value(&mut order.iter().copied()));
        // a change of the size of rounding is no reason to move
        (then > now + 1e-12 * now.abs()).then_some(order)
    }
}

impl WeightFactor {
    /// K.
    pub fn n_components(&self) -> usize {
        match self {
            WeightFactor::Dirichlet(alpha) => alpha.len(),
            WeightFactor::Sticks { a, .. } => a.len() + 1,
        }
    }

    /// E\[π_k\] (K).
    pub fn mean(&self) -> Array1<f64> {
        match self {
            WeightFactor::Dirichlet(alpha) => alpha / alpha.sum(),
            WeightFactor::Sticks { a, b } => {
                let mut rest = 1.0;
                let mut out = Array1::zeros(a.len() + 1);
                for (k, (a, b)) in a.iter().zip(b).enumerate() {
                    out[k] = rest * a / (a + b);
                    rest *= b / (a + b);
                }
                out[a.len()] = rest;
                out
            }
        }
    }

    /// E\[log π_k\] (K).   PRML 10.66
    pub fn mean_log(&self) -> Array1<f64> {
        match self {
            WeightFactor::Dirichlet(alpha) => {
                let total = digamma(alpha.sum());
                alpha.mapv(|a| digamma(a) - total)
            }
            WeightFactor::Sticks { a, b } => {
                let mut before = 0.0;
                let mut out = Array1::zeros(a.len() + 1);
                for (k, (a, b)) in a.iter().zip(b).enumerate() {
                    let total = digamma(a + b);
                    out[k] = before + digamma(*a) - total;
                    before += digamma(*b) - total;
                }
                out[a.len()] = before;
                out
            }
        }
    }

    /// KL(q(π) ‖ p(π)).
    ///
    /// # Errors
    /// If the prior is of another form.
    pub fn kl(&self, prior: WeightPrior) -> Result<f64> {
        match (self, prior) {
            (WeightFactor::Dirichlet(alpha), WeightPrior::Dirichlet { concentration }) => {
                Dirichlet::new(alpha.view())?.kl(&Dirichlet::new(Array1::from_elem(alpha.len(), concentration).view())?)
            }
            (WeightFactor::Sticks { a, b }, WeightPrior::DirichletProcess { concentration }) => {
                let prior = Beta::new(1.0, concentration)?;
                a.iter().zip(b).map(|(a, b)| Ok(Beta::new(*a, *b)?.kl(&prior))).sum()
            }
            _ => Err(Error::config("weights", "q and the prior of the weights are of different forms")),
        }
    }

    /// η ← (1 − ρ) η + ρ η̂ in natural parameters, which are α, a and b themselves but for constants.
    pub(super) fn blend(&self, target: &Self, rho: f64) -> Self {
        let mix = |x: &Array1<f64>, y: &Array1<f64>| x * (1.0 - rho) + y * rho;
        match (self, target) {
            (WeightFactor::Dirichlet(x), WeightFactor::Dirichlet(y)) => WeightFactor::Dirichlet(mix(x, y)),
            (WeightFactor::Sticks { a, b }, WeightFactor::Sticks { a: c, b: d }) => WeightFactor::Sticks { a: mix(a, c), b: mix(b, d) },
            // invariant: both were made by one prior
            _ => unreachable!("weights of different forms"),
        }
    }

    /// Refuses parameters that are not positive.
    pub(super) fn check(&self) -> Result<()> {
        let (a, b) = match self {
            WeightFactor::Dirichlet(alpha) => (alpha, None),
            WeightFactor::Sticks { a, b } => (a, Some(b)),
        };
        let good = |v: &f64| *v > 0.0 && v.is_finite();
        if a.iter().all(good) && b.is_none_or(|b| b.len() == a.len() && b.iter().all(good)) {
            return Ok(());
        }
        Err(Error::config("weights", "parameters of q(π) must be positive and finite, and a and b of the same length"))
    }
}
