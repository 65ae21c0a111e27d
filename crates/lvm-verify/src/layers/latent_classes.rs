//! Discrete latents: categorical factors against the exact responsibilities, and the mixture's stochastic engine against its batch engine.

use crate::check::{Layer, Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::layers::mixture::{against_lapack, dense};
use crate::oracle::{ABSENT, ENABLE, Lapack};
use crate::suite::{Budget, Group, Outcome, Suite};
use crate::tables;
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GaussianMixture, GmmEm};
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_vi::cavi::minibatch::Steps;
use lvm_vi::cavi::mixture::{BayesianMixture, MixtureStart, StochasticBayesianMixture, WeightPrior};
use lvm_vi::estimator::{Control, Memory, score_function};
use lvm_vi::family::{Categorical, Variational};
use lvm_vi::local::{ScoreFunctionAscent, coordinate_ascent_step};
use lvm_vi::target::{LogDensity, TargetError};
use ndarray::{Array1, Array2, Axis};

/// Everything about discrete latents.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::P, "P1", "iris, labels of a mixture of 3", responsibilities);
    suite.group(Layer::O, "O1", "iris, labels of a mixture of 3", ascent);
    suite.group(Layer::S, "S2", "labels of five irises", gradients);
    suite.group(Layer::O, "O7", "iris, Bayesian mixture, full batch of step 1", |g| full_batch(g, "iris", 3));
    suite.group(Layer::O, "O7", "faithful, Bayesian mixture, full batch of step 1", |g| full_batch(g, "faithful", 2));
    suite.group(Layer::O, "O7", "diamonds, Bayesian mixture, minibatches", minibatches);
    suite.group(Layer::O, "O7", "iris, Bayesian mixture, minibatches from a cold start", |g| cold_start(g, "iris", 3, 2));
    suite.group(Layer::O, "O7", "faithful, Bayesian mixture, minibatches from a cold start", |g| cold_start(g, "faithful", 2, 0));
}

fn mixture(g: &Group<'_>) -> Result<(Array2<f64>, GaussianMixture), crate::suite::Problem> {
    let x = tables::real("iris")?.x;
    let em = GmmEm { components: 3, covariance: CovarianceType::Full, restarts: 2, ..Default::default() };
    let model = g.subject.fit_mixture(&em, &x, 5)?.model;
    Ok((x, model))
}

/// One step of coordinate ascent on q(z_n) is the posterior: responsibilities, ELBO = log evidence, KL = 0.
fn responsibilities(g: &mut Group<'_>) -> Outcome {
    let (x, model) = mixture(g)?;
    let q = coordinate_ascent_step(&model, &x)?;
    let exact = match Lapack::get() {
        Some(lapack) => {
            against_lapack(g, lapack, &model, &x)?;
            dense(&model).responsibilities(lapack, &x)?
        }
        None => {
            g.not_run("responsibilities by dense formulas", ABSENT, ENABLE);
            g.subject.responsibilities(&model, &x)?
        }
    };
    let evidence = g.subject.mixture_evidence(&model, &x)?;
    let size = evidence.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    // log joints of this size, exponentiated
    let t = Tolerance::absolute(
        1e-10,
        "responsibilities are exp of differences of log densities of up to 1e3 each known to 1e-13: VERIFY's 1e-10 of one evaluation",
    );
    g.array("q(z_n) after one step of coordinate ascent: the responsibilities", Source::Q, &q.probabilities(), &exact, &t);
    let elbo = q.elbo_rows(&model, &x)?;
    g.array("ELBO of every row is log p(x)", Source::E, &elbo, &evidence, &Tolerance::rounding(x.ncols() * 3, size));
    // a q that is not the posterior: ELBO + KL = log p(x) still
    let flat = lvm_vi::local::LocalCategorical::from_logits(Array2::zeros(exact.dim()))?;
    let kl = flat.kl(q.log_probabilities())?;
    let sum = flat.elbo_rows(&model, &x)? + kl;
    let largest = q.log_probabilities().iter().fold(size, |m: f64, v| m.max(v.abs()));
    g.array("uniform q: ELBO + KL = log p(x)", Source::E, &sum, &evidence, &Tolerance::rounding(x.ncols() * 3, largest));
    Ok(())
}

/// Score-function ascent on the labels, which never sees a sum over components, ends at the responsibilities.
fn ascent(g: &mut Group<'_>) -> Outcome {
    let (x, model) = mixture(g)?;
    let n = x.nrows() as f64;
    let evidence = model.log_evidence(&x)?.sum() / n;
    let t = 1e-12 * evidence.abs();
    let steps = if g.budget == Budget::Quick { 1000 } else { 4000 };
    let exact = |v| Figure::exact(v, Source::E, t);
    let one = coordinate_ascent_step(&model, &x)?.elbo_rows(&model, &x)?.sum() / n;
    let case = "iris, labels of a mixture, nats a row";
    g.headline(Headline::new(case, "categorical", "coordinate ascent", exact(evidence), exact(evidence), exact(one)), 1e-6);
    let config = ScoreFunctionAscent { stopping: Stopping { max_iterations: steps, tolerance: 0.0 }, ..Default::default() };
    let q = config.fit(&model, &x, g.seed(1))?.model;
    let reached = q.elbo_rows(&model, &x)?.sum() / n;
    g.headline(Headline::new(case, "categorical", "score function", exact(evidence), exact(evidence), exact(reached)), 0.01);
    let truth = g.subject.responsibilities(&model, &x)?;
    // Pinsker: |q − p| ≤ √(2 KL) in total variation times two, and a row's KL is at most N times the mean gap
    let bound = (0.5 * (evidence - reached).max(1e-12) * n).sqrt();
    let t =
        Tolerance::absolute(bound, format!("Pinsker: √(KL/2), the KL of one row at most N times the mean gap {:.1e}", evidence - reached));
    g.array("q(z_n) by the score function", Source::E, &q.probabilities(), &truth, &t);
    Ok(())
}

/// log p(x_n, z_n) of some rows under a mixture, as a user's discrete target.
struct Labels(Array2<f64>);

impl LogDensity for Labels {
    fn dim(&self) -> usize {
        self.0.nrows()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(z.iter().enumerate().map(|(n, k)| self.0[[n, *k as usize]]).sum())
    }
}

/// The score-function gradient for labels is unbiased: its exact value is a sum over K.
fn gradients(g: &mut Group<'_>) -> Outcome {
    let (x, model) = mixture(g)?;
    // rows where two components compete
    let exact = g.subject.responsibilities(&model, &x)?;
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    order.sort_by(|a, b| entropy(&exact, *b).total_cmp(&entropy(&exact, *a)));
    let rows = x.select(Axis(0), &order[..5]);
    let k = model.weights().len();
    let mut joint = Array2::zeros((5, k));
    for c in 0..k {
        joint.column_mut(c).assign(&model.log_joint(&rows, &Array1::from_elem(5, c))?);
    }
    // a component that explains a row a hundred nats worse is drawn once in a while and drowns everything: at most 3 nats below the best
    for mut row in joint.rows_mut() {
        let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|v| v.max(best - 3.0) - best);
    }
    let target = Labels(joint.clone());
    for (name, flat) in [("at the truth", 1.0), ("flattened", 0.3), ("nearly uniform", 0.05)] {
        if g.budget == Budget::Quick && flat != 0.3 {
            continue;
        }
        let p = exact.select(Axis(0), &order[..5]).mapv(|v| v.max(1e-3).powf(flat));
        let p = &p / &p.sum_axis(Axis(1)).insert_axis(Axis(1));
        let q = Categorical::new(p.view())?;
        let p = q.probabilities();
        // ∂ELBO/∂φ_nk = q_nk (f_nk − Σ_j q_nj f_nj),   f = log p(x, k) − log q(k)
        let f = &joint - &p.mapv(f64::ln);
        let mean = (&p * &f).sum_axis(Axis(1)).insert_axis(Axis(1));
        let truth: Array1<f64> = (&p * &(&f - &mean)).iter().copied().collect();
        for (label, control) in
            [("plain", Control::None), ("leave one out", Control::LeaveOneOut), ("running mean", Control::RunningMean { decay: 0.9 })]
        {
            let (seed, mut index) = (g.seed(index_of(name, label)), 0);
            let margin = if g.budget == Budget::Quick { 0.5 } else { 0.05 };
            let n = if g.budget == Budget::Quick { 10_000 } else { 200_000 };
            let reason = "the exact gradient is a sum over K for each row";
            let width = q.parameters().len();
            g.unbiased(format!("{name}: score function, {label}"), (&truth, Source::E), (margin, 1e-9), n, reason, |n| {
                let (mut rng, mut memory) = (stream(seed, Purpose::Diagnosis, index), Memory::default());
                index += 1;
                let mut out = Array2::zeros((n, width));
                let mut buffer = vec![0.0; width];
                for mut row in out.rows_mut() {
                    buffer.fill(0.0);
                    score_function(&q, &target, control, 4, &mut memory, &mut rng, &mut buffer)?;
                    row.iter_mut().zip(&buffer).for_each(|(o, b)| *o = *b);
                }
                Ok(out)
            })?;
        }
    }
    Ok(())
}

fn index_of(name: &str, label: &str) -> u64 {
    name.bytes().chain(label.bytes()).fold(7, |h: u64, b| h.wrapping_mul(31).wrapping_add(u64::from(b)))
}

fn entropy(p: &Array2<f64>, n: usize) -> f64 {
    -p.row(n).iter().map(|v| v * v.max(1e-300).ln()).sum::<f64>()
}

/// With all rows in a batch and step 1 a stochastic step is an iteration of coordinate ascent.
fn full_batch(g: &mut Group<'_>, name: &'static str, k: usize) -> Outcome {
    let x = tables::real(name)?.x;
    // coordinate ascent reorders sticks where that raises the bound, stochastic steps never do: with two components in the right order
    // from the start there is nothing to reorder
    let sticks = (k == 2).then_some(WeightPrior::DirichletProcess { concentration: 1.0 });
    for weights in [WeightPrior::Dirichlet { concentration: 1.0 / k as f64 }].into_iter().chain(sticks) {
        let start = Array2::from_shape_fn((x.nrows(), k), |(n, c)| if n * k / x.nrows() == c { 0.8 } else { 0.2 / (k as f64 - 1.0) });
        let first = BayesianMixture {
            components: k,
            weights,
            start: MixtureStart::Responsibilities(start),
            restarts: 1,
            stopping: Stopping { max_iterations: 1, tolerance: 0.0 },
            ..Default::default()
        };
        let begun = first.fit(&x, 0)?.model;
        let on =
            BayesianMixture { start: MixtureStart::Posterior(begun), stopping: Stopping { max_iterations: 10, tolerance: 0.0 }, ..first };
        let batch = on.fit(&x, 0)?;
        let stochastic = StochasticBayesianMixture { batch: x.nrows(), steps: Steps::Constant(1.0), mixture: on };
        let svi = stochastic.fit(&x, 0)?;
        let label = if matches!(weights, WeightPrior::Dirichlet { .. }) { "Dirichlet" } else { "sticks" };
        // the first model of a stochastic run is made from the start as that of the batch run is
        let (a, b) = (Array1::from(svi.trace.clone()), Array1::from(batch.trace.clone()));
        let t = Tolerance::relative(1e-10, "the same sums in another order, ten contracting iterations (VERIFY: 1e-10)");
        let shifted = if (a[0] - b[0]).abs() < 1e-9 { 0 } else { 1 };
        let m = a.len() - shifted;
        let a = a.slice_axis(Axis(0), (0..m).into()).to_owned();
        let b = b.slice_axis(Axis(0), (shifted..shifted + m).into()).to_owned();
        g.array(format!("{label}: ELBO of ten stochastic steps of all rows, and of coordinate ascent"), Source::I, &a, &b, &t);
    }
    Ok(())
}

/// Minibatches end where coordinate ascent from the same start ends.
fn minibatches(g: &mut Group<'_>) -> Outcome {
    let x = super::shared::standardised(&tables::real("diamonds")?.x).select(Axis(1), &[0, 1, 2, 3, 4, 5]);
    let epochs = if g.budget == Budget::Quick { 10 } else { 60 };
    let mixture =
        BayesianMixture { components: 3, restarts: 1, stopping: Stopping { max_iterations: 600, tolerance: 1e-12 }, ..Default::default() };
    let batch = mixture.fit(&x, 3)?;
    let on = BayesianMixture {
        start: MixtureStart::Posterior(batch.model.clone()),
        stopping: Stopping { max_iterations: epochs, tolerance: 0.0 },
        ..mixture
    };
    let svi = StochasticBayesianMixture { batch: 500, ..StochasticBayesianMixture::new(on) }.fit(&x, g.seed(1))?;
    let (best, reached) = (batch.objective(), svi.objective());
    // it starts at the optimum and is thrown off it by its batches; what counts is that it comes back
    let t = Tolerance::absolute(0.01, "R3: 0.01 nat a row");
    g.bounded(format!("optimum a row less ELBO a row after {epochs} epochs of batches of 500"), Source::I, (best - reached).max(0.0), &t);
    Ok(())
}

/// Minibatches end where coordinate ascent ends from the same start, far from it: responsibilities that lean towards K parts of equal size along
/// a column. The worst of three orders of the rows.
fn cold_start(g: &mut Group<'_>, name: &'static str, k: usize, column: usize) -> Outcome {
    let x = tables::real(name)?.x;
    let along = x.column(column);
    let part = along.mapv(|v| along.iter().filter(|other| **other < v).count() * k / x.nrows());
    let epochs = if g.quick { 400 } else { 1000 };
    let start = Array2::from_shape_fn((x.nrows(), k), |(n, c)| if part[n] == c { 0.6 } else { 0.4 / (k as f64 - 1.0) });
    let of = |max_iterations: usize, tolerance: f64| BayesianMixture {
        components: k,
        start: MixtureStart::Responsibilities(start.clone()),
        restarts: 1,
        stopping: Stopping { max_iterations, tolerance },
        ..Default::default()
    };
    let (first, best) = (of(1, 0.0).fit(&x, 0)?.objective(), of(1000, 1e-12).fit(&x, 0)?.objective());
    let svi = StochasticBayesianMixture { batch: x.nrows().div_ceil(3), ..StochasticBayesianMixture::new(of(epochs, 0.0)) };
    let worst = (0..3).try_fold(f64::INFINITY, |worst: f64, i| svi.fit(&x, g.seed(i)).map(|fitted| worst.min(fitted.objective())))?;
    let t = Tolerance::absolute(0.01, "R3: 0.01 nat a row; steps decay, so the last of the noise is left");
    let quantity = format!("ELBO a row of coordinate ascent less the worst of three runs of {epochs} epochs in three batches each");
    g.bounded(quantity, Source::I, (best - worst).abs(), &t);
    g.holds(
        "the start",
        format!("{:.3} nats a row below", best - first),
        "more than 0.05",
        best - first > 0.05,
        "a start at the end proves nothing",
    );
    Ok(())
}
