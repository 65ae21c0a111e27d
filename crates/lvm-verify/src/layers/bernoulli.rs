//! The Bernoulli factor model: no closed form, so the posterior of one and two latents is by a quadrature of our own.

use crate::check::{Layer, Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_vi::local::{self, PerDatum, Quadrature, Shape};
use lvm_vi::models::BernoulliFactor;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use std::f64::consts::TAU;

/// One and two latents.
pub fn all(suite: &mut Suite<'_>) {
    for q in [1, 2] {
        suite.group(Layer::P, "P1", &format!("Bernoulli factor model with {q} latents"), |g| posterior(g, q));
    }
}

/// log p(x), E\[z\], Cov\[z\] by the trapezoid rule on [−9, 9]^q with step 0.1: the integrand is analytic in a strip of half-width π over the
/// largest loading, so the error is below e^{−2π · 1.2/0.1}, and what is cut off below e^{−40}.
pub(super) fn trapezoid(model: &BernoulliFactor, x: ArrayView1<'_, f64>) -> (f64, Array1<f64>, Array2<f64>) {
    const STEP: f64 = 0.1;
    let q = model.loadings().ncols();
    let line: Vec<f64> = (-90..=90).map(|i| f64::from(i) * STEP).collect();
    let points: Vec<Vec<f64>> = match q {
        1 => line.iter().map(|a| vec![*a]).collect(),
        _ => line.iter().flat_map(|a| line.iter().map(|b| vec![*a, *b])).collect(),
    };
    let (mut sum, mut first, mut second) = (0.0, Array1::<f64>::zeros(q), Array2::<f64>::zeros((q, q)));
    for z in points {
        let mut log = -0.5 * z.iter().map(|v| v * v + TAU.ln()).sum::<f64>();
        for (j, w) in model.loadings().rows().into_iter().enumerate() {
            let a = w.iter().zip(&z).map(|(w, z)| w * z).sum::<f64>() + model.intercepts()[j];
            // log σ(a) or log σ(−a)
            let s = if x[j] > 0.5 { -a } else { a };
            log -= if s > 0.0 { s + (-s).exp().ln_1p() } else { s.exp().ln_1p() };
        }
        let weight = log.exp() * STEP.powi(q as i32);
        sum += weight;
        for i in 0..q {
            first[i] += weight * z[i];
            (0..q).for_each(|k| second[[i, k]] += weight * z[i] * z[k]);
        }
    }
    let mean = first / sum;
    let outer = mean.clone().insert_axis(Axis(1)).dot(&mean.clone().insert_axis(Axis(0)));
    (sum.ln(), mean, second / sum - outer)
}

fn posterior(g: &mut Group<'_>, q: usize) -> Outcome {
    let loadings = Array2::from_shape_fn((8, q), |(j, i)| 1.8 * ((3 * j + 5 * i + 1) as f64).sin());
    let model = BernoulliFactor::new(loadings, Array1::from_shape_fn(8, |j| 0.5 * (j as f64).cos()))?;
    let n = 40;
    let mut rng = stream(g.seed(0), Purpose::Sample, 0);
    let z = model.sample_z(n, &mut rng);
    let x = model.sample_x(&z, &mut rng)?;
    let truth: Vec<_> = x.rows().into_iter().map(|row| trapezoid(&model, row)).collect();
    let evidence: Array1<f64> = truth.iter().map(|t| t.0).collect();
    let means = Array2::from_shape_fn((n, q), |(i, k)| truth[i].1[k]);
    let t = Tolerance::absolute(1e-10, "the trapezoid rule is exact to 1e-13, Quadrature stops at changes of 1e-11");
    let found = Quadrature::default().posterior(&model, &x)?;
    g.array("quadrature: log p(x)", Source::Q, &found.log_evidence, &evidence, &t);
    g.array("quadrature: E[z | x]", Source::Q, &found.mean, &means, &t);
    let flat = |c: &dyn Fn(usize) -> Array2<f64>| (0..n).flat_map(|i| c(i).iter().copied().collect::<Vec<_>>()).collect::<Array1<f64>>();
    let covariances = flat(&|i| truth[i].2.clone());
    g.array("quadrature: Cov[z | x]", Source::Q, &flat(&|i| found.covariance[i].clone()), &covariances, &t);
    g.array("log evidence of the model", Source::Q, &model.log_evidence(&x)?, &evidence, &t);
    for (shape, family) in [(Shape::Diagonal, "mean field"), (Shape::Full, "full rank")] {
        let best = PerDatum { shape, ..Default::default() }.fit(&model, &x)?.model;
        let elbo = local::elbo_rows(&model, &best, &x)?;
        let above = elbo.iter().zip(&evidence).fold(0.0, |m: f64, (e, p)| m.max(e - p));
        g.bounded(format!("{family}: ELBO above log p(x), worst row"), Source::Q, above, &t);
        // Bonnet and Price: at the optimum E_q[∇ log p] = 0 and E_q[−∇∇ᵀ log p] = S⁻¹ (its diagonal)
        let (mut worst, mut out) = (0.0_f64, local::Derivatives::new(q));
        for (i, row) in x.rows().into_iter().enumerate() {
            let s = best.covariance(i);
            local::LocalModel::expected_derivatives(&model, &row.to_vec(), &best.mean().row(i).to_vec(), s.view(), &mut out);
            let product = s.dot(&out.precision) - Array2::<f64>::eye(q);
            let off = if shape == Shape::Diagonal { product.diag().to_owned() } else { product.iter().copied().collect() };
            worst = out.gradient.iter().chain(&off).fold(worst, |m, v| m.max(v.abs()));
        }
        let slope = Tolerance::absolute(1e-5, "PerDatum ends within 1e-12 nats of its optimum: √(2·1e-12) in a slope, and a factor of 5");
        g.bounded(format!("{family}: conditions of an optimum"), Source::I, worst, &slope);
        // the best Gaussian of each row by its conditions: no other run is needed to know it
        let reached = elbo.sum() / n as f64;
        let (evidence, figure) = (Figure::exact(evidence.sum() / n as f64, Source::Q, 1e-10), Figure::exact(reached, Source::I, 1e-10));
        let again = PerDatum { shape, ..Default::default() }.fit_from(&model, &x, &moved(&best, shape)?)?.model;
        let other = Figure::exact(local::elbo(&model, &again, &x)? / n as f64, Source::I, 1e-10);
        g.headline(Headline::new(&format!("{}, nats a row", g.case()), family, "ascent of each row", evidence, figure, other), 1e-6);
    }
    Ok(())
}

/// Another start: means moved by a standard deviation, half the spread.
fn moved(q: &local::LocalGaussian, shape: Shape) -> lvm_core::Result<local::LocalGaussian> {
    let sd = q.standard_deviations();
    let mean = q.mean() + &sd;
    match shape {
        Shape::Diagonal => local::LocalGaussian::diagonal(mean, (&sd * 0.5).view()),
        Shape::Full => local::LocalGaussian::full(mean, (0..sd.nrows()).map(|n| q.lower(n).to_owned() * 0.5).collect()),
    }
}
