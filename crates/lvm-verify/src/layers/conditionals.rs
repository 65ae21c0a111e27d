//! L4: ratios of conditionals (Grosse & Duvenaud 2014). Wherever the library has a conditional of its joint in a form of its own, the
//! ratio of two of its values must be the ratio of the joint:
//!
//! ```text
//! log p(z' | x) − log p(z | x) = log p(x, z') − log p(x, z)        log p(x' | z) − log p(x | z) = log p(x', z) − log p(x, z)
//! ```
//!
//! No normaliser is needed and no draw is made: what a conditional lacks, or has too much, shows to rounding. With one component the
//! conjugate models have their evidence in the ELBO, and then p(x* | X) = p(X, x*)/p(X).

use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Outcome, Suite};
use crate::tables;
use lvm_core::dist::Gamma;
use lvm_core::fa::FaMl;
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel};
use lvm_core::ppca::PpcaMl;
use lvm_core::special::lgamma;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::linear_regression::{BayesianLinearRegression, Noise};
use lvm_vi::cavi::mixture::{BayesianMixture, PriorSettings};
use lvm_vi::cavi::multinomial_mixture::{BayesianMultinomialMixture, MultinomialMixture};
use lvm_vi::family::Variational;
use lvm_vi::models::{LinearRegression, LogisticRegression, PoissonRegression};
use lvm_vi::target::{FullData, LogDensity};
use ndarray::{Array1, Array2, Axis, Slice, array};

/// All ratios.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::L, "L4", "ratios: mixtures of Gaussians", mixtures);
    suite.group(Layer::L, "L4", "ratios: PPCA and factor analysis", factors);
    suite.group(Layer::L, "L4", "ratios: Bernoulli factor model", bernoulli);
    suite.group(Layer::L, "L4", "ratios: mixture of multinomials", multinomials);
    suite.group(Layer::L, "L4", "ratios: latent Dirichlet allocation", super::documents_by_hand::conditionals);
    suite.group(Layer::L, "L4", "ratios: linear regression", linear_regression);
    suite.group(Layer::L, "L4", "ratios: logistic and Poisson regression", generalized);
}

/// VERIFY L4 asks for 1e-10; of log densities of this size rounding leaves 1e-12 times it.
fn ratio(size: f64) -> Tolerance {
    Tolerance::absolute(1e-10 + 1e-12 * size, "VERIFY L4: 1e-10, and 1e-12 of the log densities that cancel")
}

fn largest(v: &Array1<f64>) -> f64 {
    v.iter().filter(|v| v.is_finite()).fold(1.0, |m: f64, v| m.max(v.abs()))
}

/// Labels: EM's mixture of every covariance type, and the predictive mixture of the Bayesian one.
fn mixtures(g: &mut crate::suite::Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let label = |k: usize| Array1::from_elem(x.nrows(), k);
    for kind in CovarianceType::ALL {
        let em = GmmEm { components: 3, covariance: kind, restarts: 1, ..Default::default() };
        let model = g.subject.fit_mixture(&em, &x, 1)?.model;
        let q = model.infer(&x)?;
        for k in [1, 2] {
            let joint = model.log_joint(&x, &label(k))? - model.log_joint(&x, &label(0))?;
            let conditional = q.log_prob(&label(k))? - q.log_prob(&label(0))?;
            let t = ratio(largest(&model.log_joint(&x, &label(k))?));
            g.array(format!("{kind}: p(z = {k} | x)/p(z = 0 | x)"), Source::I, &conditional, &joint, &t);
        }
    }
    let bayesian =
        BayesianMixture { components: 3, restarts: 1, stopping: Stopping { max_iterations: 30, tolerance: 0.0 }, ..Default::default() };
    let model = bayesian.fit(&x, 1)?.model;
    let q = model.infer(&x)?;
    let joint = model.log_joint(&x, &label(1))? - model.log_joint(&x, &label(0))?;
    let conditional = q.log_prob(&label(1))? - q.log_prob(&label(0))?;
    g.array("Bayesian, predictive: p(z = 1 | x)/p(z = 0 | x)", Source::I, &conditional, &joint, &ratio(largest(&joint)));
    // one component: q is the posterior, its ELBO the evidence; the prior must be the same with and without the last row
    let prior = PriorSettings {
        mean: Some(array![5.5, 3.0, 4.0, 1.0]),
        mean_precision: 0.5,
        dof: Some(6.0),
        scale_inverse: Some(lvm_vi::cavi::mixture::Scale::Full(Array2::eye(4))),
    };
    let one = BayesianMixture { components: 1, prior, stopping: Stopping { max_iterations: 1, tolerance: 0.0 }, ..Default::default() };
    let (some, rest) = (x.slice_axis(Axis(0), Slice::from(..80)).to_owned(), x.slice_axis(Axis(0), Slice::from(..81)).to_owned());
    let posterior = one.fit(&some, 0)?.model;
    let joint = one.fit(&rest, 0)?.model.elbo(&rest)?.total() - posterior.elbo(&some)?.total();
    let predictive = posterior.log_evidence(&x.slice_axis(Axis(0), Slice::from(80..81)).to_owned())?[0];
    g.scalar("Bayesian, one component: p(x* | X) = p(X, x*)/p(X)", Source::I, predictive, joint, &ratio(1000.0));
    Ok(())
}

/// Continuous latents: the posterior against the joint, at the mode and beside it.
fn factors(g: &mut crate::suite::Group<'_>) -> Outcome {
    let x = super::shared::standardised(&tables::real("wine")?.x);
    let q = 3;
    let at = |c: f64| Array2::from_shape_fn((x.nrows(), q), |(n, i)| c * ((3 * n + 5 * i) as f64).sin());
    let (z, other) = (at(0.7), at(-1.9));
    let ppca = g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, &x, 0)?.model;
    let fa = g.subject.fit_factors(&FaMl { factors: q, ..Default::default() }, &x, 0)?.model;
    let of_ppca = (ppca.infer(&x)?, ppca.log_joint(&x, &other)?, ppca.log_joint(&x, &z)?);
    let of_fa = (fa.infer(&x)?, fa.log_joint(&x, &other)?, fa.log_joint(&x, &z)?);
    for (name, (p, above, below)) in [("PPCA", of_ppca), ("factor analysis", of_fa)] {
        let conditional = p.log_prob(&other)? - p.log_prob(&z)?;
        let t = ratio(largest(&above).max(largest(&below)));
        g.array(format!("{name}: p(z' | x)/p(z | x)"), Source::I, &conditional, &(&above - &below), &t);
    }
    Ok(())
}

/// p(x | z): a product of Bernoulli probabilities.
fn bernoulli(g: &mut crate::suite::Group<'_>) -> Outcome {
    let (model, _) = super::gradients::bernoulli()?;
    let n = 40;
    let z = Array2::from_shape_fn((n, 2), |(n, i)| 2.0 * ((7 * n + 3 * i) as f64).sin());
    let bits = |shift: usize| Array2::from_shape_fn((n, 6), |(n, j)| f64::from(u8::from((n * 5 + j * 3 + shift).is_multiple_of(3))));
    let (x, other) = (bits(0), bits(1));
    let p = model.probabilities(&z)?;
    let log = |x: &Array2<f64>| -> Array1<f64> {
        let entry = |(n, j): (usize, usize)| if x[[n, j]] > 0.5 { p[[n, j]].ln() } else { (-p[[n, j]]).ln_1p() };
        (0..n).map(|i| (0..6).map(|j| entry((i, j))).sum()).collect()
    };
    let joint = model.log_joint(&other, &z)? - model.log_joint(&x, &z)?;
    let t = Tolerance::absolute(1e-10, "VERIFY L4: 1e-10; log(1 − p) of p down to 1e-4 loses four digits");
    g.array("p(x' | z)/p(x | z)", Source::I, &(log(&other) - log(&x)), &joint, &t);
    // the joint of z alone: the prior
    let zeros = Array2::zeros((n, 2));
    let p0 = model.probabilities(&zeros)?;
    let at_zero: Array1<f64> =
        (0..n).map(|i| (0..6).map(|j| if x[[i, j]] > 0.5 { p0[[i, j]].ln() } else { (-p0[[i, j]]).ln_1p() }).sum()).collect();
    let prior: Array1<f64> = z.rows().into_iter().map(|z| -0.5 * z.dot(&z)).collect();
    let joint = model.log_joint(&x, &z)? - model.log_joint(&x, &zeros)?;
    g.array("p(z) p(x | z)/p(0) p(x | 0)", Source::I, &(prior + log(&x) - at_zero), &joint, &t);
    Ok(())
}

/// Every document of `n` words over three words, as counts.
fn every_document(n: usize) -> Vec<[f64; 3]> {
    (0..=n).flat_map(|a| (0..=n - a).map(move |b| [a as f64, b as f64, (n - a - b) as f64])).collect()
}

fn documents(rows: &[[f64; 3]]) -> lvm_core::Result<Documents> {
    let entries = rows.iter().map(|r| r.iter().enumerate().filter(|(_, c)| **c > 0.0).map(|(w, c)| (w, *c)).collect());
    Documents::from_rows(3, entries)
}

/// A mixture of two multinomials over three words, term by term.
fn multinomials(g: &mut crate::suite::Group<'_>) -> Outcome {
    let (pi, beta) = ([0.3, 0.7], [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]);
    let model = MultinomialMixture::new(array![pi[0], pi[1]], array![beta[0], beta[1]])?;
    let counts = every_document(5);
    let all = documents(&counts)?;
    let t = Tolerance::absolute(1e-10, "VERIFY L4: 1e-10");
    let joint = |k: usize, x: &[f64; 3]| -> f64 {
        let coefficient = lgamma(6.0) - x.iter().map(|c| lgamma(c + 1.0)).sum::<f64>();
        coefficient + f64::ln(pi[k]) + x.iter().zip(&beta[k]).map(|(c, b)| c * f64::ln(*b)).sum::<f64>()
    };
    let q = model.infer(&all)?;
    let ours = &q.log_probabilities().column(1) - &q.log_probabilities().column(0);
    let truth: Array1<f64> = counts.iter().map(|x| joint(1, x) - joint(0, x)).collect();
    g.array("p(z = 1 | x)/p(z = 0 | x)", Source::I, &ours, &truth, &t);
    let evidence = model.log_evidence(&all)?;
    let truth: Array1<f64> = counts.iter().map(|x| (joint(0, x).exp() + joint(1, x).exp()).ln()).collect();
    g.array("log p(x), with the multinomial coefficient", Source::I, &evidence, &truth, &t);
    let total = evidence.mapv(f64::exp).sum();
    g.scalar("Σ p(x) over every document of five words", Source::E, total, 1.0, &Tolerance::absolute(1e-12, "21 terms, each to 1e-14"));
    // one component: the ELBO is the log evidence
    let fit = |rows: &[[f64; 3]]| {
        BayesianMultinomialMixture { word_concentration: 0.7, restarts: 1, ..Default::default() }.fit(&documents(rows)?, 0).map(|f| f.model)
    };
    let (some, more) = (&counts[..9], &counts[..10]);
    let posterior = fit(some)?;
    let joint = fit(more)?.elbo(&documents(more)?)? - posterior.elbo(&documents(some)?)?;
    let predictive = posterior.log_predictive(&documents(&counts[9..10])?)?[0];
    g.scalar("Bayesian, one component: p(x* | X) = p(X, x*)/p(X)", Source::I, predictive, joint, &ratio(100.0));
    Ok(())
}

/// The posterior of the coefficients against the joint, for both regressions of the library, and the evidence of one more row.
fn linear_regression(g: &mut crate::suite::Group<'_>) -> Outcome {
    let x = Array2::from_shape_fn((30, 3), |(n, j)| if j == 0 { 1.0 } else { ((n * (j + 1)) as f64).sin() });
    let y = Array1::from_shape_fn(30, |n| 0.5 + 1.5 * (n as f64).sin() + 0.3 * ((7 * n) as f64).cos());
    let (s, sigma) = (2.0, 0.4);
    let points = [vec![0.1, -0.4, 0.9], vec![1.0, 2.0, -0.5], vec![0.5, 1.5, 0.2]];
    let model = LinearRegression::new(&x, y.view(), s, sigma)?;
    let (density, posterior) = (FullData::new(&model), model.posterior()?);
    // from its words: y ~ N(Xw, σ²), w ~ N(0, s²)
    let by_hand = |w: &[f64]| -> f64 {
        let w = Array1::from(w.to_vec());
        let normal = |r: f64, sd: f64| -0.5 * (r / sd).powi(2) - sd.ln() - 0.5 * std::f64::consts::TAU.ln();
        (&y - &x.dot(&w)).iter().map(|r| normal(*r, sigma)).sum::<f64>() + w.iter().map(|w| normal(*w, s)).sum::<f64>()
    };
    let exact = BayesianLinearRegression { mean: Array1::zeros(3), precision: Array2::eye(3) / (s * s), noise: Noise::Known { sd: sigma } }
        .exact(&x, y.view())?;
    let gaussian = lvm_vi::family::FullRank::new(&exact.mean.to_vec(), exact.covariance()?.view())?;
    for (i, w) in points.iter().enumerate() {
        let joint = by_hand(w);
        let t = ratio(joint.abs());
        let density = density.log_density(w).map_err(|e| e.to_string())?;
        g.scalar(format!("log joint at point {i}, from its words"), Source::I, density, joint, &t);
        let evidence = model.log_evidence()?;
        g.scalar(format!("log p(y, w) − log p(w | y) at point {i}"), Source::I, joint - posterior.log_prob(w), evidence, &t);
        g.scalar(format!("the same by the conjugate model at point {i}"), Source::I, joint - gaussian.log_prob(w), exact.log_evidence, &t);
    }
    conjugate_noise(g, &x, &y)
}

/// Unknown noise: w | τ and τ of the normal-gamma posterior against the joint, at two points.
fn conjugate_noise(g: &mut crate::suite::Group<'_>, x: &Array2<f64>, y: &Array1<f64>) -> Outcome {
    let prior = Gamma::new(2.0, 0.5)?;
    let precision = Array2::from_diag(&array![0.3, 0.5, 0.7]);
    let model =
        BayesianLinearRegression { mean: Array1::zeros(3), precision: precision.clone(), noise: Noise::Conjugate { precision: prior } };
    let found = model.exact(x, y.view())?;
    let Some(noise) = found.noise else { return Err("no posterior of the noise".to_owned().into()) };
    let log_gamma = |g: &Gamma, t: f64| g.shape() * g.rate().ln() - lgamma(g.shape()) + (g.shape() - 1.0) * t.ln() - g.rate() * t;
    // log N(w; m, (τ Λ)⁻¹) without −d/2 log 2π, log det Λ by LU
    let normal = |w: &Array1<f64>, m: &Array1<f64>, l: &Array2<f64>, tau: f64| {
        let away = w - m;
        0.5 * (3.0 * tau.ln() + super::metamorphic::log_abs_det(l)) - 0.5 * tau * away.dot(&l.dot(&away))
    };
    let log_2pi = std::f64::consts::TAU.ln();
    for (i, (w, tau)) in [(array![0.1, -0.4, 0.9], 3.0_f64), (array![0.5, 1.5, 0.2], 0.4)].into_iter().enumerate() {
        let residual = y - &x.dot(&w);
        let likelihood = 0.5 * 30.0 * (tau.ln() - log_2pi) - 0.5 * tau * residual.dot(&residual);
        let joint = likelihood + normal(&w, &Array1::zeros(3), &precision, tau) + log_gamma(&prior, tau);
        let posterior = normal(&w, &found.mean, &found.precision, tau) + log_gamma(&noise, tau);
        let what = format!("unknown noise: log p(y, w, τ) − log p(w, τ | y) at point {i}");
        g.scalar(what, Source::I, joint - posterior, found.log_evidence, &ratio(joint.abs()));
    }
    Ok(())
}

/// p(y_n | z): another outcome of one row, all else the same.
fn generalized(g: &mut crate::suite::Group<'_>) -> Outcome {
    let x = Array2::from_shape_fn((25, 3), |(n, j)| if j == 0 { 1.0 } else { ((n * (j + 2)) as f64).cos() });
    let z = [0.4, -1.1, 0.7];
    let eta = x.dot(&Array1::from(z.to_vec()));
    let t = ratio(100.0);
    let bits = Array1::from_shape_fn(25, |n| f64::from(u8::from(n % 3 == 0)));
    let counts = Array1::from_shape_fn(25, |n| ((n * n) % 5) as f64);
    let density = |r: Result<f64, lvm_vi::target::TargetError>| r.map_err(|e| e.to_string());
    let (mut ours, mut truth) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let base = [
        density(FullData::new(&LogisticRegression::new(&x, bits.view(), 2.0)?).log_density(&z))?,
        density(FullData::new(&PoissonRegression::new(&x, counts.view(), 2.0)?).log_density(&z))?,
    ];
    for n in 0..25 {
        let (mut flipped, mut more) = (bits.clone(), counts.clone());
        flipped[n] = 1.0 - flipped[n];
        more[n] += 1.0;
        // log p(1 | η) − log p(0 | η) = η;   log p(y + 1 | η) − log p(y | η) = η − log(y + 1)
        ours[0].push(density(FullData::new(&LogisticRegression::new(&x, flipped.view(), 2.0)?).log_density(&z))? - base[0]);
        truth[0].push(eta[n] * (1.0 - 2.0 * bits[n]));
        ours[1].push(density(FullData::new(&PoissonRegression::new(&x, more.view(), 2.0)?).log_density(&z))? - base[1]);
        truth[1].push(eta[n] - more[n].ln());
    }
    for ((name, ours), truth) in ["logistic: p(1 − y | z)/p(y | z)", "Poisson: p(y + 1 | z)/p(y | z)"].into_iter().zip(ours).zip(truth) {
        g.array(name, Source::E, &Array1::from(ours), &Array1::from(truth), &t);
    }
    // by rows: a batch of one row must carry the same constants as all rows
    let poisson = PoissonRegression::new(&x, counts.view(), 2.0)?;
    let all: Vec<usize> = (0..25).collect();
    let mut gradient = vec![0.0; 3];
    let likelihood =
        |rows: &[usize], gradient: &mut [f64]| density(lvm_vi::target::DataLogDensity::log_likelihood_grad(&poisson, rows, &z, gradient));
    let rows = all.iter().map(|n| likelihood(&[*n], &mut gradient)).sum::<Result<f64, String>>()?;
    let by_hand: f64 = (0..25).map(|n| counts[n] * eta[n] - eta[n].exp() - lgamma(counts[n] + 1.0)).sum();
    g.scalar("Poisson: Σ_n log p(y_n | z), row by row, from its words", Source::E, rows, by_hand, &t);
    Ok(())
}
