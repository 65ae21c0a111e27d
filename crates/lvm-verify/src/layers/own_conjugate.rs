//! A conjugate model as a user writes it, a mixture of Poisson distributions: its ELBO from the definitions (C7), and steps by minibatches (S5).

use super::natural_gradient::{BATCH, REASON, RHO, SEED, epoch};
use super::shared::monotone;
use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::Result;
use lvm_core::conjugate::GammaPoisson;
use lvm_core::dist::Gamma;
use lvm_core::fit::Stopping;
use lvm_core::special::{digamma, lgamma, log_sum_exp};
use lvm_core::sweep::Block;
use lvm_vi::cavi::conjugate::{
    ConjugateAscent, ConjugateModel, ExponentialFamily, Factor, GlobalStart, LocalSums, Product, StochasticConjugateAscent,
    StochasticConjugateState, check_statistics, elbo,
};
use lvm_vi::cavi::minibatch::Steps;
use ndarray::{Array1, Array2};

/// π ~ Dirichlet(1, …, 1), λ_k ~ Gamma(1, 0.1); z_n ~ π, x_n ~ Poisson(λ_{z_n}).
struct PoissonMixture {
    components: usize,
    family: Product,
}

/// Shape and rate of the prior of a rate.
const RATE: [f64; 2] = [1.0, 0.1];

impl PoissonMixture {
    fn new(components: usize) -> Self {
        let mut factors = vec![Factor::Dirichlet { categories: components }];
        factors.extend(vec![Factor::Gamma; components]);
        PoissonMixture { components, family: Product(factors) }
    }
}

impl ConjugateModel for PoissonMixture {
    fn family(&self) -> &dyn ExponentialFamily {
        &self.family
    }

    fn prior(&self) -> Vec<f64> {
        [vec![1.0; self.components], RATE.repeat(self.components)].concat()
    }

    fn n_cols(&self) -> usize {
        1
    }

    fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
        let (log_weights, rates) = expected.split_at(self.components);
        for (n, &x) in rows.column(0).iter().enumerate() {
            let scores: Vec<f64> = log_weights.iter().zip(rates.chunks(2)).map(|(w, r)| w + x * r[0] + r[1]).collect();
            let total = log_sum_exp(&scores);
            let gamma = scores.iter().map(|s| (s - total).exp()).enumerate();
            let statistics = gamma.flat_map(|(k, g)| [(k, g), (self.components + 2 * k, g * x), (self.components + 2 * k + 1, g)]);
            sums.add(n, total - lgamma(x + 1.0), statistics)?;
        }
        Ok(())
    }
}

/// The checks.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::C, "C7", "a model of one's own, mixture of Poissons", bound);
    suite.group(Layer::S, "S5", "a model of one's own, natural-gradient steps", steps);
}

/// Counts about 2, 9 and 25.
fn counts() -> Array2<f64> {
    Array2::from_shape_fn((60, 1), |(n, _)| [2.0, 9.0, 25.0][n % 3] + ((7 * n * n + 3 * n) % 5) as f64 - 2.0)
}

/// η of three components, none of them alike.
fn start() -> Vec<f64> {
    vec![20.0, 25.0, 15.0, 30.0, 12.0, 150.0, 20.0, 300.0, 10.0]
}

fn bound(g: &mut Group<'_>) -> Outcome {
    let x = counts();
    let model = PoissonMixture::new(3);
    let slopes = check_statistics(&model, &x, &start())?.relative;
    let rounding = Tolerance::absolute(1e-6, "differences of the bound keep half of its digits");
    g.bounded("statistics less slopes of the bound", Source::I, slopes, &rounding);
    let stopping = Stopping { max_iterations: 50, tolerance: 1e-13 };
    let fitted = ConjugateAscent { start: GlobalStart::Natural(start()), stopping, ..ConjugateAscent::new(&model) }.fit(&x, 0)?;
    monotone(g, &fitted.trace, x.nrows() as f64, 1);
    let t = Tolerance::relative(1e-12, "1e-12 of the ELBO: sums of some hundred terms");
    for (name, eta) in [("at a start", start()), ("at the end of a fit", fitted.model.clone())] {
        g.scalar(format!("ELBO {name}"), Source::E, elbo(&model, &x, &eta)?, by_definition(&x, &eta), &t);
    }
    // one component: q(λ) is the posterior, and q(π) the prior
    let one = PoissonMixture::new(1);
    let fitted = ConjugateAscent::new(&one).fit(&x, 0)?;
    let exact = GammaPoisson { rate: Gamma::new(RATE[0], RATE[1])? };
    g.scalar("one component: ELBO", Source::E, fitted.objective() * x.nrows() as f64, exact.log_evidence(x.column(0))?, &t);
    let posterior = exact.posterior(x.column(0))?.rate;
    let truth = Array1::from(vec![1.0 + x.nrows() as f64, posterior.shape(), posterior.rate()]);
    g.array(
        "one component: natural parameters",
        Source::E,
        &Array1::from(fitted.model),
        &truth,
        &Tolerance::relative(1e-13, "sums of counts"),
    );
    Ok(())
}

/// E\[log p(x, z, π, λ)\] + H\[q\] with q(z_n) ∝ exp(E\[log π_k\] + E\[log Poisson(x_n | λ_k)\]), term by term from the means of logarithms.
fn by_definition(x: &Array2<f64>, eta: &[f64]) -> f64 {
    let (alpha, rates) = eta.split_at(3);
    let all: f64 = alpha.iter().sum();
    let log_weight: Vec<f64> = alpha.iter().map(|a| digamma(*a) - digamma(all)).collect();
    let log_rate: Vec<f64> = rates.chunks(2).map(|r| digamma(r[0]) - r[1].ln()).collect();
    let rate: Vec<f64> = rates.chunks(2).map(|r| r[0] / r[1]).collect();
    let mut sum = 0.0;
    for x in x {
        let joint: Vec<f64> = (0..3).map(|k| log_weight[k] + x * log_rate[k] - rate[k] - lgamma(x + 1.0)).collect();
        let largest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = joint.iter().map(|j| (j - largest).exp()).sum();
        for j in joint {
            let q = (j - largest).exp() / total;
            sum += if q > 0.0 { q * (j - q.ln()) } else { 0.0 };
        }
    }
    // E[log p(π)] + H[q(π)]; log B of the prior is −log Γ(3)
    sum += lgamma(3.0) + alpha.iter().map(|a| lgamma(*a)).sum::<f64>() - lgamma(all);
    sum -= (0..3).map(|k| (alpha[k] - 1.0) * log_weight[k]).sum::<f64>();
    for (k, r) in rates.chunks(2).enumerate() {
        // E[log p(λ)] + H[q(λ)]
        sum += RATE[0] * RATE[1].ln() - lgamma(RATE[0]) + (RATE[0] - 1.0) * log_rate[k] - RATE[1] * rate[k];
        sum += r[0] - r[1].ln() + lgamma(r[0]) + (1.0 - r[0]) * digamma(r[0]);
    }
    sum
}

fn steps(g: &mut Group<'_>) -> Outcome {
    let x = counts();
    let model = PoissonMixture::new(3);
    let stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
    let ascent = ConjugateAscent { start: GlobalStart::Natural(start()), stopping, ..ConjugateAscent::new(&model) };
    let truth = Array1::from(start()) * (1.0 - RHO) + Array1::from(ascent.fit(&x, 0)?.model) * RHO;
    for batch in [1, BATCH, x.nrows()] {
        let svi = StochasticConjugateAscent { ascent: ascent.clone(), batch, steps: Steps::Constant(RHO) };
        let ours = epoch(x.nrows(), batch, |b| {
            let mut state = StochasticConjugateState { natural: start(), steps: b, seed: SEED };
            svi.advance(&mut state, &x, 1)?;
            Ok(Array1::from(state.natural))
        })?;
        g.array(format!("batches of {batch}: η after a step, averaged"), Source::I, &ours, &truth, &Tolerance::relative(1e-10, REASON));
    }
    Ok(())
}
