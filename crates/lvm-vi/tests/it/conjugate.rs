//! Conjugate models as a user writes them: exact posteriors, ELBO by its definition, and steps by minibatches.

use lvm_core::conjugate::{BetaBernoulli, DirichletCategorical, GammaPoisson, NormalGamma, NormalMean};
use lvm_core::dist::{Beta, Dirichlet, Gamma, Normal, Univariate};
use lvm_core::fit::{Algorithm, Status, Stopping};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_core::special::{HALF_LOG_2PI, lgamma, log_sum_exp};
use lvm_core::sweep::Block;
use lvm_core::{Error, ErrorKind, Result};
use lvm_vi::cavi::conjugate::{
    ConjugateAscent, ConjugateModel, ExponentialFamily, Factor, GlobalStart, LocalSums, Natural, Product, StochasticConjugateAscent,
    StochasticConjugateState, check_statistics, elbo,
};
use lvm_vi::cavi::minibatch::{Minibatches, Steps};
use ndarray::{Array1, Array2, Axis, array};
use rand_distr::{Distribution, Poisson};
use std::ops::ControlFlow;

fn close(what: &str, a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>, relative: f64) {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().collect(), b.into_iter().collect());
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= relative * b.abs().max(1.0), "{what}, entry {i}: {a:e} against {b:e}");
    }
}

/// A model without local latents: log p(x | θ) = log h(x) + t(θ)ᵀ s(x), `row` giving log h and s.
struct GlobalOnly<F> {
    family: Factor,
    prior: Vec<f64>,
    columns: usize,
    row: F,
}

impl<F: Fn(&[f64]) -> (f64, Vec<f64>) + Sync> ConjugateModel for GlobalOnly<F> {
    fn family(&self) -> &dyn ExponentialFamily {
        &self.family
    }
    fn prior(&self) -> Vec<f64> {
        self.prior.clone()
    }
    fn n_cols(&self) -> usize {
        self.columns
    }
    fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
        for (n, x) in rows.x().outer_iter().enumerate() {
            let (log_h, s) = (self.row)(&x.to_vec());
            let linear: f64 = s.iter().zip(expected).map(|(s, t)| s * t).sum();
            sums.add(n, log_h + linear, s.into_iter().enumerate())?;
        }
        Ok(())
    }
}

fn poisson(prior: Gamma) -> GlobalOnly<impl Fn(&[f64]) -> (f64, Vec<f64>) + Sync> {
    GlobalOnly { family: prior.factor(), prior: prior.natural(), columns: 1, row: |x: &[f64]| (-lgamma(x[0] + 1.0), vec![x[0], 1.0]) }
}

/// Rows of which each mean is another one.
fn counts(n: usize) -> Array2<f64> {
    let mut rng = stream(9, Purpose::Sample, 0);
    Array2::from_shape_fn((n, 1), |(i, _)| Poisson::new([2.0_f64, 9.0, 25.0][i % 3]).unwrap().sample(&mut rng))
}

/// One iteration from a start that is not the prior, and the log evidence as ELBO.
fn exact_in_one<F: Fn(&[f64]) -> (f64, Vec<f64>) + Sync>(
    what: &str,
    model: &GlobalOnly<F>,
    start: Vec<f64>,
    x: &Array2<f64>,
    posterior: &[f64],
    evidence: f64,
) {
    let stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
    let once = ConjugateAscent { start: GlobalStart::Natural(start), stopping, ..ConjugateAscent::new(model) }.fit(x, 0).unwrap();
    // sums of a few dozen terms, and conversions of a rounding or two each
    close(what, once.model.iter().copied(), posterior.iter().copied(), 1e-13);
    close(what, [elbo(model, x, &once.model).unwrap(), once.objective() * x.nrows() as f64], [evidence, evidence], 1e-12);
    let fitted = ConjugateAscent::new(model).fit(x, 0).unwrap();
    assert_eq!((fitted.status, fitted.iterations()), (Status::Converged, 2), "{what}");
    assert_eq!(fitted.model, once.model, "{what}");
}

#[test]
fn without_local_latents_one_iteration_is_the_posterior_and_the_elbo_the_evidence() {
    let x = counts(30);
    let prior = Gamma::new(1.4, 0.3).unwrap();
    let belief = GammaPoisson { rate: prior };
    let after = belief.posterior(x.column(0)).unwrap().rate.natural();
    exact_in_one("Poisson", &poisson(prior), vec![5.0, 1.0], &x, &after, belief.log_evidence(x.column(0)).unwrap());

    let y = Array2::from_shape_fn((25, 1), |(i, _)| 1.2 + (i as f64 * 1.7).sin());
    let prior = NormalGamma::new(0.4, 0.7, Gamma::new(1.6, 0.9).unwrap()).unwrap();
    // log N(x; μ, 1/τ) = x τμ − τμ²/2 + ½ log τ − ½ x² τ − ½ log 2π
    let row = |x: &[f64]| (-HALF_LOG_2PI, vec![x[0], 1.0, 0.5, 0.5 * x[0] * x[0]]);
    let model = GlobalOnly { family: Factor::NormalGamma, prior: prior.natural(), columns: 1, row };
    let after = prior.posterior(y.column(0)).unwrap().natural();
    exact_in_one("normal-gamma", &model, vec![0.0, 1.0, 1.0, 1.0], &y, &after, prior.log_evidence(y.column(0)).unwrap());

    let (sd, prior) = (0.8, Normal::new(-0.5, 1.5).unwrap());
    let belief = NormalMean::new(prior, sd).unwrap();
    let precision = 1.0 / (sd * sd);
    let row = move |x: &[f64]| (-HALF_LOG_2PI - sd.ln() - 0.5 * precision * x[0] * x[0], vec![precision * x[0], precision]);
    let model = GlobalOnly { family: Factor::Normal, prior: prior.natural(), columns: 1, row };
    let after = belief.posterior(y.column(0)).unwrap().mean().natural();
    exact_in_one("normal mean", &model, vec![3.0, 2.0], &y, &after, belief.log_evidence(y.column(0)).unwrap());

    let coins = Array2::from_shape_fn((21, 1), |(i, _)| f64::from(u8::from(i % 3 == 0)));
    let prior = Beta::new(0.6, 2.0).unwrap();
    let belief = BetaBernoulli { probability: prior };
    let model = GlobalOnly { family: Factor::Beta, prior: prior.natural(), columns: 1, row: |x: &[f64]| (0.0, vec![x[0], 1.0 - x[0]]) };
    let after = belief.posterior(7, 21).unwrap().probability.natural();
    exact_in_one("coin", &model, vec![9.0, 1.0], &coins, &after, belief.log_evidence(7, 21).unwrap());

    let one_hot = Array2::from_shape_fn((20, 3), |(i, j)| f64::from(u8::from(i % 5 == j || (i % 5 > 2 && j == 0))));
    let prior = Dirichlet::new(array![0.5, 1.0, 2.0].view()).unwrap();
    let belief = DirichletCategorical { probabilities: prior.clone() };
    let model = GlobalOnly { family: prior.factor(), prior: prior.natural(), columns: 3, row: |x: &[f64]| (0.0, x.to_vec()) };
    let totals = one_hot.sum_axis(Axis(0));
    let after = belief.posterior(totals.view()).unwrap().probabilities.natural();
    exact_in_one("categories", &model, vec![1.0; 3], &one_hot, &after, belief.log_evidence(totals.view()).unwrap());
}

/// π ~ Dirichlet(α), λ_k ~ Gamma(a, b); z_n ~ π, x_n ~ Poisson(λ_{z_n}).
struct PoissonMixture {
    family: Product,
    prior: Vec<f64>,
    components: usize,
}

impl PoissonMixture {
    fn new(components: usize, alpha: f64, rate: Gamma) -> Self {
        let factors = [vec![Factor::Dirichlet { categories: components }], vec![Factor::Gamma; components]].concat();
        let prior = [vec![alpha; components], rate.natural().repeat(components)].concat();
        PoissonMixture { family: Product(factors), prior, components }
    }

    /// The prior and ten rows near each of these means.
    fn near(&self, means: &[f64]) -> GlobalStart {
        let mut natural = self.prior.clone();
        for (k, mean) in means.iter().enumerate() {
            natural[self.components + 2 * k] += 10.0 * mean;
            natural[self.components + 2 * k + 1] += 10.0;
        }
        GlobalStart::Natural(natural)
    }
}

impl ConjugateModel for PoissonMixture {
    fn family(&self) -> &dyn ExponentialFamily {
        &self.family
    }
    fn prior(&self) -> Vec<f64> {
        self.prior.clone()
    }
    fn n_cols(&self) -> usize {
        1
    }
    // t = (log π_k, then log λ_k, −λ_k of each component)
    fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
        let (log_weights, rates) = expected.split_at(self.components);
        for (n, &x) in rows.column(0).iter().enumerate() {
            // log ρ_k = E[log π_k] + x E[log λ_k] − E[λ_k],  F_n = log Σ_k ρ_k − log x!,  γ_k = ρ_k / Σ_j ρ_j
            let scores: Vec<f64> = log_weights.iter().zip(rates.chunks(2)).map(|(w, r)| w + x * r[0] + r[1]).collect();
            let total = log_sum_exp(&scores);
            let gamma = scores.iter().map(|s| (s - total).exp()).enumerate();
            let statistics = gamma.flat_map(|(k, g)| [(k, g), (self.components + 2 * k, g * x), (self.components + 2 * k + 1, g)]);
            sums.add(n, total - lgamma(x + 1.0), statistics)?;
        }
        Ok(())
    }
}

fn mixture() -> PoissonMixture {
    PoissonMixture::new(3, 0.9, Gamma::new(1.2, 0.1).unwrap())
}

fn ascent(model: &PoissonMixture, max_iterations: usize, tolerance: f64) -> ConjugateAscent<'_, PoissonMixture> {
    ConjugateAscent {
        start: model.near(&[1.0, 7.0, 15.0]),
        stopping: Stopping { max_iterations, tolerance },
        ..ConjugateAscent::new(model)
    }
}

/// E_q[log p(X, Z, π, λ) − log q(Z) − log q(π) − log q(λ)], term by term.
fn elbo_by_definition(natural: &[f64], x: &Array2<f64>) -> f64 {
    let (alpha, a, b) = (0.9, 1.2_f64, 0.1_f64);
    let weights = Dirichlet::from_natural(&natural[..3]).unwrap();
    let rates: Vec<Gamma> = natural[3..].chunks(2).map(|eta| Gamma::from_natural(eta).unwrap()).collect();
    let log_weights = weights.mean_log();
    let mut total = 0.0;
    for &x in x {
        let joint: Array1<f64> = (0..3).map(|k| log_weights[k] + x * rates[k].mean_log() - rates[k].mean() - lgamma(x + 1.0)).collect();
        let gamma = joint.mapv(|v| (v - log_sum_exp(&joint)).exp());
        total += gamma.iter().zip(&joint).filter(|(g, _)| **g > 0.0).map(|(g, j)| g * (j - g.ln())).sum::<f64>();
    }
    total += lgamma(3.0 * alpha) - 3.0 * lgamma(alpha) + (alpha - 1.0) * log_weights.sum() + weights.entropy();
    for q in rates {
        total += a * b.ln() - lgamma(a) + (a - 1.0) * q.mean_log() - b * q.mean() + q.entropy();
    }
    total
}

#[test]
fn the_elbo_of_a_mixture_rises_and_is_what_its_definition_says() {
    let (model, x) = (mixture(), counts(300));
    let fitted = ascent(&model, 2000, 1e-13).fit(&x, 0).unwrap();
    assert_eq!(fitted.status, Status::Converged);
    // 300 roundings of a sum near 1000, each at most 6e-14, divided by 300
    assert!(fitted.trace.windows(2).all(|t| t[1] >= t[0] - 1e-13), "{:?}", fitted.trace);
    let naive = elbo_by_definition(&fitted.model, &x);
    close("ELBO", [elbo(&model, &x, &fitted.model).unwrap(), 300.0 * fitted.objective()], [naive, naive], 1e-12);
    // the three groups are far enough apart to be found: a rate's posterior sd is at most √(25/100) = 0.5
    for (k, mean) in [2.0, 9.0, 25.0].into_iter().enumerate() {
        let rate = Gamma::from_natural(model.family.part(k + 1, &fitted.model).unwrap()).unwrap().mean();
        assert!((rate - mean).abs() < 3.0, "{k}: {rate}");
    }
    // what it says of every start, also one that is no optimum
    let GlobalStart::Natural(start) = model.near(&[3.0, 3.5, 30.0]) else { unreachable!() };
    close("ELBO of a start", [elbo(&model, &x, &start).unwrap()], [elbo_by_definition(&start, &x)], 1e-12);
    // and no other η nearby is better
    for j in 0..9 {
        for factor in [0.98, 1.02] {
            let mut other = fitted.model.clone();
            other[j] *= factor;
            assert!(elbo(&model, &x, &other).unwrap() < naive + 1e-9, "{j}");
        }
    }
}

#[test]
fn one_component_is_the_exact_posterior() {
    let (x, rate) = (counts(40), Gamma::new(1.2, 0.1).unwrap());
    let model = PoissonMixture::new(1, 1.0, rate);
    let fitted = ConjugateAscent::new(&model).fit(&x, 0).unwrap();
    let exact = GammaPoisson { rate };
    close("K = 1", [40.0 * fitted.objective()], [exact.log_evidence(x.column(0)).unwrap()], 1e-12);
    let q = Gamma::from_natural(model.family.part(1, &fitted.model).unwrap()).unwrap();
    close("rate", q.natural(), exact.posterior(x.column(0)).unwrap().rate.natural(), 1e-13);
}

#[test]
fn the_whole_table_as_a_batch_and_steps_of_one_are_coordinate_ascent() {
    let (model, x) = (mixture(), counts(5000));
    let weights = Array1::from_shape_fn(5000, |i| [1.0, 0.0, 2.5][i % 3]);
    let weighted = Rows::new(&x).weighted(weights.view()).unwrap();
    for data in [&x as &dyn RowSource, &weighted] {
        let plain = ascent(&model, 7, 0.0);
        let svi = StochasticConjugateAscent { ascent: plain.clone(), batch: 5000, steps: Steps::Constant(1.0) };
        let (a, b) = (plain.fit(data, 0).unwrap(), svi.fit(data, 3).unwrap());
        assert_eq!((a.model, a.trace), (b.model, b.trace));
    }
}

#[test]
fn steps_of_an_epoch_average_to_the_full_step() {
    let (model, x) = (mixture(), counts(14));
    let weights = Array1::from_shape_fn(14, |i| [1.0, 0.0, 2.5, 0.3][i % 4]);
    let weighted = Rows::new(&x).weighted(weights.view()).unwrap();
    let full = ascent(&model, 1, 0.0);
    let GlobalStart::Natural(start) = full.start.clone() else { unreachable!() };
    for data in [&x as &dyn RowSource, &weighted] {
        let whole = full.fit(data, 0).unwrap().model;
        // batches of 7 all alike; 4, 4, 4 and a short 2; single rows
        for batch in [7, 4, 1] {
            for rho in [1.0, 0.3] {
                let svi = StochasticConjugateAscent { ascent: full.clone(), batch, steps: Steps::Constant(rho) };
                let order = Minibatches::new(14, batch, 5).unwrap();
                let mut mean = vec![0.0; start.len()];
                for step in 0..order.per_epoch() as u64 {
                    // from the same η with each batch of the epoch, weighted by its share of the rows
                    let mut state = StochasticConjugateState { natural: start.clone(), steps: step, seed: 5 };
                    svi.advance(&mut state, data, 1).unwrap();
                    let share = order.of_step(step).len() as f64 / 14.0;
                    mean.iter_mut().zip(&state.natural).for_each(|(m, eta)| *m += share * eta);
                }
                let expected = start.iter().zip(&whole).map(|(s, w)| (1.0 - rho) * s + rho * w);
                // fourteen terms of up to N/B times their size, relative to sums that may be N/B times smaller
                close(&format!("B = {batch}, ρ = {rho}"), mean, expected, 1e-12);
            }
        }
    }
}

#[test]
fn stochastic_steps_end_where_coordinate_ascent_does() {
    let (model, x) = (mixture(), counts(300));
    let best = ascent(&model, 2000, 1e-13).fit(&x, 0).unwrap().objective();
    let svi = StochasticConjugateAscent { batch: 70, ..StochasticConjugateAscent::new(&model) };
    let svi = StochasticConjugateAscent { ascent: ascent(&model, 60, 0.0), ..svi };
    let fitted = svi.fit(&x, 2).unwrap();
    // 300 steps, the last of length 0.018: η is off by about √(ρ/2 · N/B) = 0.2 posterior sds in each of 8 directions, a tenth of a nat
    // or two among 300 rows; ten times that is allowed
    assert!((-1e-9..5e-3).contains(&(best - fitted.objective())), "{} against {best}", fitted.objective());
    // steps taken in pieces are the same run
    let mut state = svi.init(&x as &dyn RowSource, 2).unwrap();
    for count in [1, 7, 2, 290] {
        svi.advance(&mut state, &x, count).unwrap();
    }
    assert_eq!((state.natural, state.steps), (fitted.model, 300));
}

#[test]
fn threads_do_not_matter_and_weights_are_repetitions() {
    let (model, x) = (mixture(), counts(20_000));
    let fits: Vec<_> = [1, 2, 7]
        .iter()
        .map(|&threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| ascent(&model, 4, 0.0).fit(&x, 0).unwrap())
        })
        .collect();
    assert_eq!(fits[0], fits[1]);
    assert_eq!(fits[0], fits[2]);

    let x = counts(90);
    let times = Array1::from_shape_fn(90, |i| (i % 4) as f64);
    let repeated: Vec<usize> = (0..90).flat_map(|i| std::iter::repeat_n(i, i % 4)).collect();
    let weighted = ascent(&model, 5, 0.0).fit(&Rows::new(&x).weighted(times.view()).unwrap(), 0).unwrap();
    let longer = ascent(&model, 5, 0.0).fit(&x.select(Axis(0), &repeated), 0).unwrap();
    close("trace", weighted.trace, longer.trace, 1e-13);
    close("η", weighted.model, longer.model, 1e-12);
}

#[test]
fn a_fit_that_goes_on_is_the_fit_that_was_not_interrupted() {
    let (model, x) = (mixture(), counts(300));
    let whole = ascent(&model, 500, 1e-9).fit(&x, 0).unwrap();
    let n = whole.iterations();
    assert!(whole.status == Status::Converged && n > 3, "{n} iterations");
    for cut in [1, n / 2, n - 1] {
        let first = ascent(&model, cut, 1e-9).fit(&x, 0).unwrap();
        let rest = ConjugateAscent { start: GlobalStart::Resume(first.clone()), ..ascent(&model, 500, 1e-9) }.fit(&x, 0).unwrap();
        assert_eq!([first.trace, rest.trace].concat(), whole.trace, "interrupted after {cut} of {n}");
        assert_eq!((&rest.model, rest.status), (&whole.model, whole.status), "interrupted after {cut}");
    }
    // the watch is told of the pass of the start, and can end the fit
    let mut told = Vec::new();
    let stopped = ascent(&model, 500, 0.0)
        .fit_watched(&x, 0, &mut |progress| {
            told.push(progress.iteration);
            if progress.iteration < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    assert_eq!((told, stopped.status, stopped.trace), (vec![0, 1, 2], Status::Cancelled, whole.trace[..2].to_vec()));
}

/// A family of a user's own that relies on the divergence the trait has: Gamma in other words.
struct PlainGamma;

impl ExponentialFamily for PlainGamma {
    fn dim(&self) -> usize {
        2
    }
    fn check(&self, natural: &[f64]) -> Result<()> {
        Factor::Gamma.check(natural)
    }
    fn log_normaliser(&self, natural: &[f64]) -> Result<f64> {
        Factor::Gamma.log_normaliser(natural)
    }
    fn expected_statistics(&self, natural: &[f64]) -> Result<Vec<f64>> {
        Factor::Gamma.expected_statistics(natural)
    }
}

#[test]
fn products_are_their_factors_and_families_can_be_written() {
    let (q, p) = (Gamma::new(3.0, 2.0).unwrap(), Gamma::new(0.8, 1.5).unwrap());
    close("KL", [PlainGamma.kl(&q.natural(), &p.natural()).unwrap()], [q.kl(&p)], 1e-14);
    let (weights, flat) = (Dirichlet::new(array![2.0, 0.3].view()).unwrap(), Dirichlet::new(array![1.0, 1.0].view()).unwrap());
    let family = Product(vec![Factor::Gamma, Factor::Dirichlet { categories: 2 }]);
    let (eta_q, eta_p) = ([q.natural(), weights.natural()].concat(), [p.natural(), flat.natural()].concat());
    close("KL of a product", [family.kl(&eta_q, &eta_p).unwrap()], [q.kl(&p) + weights.kl(&flat).unwrap()], 1e-15);
    let t = family.expected_statistics(&eta_q).unwrap();
    close("E[t]", t, [vec![q.mean_log(), -q.mean()], weights.mean_log().to_vec()].concat(), 1e-15);
    assert!(family.part(2, &eta_q).is_err() && family.part(0, &eta_q[1..]).is_err());
    let error = family.check(&[1.0, 1.0, 1.0, -2.0]).unwrap_err().to_string();
    assert!(error.contains("factor 1") && error.contains("concentration"), "{error}");
    close("normal and back", Normal::from_natural(&Normal::new(0.3, 1.7).unwrap().natural()).map(|n| n.sd()), [1.7], 1e-15);
}

/// How a model can be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    StatisticNotANumber,
    InfiniteBound,
    RowLeftOut,
    RowTwice,
    BeyondTheEnd,
    Sign,
}

/// Poisson counts with a gamma prior, and a fault.
struct Faulty(Vec<f64>, Fault);

impl ConjugateModel for Faulty {
    fn family(&self) -> &dyn ExponentialFamily {
        &Factor::Gamma
    }
    fn prior(&self) -> Vec<f64> {
        self.0.clone()
    }
    fn n_cols(&self) -> usize {
        1
    }
    fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
        for (n, &x) in rows.column(0).iter().enumerate() {
            let bound = x * expected[0] + expected[1] - lgamma(x + 1.0);
            match self.1 {
                Fault::RowLeftOut if n == 2 => break,
                Fault::RowTwice if n == 2 => sums.add(1, bound, [])?,
                Fault::StatisticNotANumber if n == 2 => sums.add(n, bound, [(0, f64::NAN)])?,
                Fault::InfiniteBound if n == 2 => sums.add(n, f64::NEG_INFINITY, [(0, x)])?,
                Fault::BeyondTheEnd => sums.add(n, bound, [(2, x)])?,
                Fault::Sign => sums.add(n, bound, [(0, x), (1, -1.0)])?,
                _ => sums.add(n, bound, [(0, x), (1, 1.0)])?,
            }
        }
        Ok(())
    }
}

#[test]
fn what_can_not_be_fitted_is_refused_by_name() {
    let x = array![[1.0], [0.0], [3.0], [2.0]];
    let of = |fault| Faulty(vec![1.0, 1.0], fault);
    let config = |e: Error, field: &str, words: &str| match e.kind() {
        ErrorKind::Config { field: found, .. } => assert!(*found == field && e.to_string().contains(words), "{e}"),
        _ => panic!("{e}"),
    };
    let error = |model: &Faulty, data: &dyn RowSource| ConjugateAscent::new(model).fit(data, 0).unwrap_err();
    for (fault, field, words) in [
        (Fault::StatisticNotANumber, "statistics", "entry 0 is NaN in row 2"),
        (Fault::InfiniteBound, "bound", "row 2"),
        (Fault::RowLeftOut, "local", "2 of the 4 rows"),
        (Fault::RowTwice, "row", "each once"),
        // 1 − 4: the update leaves the domain
        (Fault::Sign, "natural parameters", "outside the domain of Gamma"),
    ] {
        let model = of(fault);
        config(error(&model, &x), field, words);
        config(StochasticConjugateAscent { batch: 4, ..StochasticConjugateAscent::new(&model) }.fit(&x, 0).unwrap_err(), field, words);
    }
    let shape = |e: Error, expected: usize, found: usize| match e.kind() {
        ErrorKind::Shape { expected: a, found: b, .. } => assert_eq!((*a, *b), (expected, found), "{e}"),
        _ => panic!("{e}"),
    };
    shape(error(&of(Fault::BeyondTheEnd), &x), 2, 3);
    shape(error(&Faulty(vec![1.0; 3], Fault::None), &x), 2, 3);
    shape(error(&of(Fault::None), &array![[1.0, 2.0]]), 1, 2);
    config(error(&Faulty(vec![1.0, 0.0], Fault::None), &x), "natural parameters", "outside the domain");
    assert!(matches!(error(&of(Fault::None), &Array2::<f64>::zeros((0, 1))).kind(), ErrorKind::Empty));
    assert!(matches!(error(&of(Fault::None), &array![[1.0], [f64::NAN]]).kind(), ErrorKind::NotANumber { row: 1, column: 0, .. }));
    // missing entries come to the model, which here can't do anything with them
    config(error(&of(Fault::None), &Rows::new(&array![[1.0], [f64::NAN]]).missing_as_nan()), "bound", "NaN in row 1");

    let model = of(Fault::None);
    let ascent = ConjugateAscent::new(&model);
    let with = |start: Vec<f64>| ConjugateAscent { start: GlobalStart::Natural(start), ..ascent.clone() }.fit(&x, 0).unwrap_err();
    shape(with(vec![1.0]), 2, 1);
    config(with(vec![-1.0, 1.0]), "natural parameters", "outside the domain");
    let stopping = |max_iterations, tolerance| Stopping { max_iterations, tolerance };
    config(ConjugateAscent { stopping: stopping(0, 0.0), ..ascent.clone() }.fit(&x, 0).unwrap_err(), "max_iterations", "at least 1");
    config(ConjugateAscent { stopping: stopping(5, f64::NAN), ..ascent.clone() }.fit(&x, 0).unwrap_err(), "tolerance", "finite");
    shape(elbo(&model, &x, &[1.0]).unwrap_err(), 2, 1);
    for batch in [0, 5] {
        config(StochasticConjugateAscent { batch, ..StochasticConjugateAscent::new(&model) }.fit(&x, 0).unwrap_err(), "batch", "at most 4");
    }
    let steps = Steps::RobbinsMonro { delay: 1.0, forgetting: 0.4 };
    let svi = StochasticConjugateAscent { batch: 2, steps, ..StochasticConjugateAscent::new(&model) };
    config(svi.fit(&x, 0).unwrap_err(), "forgetting", "0.5");
    assert!(matches!(svi.fit(&Array2::<f64>::zeros((0, 1)), 0).unwrap_err().kind(), ErrorKind::Config { .. } | ErrorKind::Empty));
    // a failed step leaves the state of the last whole one
    let svi = StochasticConjugateAscent { steps: Steps::Constant(0.5), ..svi };
    let mut state = StochasticConjugateState { natural: vec![1.0, 1.0], steps: 0, seed: 0 };
    assert!(svi.advance(&mut state, &array![[1.0, 1.0], [2.0, 2.0]], 1).is_err());
    assert_eq!((state.natural, state.steps), (vec![1.0, 1.0], 0));
}

#[test]
fn statistics_that_do_not_belong_to_the_bound_are_found() {
    let (model, x) = (mixture(), counts(12));
    let GlobalStart::Natural(start) = model.near(&[3.0, 6.0, 20.0]) else { unreachable!() };
    let found = check_statistics(&model, &x, &start).unwrap();
    assert!(found.is_right(), "{found:?}");
    let right = check_statistics(&Faulty(vec![1.0, 1.0], Fault::None), &x, &[2.0, 0.5]).unwrap();
    assert!(right.is_right(), "{right:?}");
    let wrong = check_statistics(&Faulty(vec![1.0, 1.0], Fault::Sign), &x, &[2.0, 0.5]).unwrap();
    assert!(!wrong.is_right() && wrong.entry == 1 && wrong.statistic == -12.0, "{wrong:?}");
    close("slope", [wrong.derivative.value], [12.0], 1e-9);
}
