//! C3 on one column: updates and full bound of the Bayesian mixture, written out in scalars. With D = 1 the Wishart distribution is
//! Gamma(ν/2, rate s/2).

use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::fit::Stopping;
use lvm_core::gmm::SecondMoments;
use lvm_core::special::{digamma, lgamma};
use lvm_vi::cavi::mixture::{BayesianMixture, BayesianMixtureModel, MixtureStart, PriorSettings, Scale, WeightFactor, WeightPrior};
use ndarray::{Array1, Array2, array};

/// Both priors of the weights.
pub fn all(suite: &mut Suite<'_>) {
    for (name, weights) in [
        ("Dirichlet", WeightPrior::Dirichlet { concentration: 0.7 }),
        ("Dirichlet process", WeightPrior::DirichletProcess { concentration: 1.3 }),
    ] {
        suite.group(Layer::C, "C3", &format!("one column, {name}"), |g| one_column(g, weights));
    }
}

const ROWS: usize = 90;
const K: usize = 3;
const PRIOR: Prior = Prior { mean: 0.4, beta: 0.5, dof: 2.5, scale: 1.7 };

/// m₀, β₀, ν₀ and W₀⁻¹.
struct Prior {
    mean: f64,
    beta: f64,
    dof: f64,
    scale: f64,
}

/// Three groups of 45, 30 and 15 rows, in this order of size, so that no order of sticks is better than the one given.
fn data() -> Array2<f64> {
    Array2::from_shape_fn((ROWS, 1), |(n, _)| [-2.0, 1.5, 4.0][group(n)] + 0.8 * (2.3 * n as f64).sin())
}

fn group(n: usize) -> usize {
    usize::from(n >= 45) + usize::from(n >= 75)
}

/// Nine tenths of a row in its group.
fn start() -> Array2<f64> {
    Array2::from_shape_fn((ROWS, K), |(n, k)| if k == group(n) { 0.9 } else { 0.05 })
}

/// q(π), β, m, ν, s in plain numbers.
struct Factors {
    /// α (K), or a and b (K − 1) one after the other.
    weights: Vec<f64>,
    beta: Vec<f64>,
    mean: Vec<f64>,
    dof: Vec<f64>,
    scale: Vec<f64>,
}

impl Factors {
    /// PRML 10.58 to 10.63, and Blei & Jordan 2006, eqs 18 and 19.
    fn update(x: &Array2<f64>, gamma: &Array2<f64>, prior: WeightPrior) -> Factors {
        let counts: Vec<f64> = gamma.columns().into_iter().map(|c| c.sum()).collect();
        let mean: Vec<f64> = (0..K).map(|k| (0..ROWS).map(|n| gamma[[n, k]] * x[[n, 0]]).sum::<f64>() / counts[k]).collect();
        let square = |k: usize| (0..ROWS).map(|n| gamma[[n, k]] * (x[[n, 0]] - mean[k]).powi(2)).sum::<f64>();
        let beta: Vec<f64> = counts.iter().map(|n| PRIOR.beta + n).collect();
        let shift = |k: usize| PRIOR.beta * counts[k] / beta[k] * (mean[k] - PRIOR.mean).powi(2);
        Factors {
            weights: match prior {
                WeightPrior::Dirichlet { concentration } => counts.iter().map(|n| concentration + n).collect(),
                WeightPrior::DirichletProcess { concentration } => {
                    let a = (0..K - 1).map(|k| 1.0 + counts[k]);
                    a.chain((0..K - 1).map(|k| concentration + counts[k + 1..].iter().sum::<f64>())).collect()
                }
            },
            mean: (0..K).map(|k| (PRIOR.beta * PRIOR.mean + counts[k] * mean[k]) / beta[k]).collect(),
            dof: counts.iter().map(|n| PRIOR.dof + n).collect(),
            scale: (0..K).map(|k| PRIOR.scale + square(k) + shift(k)).collect(),
            beta,
        }
    }

    fn of(model: &BayesianMixtureModel) -> Factors {
        let q = model.components();
        Factors {
            weights: match model.weight_factor() {
                WeightFactor::Dirichlet(alpha) => alpha.to_vec(),
                WeightFactor::Sticks { a, b } => a.iter().chain(b).copied().collect(),
            },
            beta: q.mean_precision().to_vec(),
            mean: q.means().column(0).to_vec(),
            dof: q.dof().to_vec(),
            scale: match q.scale_inverse() {
                SecondMoments::Full(s) => s.iter().copied().collect(),
                SecondMoments::Diagonal(s) => s.iter().copied().collect(),
            },
        }
    }

    /// E[log π_k] and KL(q(π) ‖ p(π)).
    fn of_weights(&self, prior: WeightPrior) -> (Vec<f64>, f64) {
        match prior {
            WeightPrior::Dirichlet { concentration } => {
                let total: f64 = self.weights.iter().sum();
                let logs: Vec<f64> = self.weights.iter().map(|a| digamma(*a) - digamma(total)).collect();
                let normaliser = lgamma(total) - lgamma(K as f64 * concentration);
                let each = self.weights.iter().zip(&logs);
                let kl: f64 = each.map(|(a, l)| lgamma(concentration) - lgamma(*a) + (a - concentration) * l).sum();
                (logs, normaliser + kl)
            }
            WeightPrior::DirichletProcess { concentration } => {
                let (a, b) = self.weights.split_at(K - 1);
                let (mut before, mut kl, mut logs) = (0.0, 0.0, Vec::new());
                for (a, b) in a.iter().zip(b) {
                    let (taken, left) = (digamma(*a) - digamma(a + b), digamma(*b) - digamma(a + b));
                    logs.push(before + taken);
                    before += left;
                    // log B(1, α) = −log α
                    kl += lgamma(a + b) - lgamma(*a) - lgamma(*b) - concentration.ln() + (a - 1.0) * taken + (b - concentration) * left;
                }
                logs.push(before);
                (logs, kl)
            }
        }
    }

    /// The ELBO with the best responsibilities.   PRML 10.70–10.77
    fn elbo(&self, x: &Array2<f64>, prior: WeightPrior) -> f64 {
        let (log_weights, mut kl) = self.of_weights(prior);
        let mut offsets = Vec::new();
        for k in 0..K {
            // λ ~ Gamma(a, b)
            let (a, b) = (0.5 * self.dof[k], 0.5 * self.scale[k]);
            let (a0, b0) = (0.5 * PRIOR.dof, 0.5 * PRIOR.scale);
            let (log_precision, precision) = (digamma(a) - b.ln(), a / b);
            offsets.push(log_weights[k] + 0.5 * (log_precision - std::f64::consts::TAU.ln() - 1.0 / self.beta[k]));
            kl += a * b.ln() - a0 * b0.ln() - lgamma(a) + lgamma(a0) + (a - a0) * log_precision - (b - b0) * precision;
            let ratio = PRIOR.beta / self.beta[k];
            kl += 0.5 * (ratio - 1.0 - ratio.ln() + PRIOR.beta * precision * (self.mean[k] - PRIOR.mean).powi(2));
        }
        let of_row = |x: f64| {
            let log = |k: usize| offsets[k] - 0.5 * self.dof[k] / self.scale[k] * (x - self.mean[k]).powi(2);
            let top = (0..K).map(log).fold(f64::NEG_INFINITY, f64::max);
            top + (0..K).map(|k| (log(k) - top).exp()).sum::<f64>().ln()
        };
        x.iter().map(|x| of_row(*x)).sum::<f64>() - kl
    }
}

fn one_column(g: &mut Group<'_>, weights: WeightPrior) -> Outcome {
    let x = data();
    let fit = |iterations: usize| {
        BayesianMixture {
            components: K,
            weights,
            prior: PriorSettings {
                mean: Some(array![PRIOR.mean]),
                mean_precision: PRIOR.beta,
                dof: Some(PRIOR.dof),
                scale_inverse: Some(Scale::Full(array![[PRIOR.scale]])),
            },
            start: MixtureStart::Responsibilities(start()),
            stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
            ..Default::default()
        }
        .fit(&x, 0)
    };
    let rounding = Tolerance::relative(1e-12, "sums of 90 terms on two ways");
    let first = Factors::of(&fit(1)?.model);
    let truth = Factors::update(&x, &start(), weights);
    for (what, ours, truth) in [
        ("q(π)", first.weights, truth.weights),
        ("β", first.beta, truth.beta),
        ("m", first.mean, truth.mean),
        ("ν", first.dof, truth.dof),
        ("W⁻¹", first.scale, truth.scale),
    ] {
        g.array(format!("first update: {what}"), Source::E, &Array1::from(ours), &Array1::from(truth), &rounding);
    }
    for iterations in [1, 2, 30] {
        let fitted = fit(iterations)?;
        let truth = Factors::of(&fitted.model).elbo(&x, weights) / ROWS as f64;
        let t = Tolerance::absolute(1e-11, "some 400 terms of size below 10 a row, and digamma to 1e-14");
        g.scalar(format!("ELBO after {iterations} iterations, by all its terms"), Source::E, fitted.objective(), truth, &t);
        let fall = fitted.trace.windows(2).map(|w| w[0] - w[1]).fold(0.0, f64::max);
        g.bounded(
            format!("fall of the ELBO in {iterations} iterations"),
            Source::I,
            fall,
            &Tolerance::absolute(1e-12, "coordinate ascent"),
        );
    }
    Ok(())
}
