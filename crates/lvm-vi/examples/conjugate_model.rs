//! A conjugate model of one's own, from its natural parameters to a choice of its size: a mixture of Poisson distributions.
//!
//! Run with `cargo run --release -p lvm-vi --example conjugate_model`.

#![allow(clippy::print_stdout)]

use lvm_core::Result;
use lvm_core::dist::{Gamma, Univariate};
use lvm_core::fit::Stopping;
use lvm_core::random::{Purpose, stream};
use lvm_core::special::{lgamma, log_sum_exp};
use lvm_core::sweep::Block;
use lvm_vi::cavi::conjugate::{
    ConjugateAscent, ConjugateModel, ExponentialFamily, Factor, GlobalStart, LocalSums, Natural, Product, StochasticConjugateAscent,
    check_statistics,
};
use ndarray::{Array2, s};
use rand_distr::{Distribution, Poisson};

const ROWS: usize = 20_000;
const RATES: [f64; 3] = [2.0, 9.0, 25.0];

/// π ~ Dirichlet(1, …, 1), λ_k ~ Gamma(1, 0.1); z_n ~ π, x_n ~ Poisson(λ_{z_n}).
struct PoissonMixture {
    components: usize,
    family: Product,
}

impl ConjugateModel for PoissonMixture {
    fn family(&self) -> &dyn ExponentialFamily {
        &self.family
    }

    fn prior(&self) -> Vec<f64> {
        [vec![1.0; self.components], [1.0, 0.1].repeat(self.components)].concat()
    }

    fn n_cols(&self) -> usize {
        1
    }

    // t = (log π_k of all components, then log λ_k and −λ_k of each)
    fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
        let (log_weights, rates) = expected.split_at(self.components);
        for (n, &x) in rows.column(0).iter().enumerate() {
            // log ρ_k = E[log π_k] + x E[log λ_k] − E[λ_k];  the row's bound is log Σ_k ρ_k − log x!
            let scores: Vec<f64> = log_weights.iter().zip(rates.chunks(2)).map(|(w, r)| w + x * r[0] + r[1]).collect();
            let total = log_sum_exp(&scores);
            let gamma = scores.iter().map(|s| (s - total).exp()).enumerate();
            let statistics = gamma.flat_map(|(k, g)| [(k, g), (self.components + 2 * k, g * x), (self.components + 2 * k + 1, g)]);
            sums.add(n, total - lgamma(x + 1.0), statistics)?;
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let mut rng = stream(3, Purpose::Sample, 0);
    // invariant: the rates are positive
    let x = Array2::from_shape_fn((ROWS, 1), |(n, _)| Poisson::new(RATES[n % 3]).expect("a positive rate").sample(&mut rng));
    println!("{ROWS} counts from three Poisson distributions of rates {RATES:?}. ELBO, nats a row, every constant counted:\n");
    println!(
        "{:>12}{:>20}{:>8}{:>28}{:>8}   expected rates",
        "components", "coordinate ascent", "passes", "stochastic, batches of 500", "epochs"
    );
    for components in 1..=5 {
        let factors = [vec![Factor::Dirichlet { categories: components }], vec![Factor::Gamma; components]].concat();
        let model = PoissonMixture { components, family: Product(factors) };
        // the prior and ten rows near a mean of its own for each component
        let mut start = model.prior();
        for k in 0..components {
            start[components + 2 * k] += 10.0 * 30.0 * (k as f64 + 0.5) / components as f64;
            start[components + 2 * k + 1] += 10.0;
        }
        // a slip of the pen between bound and statistics would show here
        let checked = check_statistics(&model, &x.slice(s![..30, ..]), &start)?;
        assert!(checked.is_right(), "{checked:?}");
        let ascent = ConjugateAscent {
            start: GlobalStart::Natural(start),
            stopping: Stopping { max_iterations: 300, tolerance: 1e-7 },
            ..ConjugateAscent::new(&model)
        };
        let batch = ascent.fit(&x, 1)?;
        let mut svi = StochasticConjugateAscent { ascent, batch: 500, ..StochasticConjugateAscent::new(&model) };
        svi.ascent.stopping = Stopping { max_iterations: 20, tolerance: 1e-5 };
        let stochastic = svi.fit(&x, 1)?;
        let rate = |k: usize| -> Result<String> {
            let q = Gamma::from_natural(model.family.part(k + 1, &stochastic.model)?)?;
            Ok(format!("{:.2}", q.mean()))
        };
        let rates = (0..components).map(rate).collect::<Result<Vec<_>>>()?;
        let (a, b) = (batch.objective(), stochastic.objective());
        println!("{components:>12}{a:>20.5}{:>8}{b:>28.5}{:>8}   {}", batch.trace.len(), stochastic.trace.len(), rates.join(" "));
    }
    println!("\nThe model is its prior, its family and one local step; ascent, minibatches and the bound come from the library.");
    Ok(())
}
