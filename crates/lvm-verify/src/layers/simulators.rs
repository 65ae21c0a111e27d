//! L4: simulators against the densities they claim to draw from (Geweke 2004), by independent draws.
//!
//! ```text
//! tower      E[(1{z = k} − p(z = k | x)) f(x)] = 0           labels drawn with x, and the posterior of the label
//! renewal    (z, x) ~ p, z' ~ p(z | x), x' ~ p(x | z'):       f(z', x') has the mean of f(z, x)   (one step of Geweke's chain)
//! Stein      E[z_i ∂_j log p(x, z)] = −1{i = j}              any joint with a gradient
//! ```
//!
//! A prior, likelihood or posterior that is not the simulator's shows in one of them. B2: for an exact posterior `vsbc` must give uniform
//! probabilities, not only symmetric ones.

use crate::check::{Layer, Source};
use crate::stochastic::Claim;
use crate::suite::{Budget, Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fa::FaMl;
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::model::{Infer, LatentDist, LatentModel};
use lvm_core::ppca::PpcaMl;
use lvm_core::random::{Purpose, Stream, stream};
use lvm_vi::cavi::lda::{LdaModel, LocalStopping};
use lvm_vi::cavi::mixture::BayesianMixture;
use lvm_vi::cavi::multinomial_mixture::MultinomialMixture;
use lvm_vi::diagnose::vsbc;
use lvm_vi::local::LocalModel;
use lvm_vi::models::LinearRegression;
use ndarray::{Array1, Array2, array};
use rand_distr::{Distribution, StandardNormal};

/// All simulators.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::L, "L4", "simulator: mixtures of Gaussians", mixtures);
    suite.group(Layer::L, "L4", "simulator: PPCA and factor analysis", factors);
    suite.group(Layer::L, "L4", "simulator: Bernoulli factor model", bernoulli);
    suite.group(Layer::L, "L4", "simulator: mixture of multinomials", multinomials);
    suite.group(Layer::L, "L4", "simulator: latent Dirichlet allocation", allocation);
    suite.group(Layer::B, "B2", "coefficients of a linear regression, exact posterior", exact);
}

/// Draws of the first look, and the bias that must be seen, of statistics of unit variance or less.
fn effort(g: &Group<'_>) -> (usize, f64) {
    match g.budget {
        Budget::Quick => (12_000, 0.1),
        Budget::Full => (70_000, 0.04),
        Budget::Nightly => (1_000_000, 0.01),
    }
}

/// A statistic that must be zero on average, computed from n draws at a time.
fn zero(g: &mut Group<'_>, what: String, index: u64, mut draw: impl FnMut(usize, &mut Stream) -> Result<Vec<f64>, Problem>) -> Outcome {
    let (n, margin) = effort(g);
    let mut rng = stream(g.seed(index), Purpose::Sample, 0);
    let reason = "the simulator draws from the joint whose conditional this is (Geweke 2004)";
    g.expectation(what, (0.0.into(), Source::I), Claim::Equal(margin), n, reason, |n| draw(n, &mut rng))
}

/// (1{z = 0} − γ_0(x)) times the standardised first column.
fn tower<M: LatentModel<Z = Array1<usize>>>(
    model: &M,
    gamma: impl Fn(&Array2<f64>) -> lvm_core::Result<Array2<f64>>,
    (centre, sd): (f64, f64),
) -> impl FnMut(usize, &mut Stream) -> Result<Vec<f64>, Problem> {
    move |n, rng| {
        let z = model.sample_z(n, rng);
        let x = model.sample_x(&z, rng)?;
        let p = gamma(&x)?;
        let f = |i: usize| ((x[[i, 0]] - centre) / sd).clamp(-3.0, 3.0);
        Ok((0..n).map(|i| (f64::from(u8::from(z[i] == 0)) - p[[i, 0]]) * f(i)).collect())
    }
}

fn mixtures(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    for (i, kind) in CovarianceType::ALL.into_iter().enumerate() {
        let em = GmmEm { components: 3, covariance: kind, restarts: 1, ..Default::default() };
        let model = g.subject.fit_mixture(&em, &x, 1)?.model;
        let subject = g.subject;
        zero(g, format!("{kind}: label and responsibility"), i as u64, tower(&model, |x| subject.responsibilities(&model, x), (5.8, 0.8)))?;
    }
    let model = BayesianMixture { components: 3, restarts: 1, ..Default::default() }.fit(&x, 1)?.model;
    let gamma = |x: &Array2<f64>| -> lvm_core::Result<Array2<f64>> { Ok(model.infer(x)?.probabilities()) };
    zero(g, "Bayesian, predictive: label and its posterior".into(), 9, tower(&model, gamma, (5.8, 0.8)))
}

/// f(z', x') − f(z, x) for f = z_0² and f = z_0 x_0, a step of Geweke's chain away.
fn renewed<M: Infer<Z = Array2<f64>>>(model: &M, n: usize, rng: &mut Stream) -> Result<[Vec<f64>; 2], Problem>
where
    M::Q: LatentDist<Z = Array2<f64>>,
{
    let z = model.sample_z(n, rng);
    let x = model.sample_x(&z, rng)?;
    let again = model.infer(&x)?.sample(rng);
    let y = model.sample_x(&again, rng)?;
    let of = |f: &dyn Fn(usize) -> f64| (0..n).map(f).collect();
    Ok([of(&|i| (again[[i, 0]].powi(2) - z[[i, 0]].powi(2)) / 2.0), of(&|i| (again[[i, 0]] * y[[i, 0]] - z[[i, 0]] * x[[i, 0]]) / 2.0)])
}

fn factors(g: &mut Group<'_>) -> Outcome {
    let x = super::shared::standardised(&tables::real("wine")?.x);
    let ppca = g.subject.fit_ppca(&PpcaMl { components: 2, ..Default::default() }, &x, 0)?.model;
    let fa = g.subject.fit_factors(&FaMl { factors: 2, ..Default::default() }, &x, 0)?.model;
    for (s, f) in ["z²", "z x"].into_iter().enumerate() {
        zero(g, format!("PPCA: {f} after a step"), s as u64, |n, rng| Ok(std::mem::take(&mut renewed(&ppca, n, rng)?[s])))?;
        zero(g, format!("factor analysis: {f} after a step"), 2 + s as u64, |n, rng| Ok(std::mem::take(&mut renewed(&fa, n, rng)?[s])))?;
    }
    Ok(())
}

/// E[z_i ∂_j log p(x, z)] = −1{i = j}, x and z from the simulator.
fn bernoulli(g: &mut Group<'_>) -> Outcome {
    let (model, _) = super::gradients::bernoulli()?;
    for (i, j) in [(0, 0), (0, 1), (1, 1)] {
        zero(g, format!("E[z_{i} ∂_{j} log p] = {}", if i == j { "−1" } else { "0" }), (2 * i + j) as u64, |n, rng| {
            let z = model.sample_z(n, rng);
            let x = model.sample_x(&z, rng)?;
            let mut gradient = [0.0; 2];
            let one = |r: usize| {
                model.log_joint_grad(&x.row(r).to_vec(), &z.row(r).to_vec(), &mut gradient);
                // halved: its variance is then about one
                0.5 * (z[[r, i]] * gradient[j] + f64::from(u8::from(i == j)))
            };
            Ok((0..n).map(one).collect())
        })?;
    }
    Ok(())
}

fn multinomials(g: &mut Group<'_>) -> Outcome {
    let model = MultinomialMixture::new(array![0.3, 0.7], array![[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])?;
    zero(g, "label and responsibility".into(), 0, |n, rng| {
        let (documents, z) = model.sample(&vec![4; n], rng)?;
        let p = model.infer(&documents)?.probabilities();
        let first = |d: usize| {
            let (words, counts) = documents.get(d);
            words.iter().zip(counts).find(|(w, _)| **w == 0).map_or(0.0, |(_, c)| *c)
        };
        Ok((0..n).map(|d| (f64::from(u8::from(z[d] == 0)) - p[[d, 0]]) * (first(d) - 2.0)).collect())
    })
}

/// Two words of a document: P(w₁ = a, w₂ = b) = Σ_kl E[θ_k θ_l] β_ka β_lb with θ ~ Dirichlet(α, …, α).
fn allocation(g: &mut Group<'_>) -> Outcome {
    use super::documents_by_hand::{K, lambda};
    let alpha = 0.4;
    let model = LdaModel::new(lambda(), alpha, 0.6, LocalStopping::default())?;
    let beta = model.topics();
    let total = alpha * K as f64;
    let second = |k: usize, l: usize| alpha * (alpha + if k == l { 1.0 } else { 0.0 }) / (total * (total + 1.0));
    let pair = |a: usize, b: usize| -> f64 {
        (0..K).flat_map(|k| (0..K).map(move |l| (k, l))).map(|(k, l)| second(k, l) * beta[[k, a]] * beta[[l, b]]).sum()
    };
    for (i, (a, b)) in [(0, 0), (1, 4), (3, 8)].into_iter().enumerate() {
        let p = if a == b { pair(a, a) } else { 2.0 * pair(a, b) };
        zero(g, format!("words {a} and {b} in a document of two"), i as u64, |n, rng| {
            let documents = model.sample(&vec![2; n], rng)?;
            let both = |d: usize| {
                let (words, _) = documents.get(d);
                let has = |w: usize| words.iter().any(|v| *v as usize == w);
                has(a) && has(b) && words.iter().all(|v| *v as usize == a || *v as usize == b)
            };
            // over its standard deviation, so that the margin means the same for all pairs
            Ok((0..n).map(|d| (f64::from(u8::from(both(d))) - p) / (p * (1.0 - p)).sqrt()).collect())
        })?;
    }
    Ok(())
}

/// B2: with the exact posterior for q the probabilities are uniform.
fn exact(g: &mut Group<'_>) -> Outcome {
    let x = Array2::from_shape_fn((12, 3), |(n, j)| if j == 0 { 1.0 } else { ((n * (j + 1)) as f64).sin() + 0.5 * j as f64 });
    let simulate = |rng: &mut Stream| {
        let w: Array1<f64> = (0..3).map(|_| 2.0 * Distribution::<f64>::sample(&StandardNormal, rng)).collect();
        let y = x.dot(&w).mapv(|m| m + Distribution::<f64>::sample(&StandardNormal, rng));
        (w.to_vec(), y)
    };
    let fit = |y: &Array1<f64>, _: u64| LinearRegression::new(&x, y.view(), 2.0, 1.0)?.posterior();
    let (n, margin) = match g.budget {
        Budget::Quick => (13_000, 0.05),
        Budget::Full => (80_000, 0.02),
        Budget::Nightly => (320_000, 0.01),
    };
    let (seed, mut look) = (g.seed(0), 0);
    g.distributed(
        "P_q(w₁ < w₁⁰) of the exact posterior: uniform",
        Source::E,
        margin,
        n,
        "F(z₀ | x) is uniform if q is the posterior",
        |n| {
            look += 1;
            Ok(vsbc(n, simulate, fit, seed.wrapping_add(look))?.probabilities.column(1).to_vec())
        },
    )
}
