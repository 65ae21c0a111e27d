//! S5 for natural-gradient steps: over the batches of an epoch, each taken from the same start, a stochastic step is on average the step
//! by all data. Natural parameters move along straight lines,
//!
//! ```text
//! η' = (1 − ρ) η + ρ (η₀ + N/|B| Σ_{n ∈ B} t_n),          Σ_B |B|/N η'_B = (1 − ρ) η + ρ (η₀ + Σ_n t_n)        Hoffman et al. 2013, 27
//! ```
//!
//! so no draw is needed, and the scale N/|B|, what it is applied to and what ρ is applied to all show to rounding. O6: one Newton step of a row whose log
//! joint is quadratic is the way to its optimum.

use super::documents_by_hand as lda;
use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, SecondMoments};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_vi::cavi::lda::{Lda, LdaModel, LdaStart, OnlineLda, OnlineLdaState};
use lvm_vi::cavi::minibatch::{Minibatches, Steps};
use lvm_vi::cavi::mixture::{
    BayesianMixture, BayesianMixtureModel, MixtureStart, StochasticBayesianMixture, StochasticState, WeightFactor, WeightPrior,
};
use lvm_vi::local::{PerDatum, Shape, full_covariance, mean_field};
use ndarray::{Array1, Array2};

/// ρ of the steps: neither 0 nor 1, so that what it is applied to shows.
pub(super) const RHO: f64 = 0.25;
/// Rows in a batch: the last of an epoch is shorter.
pub(super) const BATCH: usize = 7;

/// All of it.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::S, "S5", "LDA, natural-gradient steps", documents);
    for kind in [CovarianceType::Full, CovarianceType::Diagonal] {
        suite.group(Layer::S, "S5", &format!("Bayesian mixture ({kind}), natural-gradient steps"), |g| mixture(g, kind));
    }
    suite.group(Layer::O, "O6", "rows of a linear-Gaussian model", one_step);
}

/// Σ_B |B|/N of what one step by each batch of an epoch leaves.
pub(super) fn epoch(n: usize, batch: usize, step: impl Fn(u64) -> Result<Array1<f64>, Problem>) -> Result<Array1<f64>, Problem> {
    let order = Minibatches::new(n, batch, SEED)?;
    let mut mean: Option<Array1<f64>> = None;
    for b in 0..order.per_epoch() as u64 {
        let share = order.of_step(b).len() as f64 / n as f64;
        let after = step(b)? * share;
        mean = Some(mean.map_or_else(|| after.clone(), |m| m + &after));
    }
    mean.ok_or_else(|| Problem("an epoch without batches".into()))
}

pub(super) const SEED: u64 = 5;

pub(super) const REASON: &str = "1e-10 of the entry: the same sums over rows in another order (VERIFY: one evaluation)";

fn documents(g: &mut Group<'_>) -> Outcome {
    let counts = lda::counts(30);
    let documents = lda::documents(&counts)?;
    let base = Lda {
        topics: lda::K,
        start: LdaStart::Lambda(lda::lambda()),
        stopping: Stopping { max_iterations: 1, tolerance: 0.0 },
        ..Default::default()
    };
    let model = LdaModel::new(lda::lambda(), 1.0 / 3.0, 1.0 / 3.0, base.local)?;
    let full = base.fit(&documents, 0)?.model;
    let truth = (&lda::lambda() * (1.0 - RHO) + full.lambda() * RHO).iter().copied().collect::<Array1<f64>>();
    for batch in [1, BATCH, documents.len()] {
        let online = OnlineLda { batch, steps: Steps::Constant(RHO), ..OnlineLda::new(base.clone()) };
        let ours = epoch(documents.len(), batch, |b| {
            let mut state = OnlineLdaState { model: model.clone(), steps: b, seed: SEED };
            online.advance(&mut state, &documents, 1)?;
            Ok(state.model.lambda().iter().copied().collect())
        })?;
        g.array(format!("batches of {batch}: λ after a step, averaged"), Source::I, &ours, &truth, &Tolerance::relative(1e-10, REASON));
    }
    Ok(())
}

/// α or sticks, β, β m, ν and W⁻¹ + β m mᵀ: linear in what an update adds.
fn natural(model: &BayesianMixtureModel) -> Array1<f64> {
    let c = model.components();
    let mut out = match model.weight_factor() {
        WeightFactor::Dirichlet(alpha) => alpha.to_vec(),
        WeightFactor::Sticks { a, b } => a.iter().chain(b).copied().collect(),
    };
    out.extend(c.mean_precision().iter().chain(c.dof()));
    for k in 0..c.n_components() {
        let (beta, m) = (c.mean_precision()[k], c.means().row(k).to_owned());
        out.extend(m.iter().map(|m| beta * m));
        match c.scale_inverse() {
            SecondMoments::Full(s) => {
                out.extend(s.index_axis(ndarray::Axis(0), k).indexed_iter().map(|((i, j), s)| s + beta * m[i] * m[j]))
            }
            SecondMoments::Diagonal(s) => out.extend(s.row(k).iter().zip(&m).map(|(s, m)| s + beta * m * m)),
        }
    }
    Array1::from(out)
}

fn mixture(g: &mut Group<'_>, kind: CovarianceType) -> Outcome {
    let x = tables::real("iris")?.x;
    let n = x.nrows();
    let responsibilities = Array2::from_shape_fn((n, 3), |(i, k)| if i * 3 / n == k { 0.8 } else { 0.1 });
    let first = BayesianMixture {
        components: 3,
        covariance: kind,
        // a fit puts sticks in order of their size; a Dirichlet leaves its components where they are
        weights: WeightPrior::Dirichlet { concentration: 1.0 },
        start: MixtureStart::Responsibilities(responsibilities),
        restarts: 1,
        stopping: Stopping { max_iterations: 1, tolerance: 0.0 },
        ..Default::default()
    };
    let start = first.fit(&x, 0)?.model;
    let on = BayesianMixture { start: MixtureStart::Posterior(start.clone()), ..first };
    let step = |batch: usize, b: u64| -> Result<Array1<f64>, Problem> {
        let svi = StochasticBayesianMixture { batch, steps: Steps::Constant(RHO), mixture: on.clone() };
        let mut state = StochasticState { model: start.clone(), steps: b, seed: SEED };
        svi.advance(&mut state, &x, 1)?;
        Ok(natural(&state.model))
    };
    // (1 − ρ) η + ρ η of an iteration of coordinate ascent
    let truth = natural(&start) * (1.0 - RHO) + natural(&on.fit(&x, 0)?.model) * RHO;
    let size = truth.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let t =
        Tolerance::absolute(1e-12 * size, "1e-12 of the largest natural parameter: second moments about other centres, put together anew");
    for batch in [BATCH, n] {
        let ours = epoch(n, batch, |b| step(batch, b))?;
        g.array(format!("batches of {batch}: natural parameters after a step, averaged"), Source::I, &ours, &truth, &t);
    }
    Ok(())
}

/// Every row from N(0, I) to its optimum in one step, whatever the shape.
fn one_step(g: &mut Group<'_>) -> Outcome {
    let x = super::shared::standardised(&tables::real("wine")?.x);
    let loadings = Array2::from_shape_fn((13, 3), |(j, i)| ((5 * j + 3 * i + 1) as f64).sin());
    let model = LinearGaussian::new(Array1::zeros(13), loadings, Array1::from_shape_fn(13, |j| 0.5 + 0.3 * (j as f64).cos()))?;
    let once = Stopping { max_iterations: 1, tolerance: 0.0 };
    let t = Tolerance::absolute(1e-10, "VERIFY O6: 1e-10");
    for (shape, name) in [(Shape::Diagonal, "mean field"), (Shape::Full, "full rank")] {
        let q = PerDatum { shape, stopping: once }.fit(&model, &x)?.model;
        let best = match shape {
            Shape::Diagonal => mean_field(&model, &x)?,
            Shape::Full => (&full_covariance(&model, &x)?).into(),
        };
        g.array(format!("{name}: means of all rows after one step"), Source::E, q.mean(), best.mean(), &t);
        let sds = (q.standard_deviations(), best.standard_deviations());
        g.array(format!("{name}: standard deviations after one step"), Source::E, &sds.0, &sds.1, &t);
    }
    Ok(())
}
