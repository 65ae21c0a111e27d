//! S2: each estimator of the ELBO's gradient is unbiased, at three points of two families, against the exact gradient.
//!
//! Gradients are compared in the unit of the natural gradient, where a step of length one changes q by about one nat: with q = N(m, L Lᵀ),
//! g = E_q[∇ log p] and H = E_q[∇∇ᵀ log p] (Bonnet, Price),
//!
//! ```text
//! means   Lᵀ g          scales   I + Lᵀ H L, its lower triangle (the mean field: its diagonal), the diagonal over √2
//! ```

use crate::case::Case;
use crate::check::{Layer, Source};
use crate::suite::{Budget, Group, Outcome, Problem, Suite};
use lvm_core::random::{Purpose, stream};
use lvm_vi::estimator::{Control, Gradient, Memory};
use lvm_vi::expectation::{Covariance, Expectation, GaussianExpectation, GaussianTarget};
use lvm_vi::family::{Family, FullRank, MeanField};
use lvm_vi::local::{Derivatives, LocalModel, RowTarget};
use lvm_vi::models::BernoulliFactor;
use lvm_vi::target::LogDensityGrad;
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use std::f64::consts::SQRT_2;

/// The estimators with the draws of one estimate: leaving one out needs company.
const ESTIMATORS: [(&str, Gradient, usize); 8] = [
    ("quadratic control", Gradient::QuadraticControl, 1),
    ("pathwise, closed entropy", Gradient::PathwiseClosedEntropy, 1),
    ("pathwise", Gradient::Pathwise, 1),
    ("sticking the landing", Gradient::StickingTheLanding, 1),
    ("doubly reparameterised, k = 1", Gradient::Importance { particles: 1 }, 1),
    ("score function", Gradient::ScoreFunction { control: Control::None }, 4),
    ("score function, leave one out", Gradient::ScoreFunction { control: Control::LeaveOneOut }, 4),
    ("score function, running mean", Gradient::ScoreFunction { control: Control::RunningMean { decay: 0.9 } }, 4),
];

/// Expected gradient and Hessian of log p under N(m, S).
type Exact<'a> = dyn Fn(&Array1<f64>, &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>), Problem> + 'a;

/// A q in the unit of its natural gradient.
pub(super) trait Natural: Family {
    /// L with covariance L Lᵀ.
    fn lower(&self) -> Array2<f64>;
    /// Whether only the diagonal of the scales is free.
    const DIAGONAL: bool;

    /// A gradient in λ (means, then scales) in natural units; `buffer` is the gradient.
    fn whitened(&self, lower: &Array2<f64>, gradient: &[f64]) -> Vec<f64> {
        let d = self.dim();
        let (means, scales) = gradient.split_at(d);
        let mut out: Vec<f64> = (0..d).map(|i| (i..d).map(|r| lower[[r, i]] * means[r]).sum()).collect();
        if Self::DIAGONAL {
            out.extend(scales.iter().map(|g| g / SQRT_2));
            return out;
        }
        // λ has log L_ii on the diagonal: ∂/∂L_ii = (∂/∂ log L_ii)/L_ii;   L = L (I + dA): ∂/∂A = Lᵀ ∂/∂L
        let full = Array2::from_shape_fn((d, d), |(i, k)| match k {
            _ if k > i => 0.0,
            _ if k == i => scales[i * (i + 1) / 2 + k] / lower[[i, i]],
            _ => scales[i * (i + 1) / 2 + k],
        });
        let a = lower.t().dot(&full);
        out.extend((0..d).flat_map(|i| (0..=i).map(move |k| (i, k))).map(|(i, k)| if i == k { a[[i, k]] / SQRT_2 } else { a[[i, k]] }));
        out
    }

    /// The exact gradient of the ELBO in natural units.
    fn exact(&self, of: &Exact<'_>) -> Result<Array1<f64>, Problem> {
        let (d, lower) = (self.dim(), self.lower());
        let (gradient, hessian) = of(&self.mean(), &self.covariance())?;
        let scales = Array2::<f64>::eye(d) + lower.t().dot(&hessian).dot(&lower);
        let mut out = lower.t().dot(&gradient).to_vec();
        for i in 0..d {
            let first = if Self::DIAGONAL { i } else { 0 };
            out.extend((first..=i).map(|k| if i == k { scales[[i, k]] / SQRT_2 } else { scales[[i, k]] }));
        }
        Ok(Array1::from(out))
    }
}

impl Natural for MeanField {
    const DIAGONAL: bool = true;
    fn lower(&self) -> Array2<f64> {
        Array2::from_diag(&self.standard_deviations())
    }
}

impl Natural for FullRank {
    const DIAGONAL: bool = false;
    fn lower(&self) -> Array2<f64> {
        self.factor()
    }
}

/// `n` estimates in natural units, one a row, in portions with a random stream each, numbered on from `from`.
pub(super) fn estimates<F: Natural, T: LogDensityGrad>(
    (estimator, draws): (Gradient, usize),
    q: &F,
    target: &T,
    (n, seed, from): (usize, u64, u64),
) -> Result<Array2<f64>, Problem> {
    const PORTION: usize = 1000;
    let lower = q.lower();
    let width = q.parameters().len();
    let portions: Vec<Vec<f64>> = (0..n.div_ceil(PORTION))
        .into_par_iter()
        .map(|p| {
            let (mut rng, mut memory) = (stream(seed, Purpose::Diagnosis, from + p as u64), Memory::default());
            let (mut gradient, mut out) = (vec![0.0; width], Vec::with_capacity(PORTION * width));
            for _ in 0..PORTION.min(n - p * PORTION) {
                estimator.estimate(q, target, draws, &mut memory, &mut rng, &mut gradient)?;
                out.extend(q.whitened(&lower, &gradient));
            }
            Ok(out)
        })
        .collect::<Result<_, lvm_core::Error>>()?;
    Array2::from_shape_vec((n, width), portions.concat()).map_err(|e| Problem(e.to_string()))
}

/// Estimates at a look, where the budget ends before R3.
fn affordable(budget: Budget) -> f64 {
    match budget {
        Budget::Quick => 20_000.0,
        Budget::Full => 200_000.0,
        Budget::Nightly => f64::INFINITY,
    }
}

/// All estimators at one q.
fn at_one_point<F: Natural, T: LogDensityGrad>(
    g: &mut Group<'_>,
    (name, index): (&str, u64),
    q: &F,
    target: &T,
    (exact, source): (&Array1<f64>, Source),
) -> Outcome {
    for (i, (label, estimator, draws)) in ESTIMATORS.into_iter().enumerate() {
        let seed = g.seed(100 * index + i as u64);
        let pilot = estimates((estimator, draws), q, target, (if g.quick { 1000 } else { 4000 }, seed, 1 << 40))?;
        let spread = pilot.var_axis(ndarray::Axis(0), 1.0);
        let by_score = matches!(estimator, Gradient::ScoreFunction { .. });
        let margin: f64 = match (g.budget, by_score) {
            (Budget::Quick, false) => 0.3,
            (Budget::Quick, true) => 1.0,
            (Budget::Full, false) => 0.1,
            // hundreds of times the variance of the others: their margin would take hours
            (Budget::Full, true) => 0.5,
            (Budget::Nightly, false) => 0.02,
            (Budget::Nightly, true) => 0.1,
        };
        let largest = spread.iter().fold(1e-12, |m: f64, v| m.max(*v));
        let quantile = crate::stochastic::t2_quantile(g.alpha_of_look(), exact.len(), 100_000).sqrt() + 4.75;
        // the margin that those see is printed beside the check
        let margin = margin.max(quantile * (1.1 * largest / affordable(g.budget)).sqrt());
        let asked = if by_score { "R3 asks for 0.02, for score functions 0.1" } else { "R3 asks for 0.02" };
        let power = match g.budget {
            Budget::Nightly => format!("margin {margin:.2} of a natural unit"),
            _ => format!("{asked}; this budget has draws to see {margin:.2} of a natural unit, a nightly run sees that"),
        };
        // a tenth more than the pilot says, and no fewer than the F distribution of T² needs
        let n = (1.1 * largest * (quantile / margin).powi(2)).ceil().max(2000.0) as usize;
        let mut from = 0;
        g.unbiased(
            format!("{name}: {label}"),
            (exact, source),
            (margin, 1e-9),
            n,
            &format!("E[gradient] is the gradient of the ELBO, in natural units; 1e-9 for rounding where there is no variance; {power}"),
            |n| {
                let rows = estimates((estimator, draws), q, target, (n, seed, from))?;
                from += n.div_ceil(1000) as u64;
                Ok(rows)
            },
        )?;
    }
    Ok(())
}

/// Three q of each family about N(centre, covariance): the centre itself, one to the right and narrow, one to the left and wide.
fn three_points<T: LogDensityGrad>(
    g: &mut Group<'_>,
    target: &T,
    (centre, covariance): (&Array1<f64>, &Array2<f64>),
    of: &Exact<'_>,
    source: Source,
) -> Outcome {
    let sd = covariance.diag().mapv(f64::sqrt);
    for (i, (name, shift, scale)) in
        [("at the truth", 0.0, 1.0), ("right, narrow", 0.5, 0.8), ("left, wide", -0.3, 1.2)].into_iter().enumerate()
    {
        // within a minute there is room for one point of the mean field
        if g.budget == Budget::Quick && i != 1 {
            continue;
        }
        let mean = (centre + &(&sd * shift)).to_vec();
        let q = MeanField::new(&mean, &(&sd * scale).to_vec())?;
        at_one_point(g, (&format!("mean field {name}"), 2 * i as u64), &q, target, (&q.exact(of)?, source))?;
        // 65 parameters in ten dimensions: T² then needs ten times the draws
        if g.budget == Budget::Quick || (g.budget == Budget::Full && centre.len() > 4) {
            continue;
        }
        let q = FullRank::new(&mean, (covariance * (scale * scale)).view())?;
        at_one_point(g, (&format!("full rank {name}"), 2 * i as u64 + 1), &q, target, (&q.exact(of)?, source))?;
    }
    Ok(())
}

/// Kind `gaussian_target`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn gaussian(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (mean, covariance) = (case.get("target.mean")?.vector()?, case.get("target.covariance")?.matrix()?);
    let target = GaussianTarget::from_precision(mean.clone(), case.get("target.precision")?.matrix()?)?;
    let exact = |mean: &Array1<f64>, covariance: &Array2<f64>| {
        let mut out = Expectation::zeros(mean.len());
        target.expectation(mean.view(), Covariance::Full(covariance.view()), &mut out)?;
        Ok((out.gradient, out.hessian))
    };
    three_points(g, &target, (&mean, &covariance), &exact, Source::E)
}

/// A Bernoulli factor model of six columns with one row of data.
pub(super) fn bernoulli() -> lvm_core::Result<(BernoulliFactor, Array2<f64>)> {
    let loadings = Array2::from_shape_fn((6, 2), |(j, i)| ((3 * j + 5 * i + 1) as f64).sin() * 1.5);
    let model = BernoulliFactor::new(loadings, Array1::from_shape_fn(6, |j| (j as f64).cos()))?;
    Ok((model, ndarray::array![[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]))
}

/// One datum of a Bernoulli factor model: logistic links, expectations by quadrature.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::S, "S2", "one row of a Bernoulli factor model", |g| {
        let (model, x) = bernoulli()?;
        let row = x.row(0).to_vec();
        let exact = |mean: &Array1<f64>, covariance: &Array2<f64>| {
            let mut out = Derivatives::new(2);
            model.expected_derivatives(&row, &mean.to_vec(), covariance.view(), &mut out);
            Ok((out.gradient, -out.precision))
        };
        let target = RowTarget::new(&model, &x, 0)?;
        let truth = lvm_vi::local::Quadrature::default().posterior(&model, &x)?;
        three_points(g, &target, (&truth.mean.row(0).to_owned(), &truth.covariance[0]), &exact, Source::Q)
    });
}
