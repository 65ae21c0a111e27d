//! D1 for variational inference: the same bits on 1, 2 and 8 threads, in a second run, and in a run stopped, written down, read back and
//! gone on with; and no draw that is made twice.

use super::on_threads;
use crate::check::{Layer, Source, Tolerance};
use crate::layers::documents_by_hand as lda;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fit::Stopping;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_vi::amortized::{AmortizedGradient, AmortizedVi, EncoderConfig};
use lvm_vi::cavi::bayesian_ppca::{BayesianPpca, BayesianPpcaModel};
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, LdaStart, OnlineLda, OnlineLdaState};
use lvm_vi::cavi::minibatch::Steps;
use lvm_vi::cavi::mixture::{BayesianMixture, BayesianMixtureModel, MixtureStart, StochasticBayesianMixture, StochasticState};
use lvm_vi::cavi::multinomial_mixture::BayesianMultinomialMixture;
use lvm_vi::deterministic::FixedPoint;
use lvm_vi::diagnose::{Diagnose, WeightedDraws};
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{FullRank, MeanField, Variational};
use lvm_vi::fit::{self, State, Vi};
use lvm_vi::local::PerDatum;
use lvm_vi::models::LogisticRegression;
use lvm_vi::optimizer::Geometry;
use lvm_vi::target::{FullData, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, array};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Mutex;

/// All of it.
pub(super) fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::D, "D1", "inference: stochastic fits", stochastic);
    suite.group(Layer::D, "D1", "inference: deterministic optimum and verdict", deterministic);
    suite.group(Layer::D, "D1", "inference: Bayesian mixture", mixture);
    suite.group(Layer::D, "D1", "inference: documents", documents);
    suite.group(Layer::D, "D1", "inference: Bayesian PPCA", pca);
    suite.group(Layer::D, "D1", "inference: rows and encoders", rows);
    suite.group(Layer::D, "D1", "inference: no draw is made twice", draws);
}

/// Runs `body` on 1, 2 and 8 threads and once more on 2.
fn same(g: &mut Group<'_>, what: &str, body: impl Fn() -> Result<Vec<f64>, Problem> + Sync) -> Outcome {
    let one = on_threads(1, &body)??;
    for threads in [2, 8] {
        let other = on_threads(threads, &body)??;
        g.bits(format!("{what}: {threads} threads = 1 thread"), &other, &one, "fixed blocks, ordered merges");
    }
    g.bits(format!("{what}: run twice"), &on_threads(2, &body)??, &one, "the same data, settings and seed");
    Ok(())
}

/// Written down and read back.
fn stored<T: Serialize + DeserializeOwned>(value: &T) -> Result<T, Problem> {
    let text = serde_json::to_string(value).map_err(|e| Problem(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| Problem(e.to_string()))
}

/// Four correlated latents.
fn gaussian() -> lvm_core::Result<GaussianTarget> {
    let lambda = Array2::from_shape_fn((4, 4), |(i, j)| if i == j { 2.0 + i as f64 } else { 0.4 * ((i + j) as f64).cos() });
    GaussianTarget::from_precision(array![0.5, -1.0, 2.0, 0.0], lambda)
}

/// Logistic regression on all rows of iris.
fn regression() -> Result<LogisticRegression, Problem> {
    let x = tables::real("iris")?.x;
    Ok(LogisticRegression::new(&x, Array1::from_shape_fn(150, |n| f64::from(u8::from(n >= 75))).view(), 2.0)?)
}

const STEPS: usize = 400;

fn exactly<F: Geometry>(start: F) -> Vi<F> {
    Vi { stopping: fit::Stopping { max_iterations: STEPS, tolerance: 0.0, ..fit::Stopping::default() }, ..Vi::new(start) }
}

fn stochastic(g: &mut Group<'_>) -> Outcome {
    let (target, model) = (gaussian()?, regression()?);
    same(g, "mean field", || {
        let f = exactly(MeanField::standard(4)?).fit(&target, 3)?;
        Ok(f.model.q.parameters().iter().chain(&f.trace).copied().collect())
    })?;
    same(g, "full rank", || {
        let f = exactly(FullRank::standard(4)?).fit(&target, 3)?;
        Ok(f.model.q.parameters().iter().chain(&f.trace).copied().collect())
    })?;
    same(g, "minibatches", || {
        let f = exactly(MeanField::standard(4)?).fit_minibatch(&model, 32, 3)?;
        Ok(f.model.q.parameters().iter().chain(&f.trace).copied().collect())
    })?;
    same(g, "restarts", || {
        let f = Vi { restarts: 3, ..exactly(MeanField::standard(4)?) }.fit(&FullData::new(&model), 3)?;
        Ok(f.model.q.parameters().iter().chain(&f.trace).copied().collect())
    })?;
    resumed(g, "mean field", &exactly(MeanField::standard(4)?), &target)?;
    resumed(g, "full rank", &exactly(FullRank::standard(4)?), &target)
}

/// 150 + 250 steps are 400.
fn resumed<F: Geometry>(g: &mut Group<'_>, name: &str, vi: &Vi<F>, target: &GaussianTarget) -> Outcome {
    let mut whole = vi.init(target, 9)?;
    for _ in 0..STEPS {
        vi.step(&mut whole, target)?;
    }
    let mut part = vi.init(target, 9)?;
    for _ in 0..150 {
        vi.step(&mut part, target)?;
    }
    let mut part: State<F> = stored(&part)?;
    for _ in 150..STEPS {
        vi.step(&mut part, target)?;
    }
    let numbers =
        |s: &State<F>| -> Result<Vec<f64>, Problem> { Ok(s.parameters.iter().chain(vi.average(s)?.parameters()).copied().collect()) };
    g.bits(format!("{name}: resumed after 150 of {STEPS} steps"), &numbers(&part)?, &numbers(&whole)?, "the state is all that changes");
    Ok(())
}

fn deterministic(g: &mut Group<'_>) -> Outcome {
    let target = gaussian()?;
    same(g, "fixed point", || {
        let f = FixedPoint::default().fit(&target)?;
        Ok(f.model.mean.iter().chain(&f.model.covariance).chain(&f.trace).copied().collect())
    })?;
    let q = MeanField::new(&[0.4, -0.9, 2.1, 0.1], &[0.8, 0.6, 0.5, 0.4])?;
    same(g, "weighted draws and their smoothed weights", || {
        let draws = WeightedDraws::new(&q, &target, 3000, 5)?;
        let psis = draws.smoothed()?;
        Ok(draws.log_weights.iter().chain(&psis.log_weights).chain([&psis.pareto_k, &psis.effective_draws]).copied().collect())
    })?;
    let model = regression()?;
    same(g, "verdict", || {
        let found = Diagnose::default().run(&MeanField::standard(4)?, &FullData::new(&model), 5)?;
        let o = &found.optimality;
        Ok(found
            .mean_error
            .iter()
            .chain(&found.scale_ratio)
            .chain(&o.location)
            .chain(&o.log_scale)
            .copied()
            .chain([found.elbo.mean])
            .collect())
    })
}

/// Every number of a Bayesian mixture.
fn of_mixture(m: &BayesianMixtureModel) -> Vec<f64> {
    let c = m.components();
    let scales: Vec<f64> = match c.scale_inverse() {
        lvm_core::gmm::SecondMoments::Full(s) => s.iter().copied().collect(),
        lvm_core::gmm::SecondMoments::Diagonal(s) => s.iter().copied().collect(),
    };
    c.means().iter().chain(c.mean_precision()).chain(c.dof()).chain(&m.weights()).copied().chain(scales).collect()
}

fn mixture(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("diamonds")?.x;
    let x = x.slice_axis(ndarray::Axis(0), (0..2000).into()).to_owned();
    let stopping = Stopping { max_iterations: 4, tolerance: 0.0 };
    let config = |start| BayesianMixture { components: 3, start, restarts: 1, stopping, ..Default::default() };
    same(g, "coordinate ascent", || {
        let f = config(MixtureStart::default()).fit(&x, 5)?;
        Ok(of_mixture(&f.model).into_iter().chain(f.trace).collect())
    })?;
    let svi = StochasticBayesianMixture { batch: 300, ..StochasticBayesianMixture::new(config(MixtureStart::default())) };
    same(g, "stochastic", || {
        let f = svi.fit(&x, 5)?;
        Ok(of_mixture(&f.model).into_iter().chain(f.trace).collect())
    })?;
    let model = config(MixtureStart::default()).fit(&x, 5)?.model;
    let begin = || StochasticState { model: model.clone(), steps: 0, seed: 5 };
    let (mut whole, mut part) = (begin(), begin());
    svi.advance(&mut whole, &x, 12)?;
    svi.advance(&mut part, &x, 5)?;
    let mut rest = StochasticState { model: part.model.clone(), steps: part.steps, seed: part.seed };
    svi.advance(&mut rest, &x, 7)?;
    g.bits("stochastic: 5 + 7 steps = 12", &of_mixture(&rest.model), &of_mixture(&whole.model), "model, steps and seed are all the state");
    Ok(())
}

fn documents(g: &mut Group<'_>) -> Outcome {
    let documents: Documents = lda::documents(&lda::counts(300))?;
    let stopping = Stopping { max_iterations: 5, tolerance: 0.0 };
    let batch = Lda { topics: lda::K, start: LdaStart::Lambda(lda::lambda()), stopping, ..Default::default() };
    same(g, "LDA", || {
        let f = batch.fit(&documents, 5)?;
        Ok(f.model.lambda().iter().copied().chain(f.trace).collect())
    })?;
    let online = OnlineLda { batch: 64, steps: Steps::RobbinsMonro { delay: 1.0, forgetting: 0.7 }, ..OnlineLda::new(batch.clone()) };
    same(g, "online LDA", || {
        let f = online.fit(&documents, 5)?;
        Ok(f.model.lambda().iter().copied().chain(f.trace).collect())
    })?;
    let model = batch.fit(&documents, 5)?.model;
    let begin = || OnlineLdaState { model: model.clone(), steps: 0, seed: 5 };
    let (mut whole, mut part) = (begin(), begin());
    online.advance(&mut whole, &documents, 12)?;
    online.advance(&mut part, &documents, 5)?;
    let mut rest = OnlineLdaState { model: part.model.clone(), steps: part.steps, seed: part.seed };
    online.advance(&mut rest, &documents, 7)?;
    let numbers = |s: &OnlineLdaState| s.model.lambda().iter().copied().collect::<Vec<f64>>();
    g.bits("online LDA: 5 + 7 steps = 12", &numbers(&rest), &numbers(&whole), "model, steps and seed are all the state");
    same(g, "mixture of multinomials", || {
        let f = BayesianMultinomialMixture { components: 3, restarts: 2, stopping, ..Default::default() }.fit(&documents, 5)?;
        let words = f.model.words().iter().flat_map(|w| w.alpha().to_vec());
        Ok(f.model.weights().alpha().iter().copied().chain(words).chain(f.trace).collect())
    })
}

fn pca(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("digits")?.x;
    let config = BayesianPpca { components: Some(6), stopping: Stopping { max_iterations: 20, tolerance: 0.0 }, ..Default::default() };
    let numbers = |m: &BayesianPpcaModel| {
        let f = m.factors();
        f.mean.iter().chain(&f.loadings).chain(&f.loading_covariance).chain(&f.relevance).chain(&f.noise).copied().collect::<Vec<f64>>()
    };
    same(g, "fit", || {
        let f = config.fit(&x, 0)?;
        Ok(numbers(&f.model).into_iter().chain(f.trace).collect())
    })
}

fn rows(g: &mut Group<'_>) -> Outcome {
    let x = crate::layers::shared::standardised(&tables::real("wine")?.x);
    let loadings = Array2::from_shape_fn((13, 3), |(j, i)| ((5 * j + 3 * i + 1) as f64).sin());
    let model = LinearGaussian::new(Array1::zeros(13), loadings, Array1::from_elem(13, 0.6))?;
    same(g, "ascent of each row", || {
        let f = PerDatum::default().fit(&model, &x)?;
        let factors = (0..x.nrows()).flat_map(|n| f.model.lower(n).iter().copied().collect::<Vec<_>>());
        Ok(f.model.mean().iter().copied().chain(factors).chain(f.trace).collect())
    })?;
    for (name, gradient) in
        [("exact gradients", AmortizedGradient::Exact), ("pathwise gradients", AmortizedGradient::Pathwise { draws: 2 })]
    {
        same(g, &format!("encoder, {name}"), || {
            let config = AmortizedVi {
                encoder: EncoderConfig { hidden: vec![8], ..Default::default() },
                gradient,
                batch: 32,
                stopping: Stopping { max_iterations: 3, tolerance: 0.0 },
                ..Default::default()
            };
            let f = config.fit(&model, &x, 5)?;
            Ok(f.model.encoder.parameters().iter().copied().chain(f.trace).collect())
        })?;
    }
    Ok(())
}

/// N(0, I), and where it was asked for.
struct Recorded(Mutex<Vec<[f64; 2]>>);

impl Recorded {
    fn take(&self) -> Result<Vec<[f64; 2]>, Problem> {
        Ok(std::mem::take(&mut *self.0.lock().map_err(|e| Problem(e.to_string()))?))
    }
}

impl LogDensity for Recorded {
    fn dim(&self) -> usize {
        2
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0; 2])
    }
}

impl LogDensityGrad for Recorded {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.lock().map_err(|e| TargetError::Fatal(e.to_string()))?.push([z[0], z[1]]);
        gradient.copy_from_slice(&[-z[0], -z[1]]);
        Ok(-0.5 * (z[0] * z[0] + z[1] * z[1]))
    }
}

/// The ELBO of a fit and its verdict rest on draws of their own: none has the noise of a step, or of each other.
fn draws(g: &mut Group<'_>) -> Outcome {
    let target = Recorded(Mutex::new(Vec::new()));
    let (m0, s0) = ([0.4, -0.3], [1.3, 0.8]);
    let vi = Vi {
        stopping: fit::Stopping { max_iterations: 1, tolerance: 0.0, ..fit::Stopping::default() },
        ..Vi::new(MeanField::new(&m0, &s0)?)
    };
    let fitted = vi.fit(&target, 11)?;
    let all = target.take()?;
    // ten draws try the start, ten make the step, the others judge
    let (train, test) = all.split_at(20.min(all.len()));
    let q = fitted.model.q.parameters().to_vec();
    let noise = |z: &[f64; 2], m: &[f64], s: &[f64]| [(z[0] - m[0]) / s[0], (z[1] - m[1]) / s[1]];
    let of_test: Vec<[f64; 2]> = test.iter().map(|z| noise(z, &q[..2], &[q[2].exp(), q[3].exp()])).collect();
    let shared = train.iter().filter(|z| {
        let e = noise(z, &m0, &s0);
        of_test.iter().any(|t| (t[0] - e[0]).abs() + (t[1] - e[1]).abs() < 1e-9)
    });
    let reason =
        Tolerance::exact("two draws of 53 random bits agree with probability 1e-10; test draws that trained it make any q look good");
    g.scalar("draws of the ELBO with the noise of a step", Source::I, shared.count() as f64, 0.0, &reason);
    g.holds("draws that judge", of_test.len().to_string(), "1000", of_test.len() >= 1000, "elbo_draws");
    let judge = Diagnose { draws: 2000, max_draws: 2000, ..Diagnose::default() };
    judge.run(&fitted.model.q, &target, 11)?;
    let mut bits: Vec<[u64; 2]> = target.take()?.into_iter().map(|z| z.map(f64::to_bits)).collect();
    let made = bits.len();
    bits.sort_unstable();
    bits.dedup();
    g.scalar("points of a verdict: different ones", Source::I, bits.len() as f64, made as f64, &reason);
    Ok(())
}
