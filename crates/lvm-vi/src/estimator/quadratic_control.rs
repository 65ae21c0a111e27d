//! The pathwise gradient less the noise that a quadratic model of log p explains.
//!
//! Miller, Foti, D'Amour & Adams 2017; Geffner & Domke 2020.

use super::draw::{Draw, Tally};
use super::{Drawn, mean, pathwise};
use crate::family::Family;
use crate::target::LogDensityGrad;
use lvm_core::mutant::planted;
use lvm_core::{Result, linalg};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Latents up to which the model is made; it has d² + d numbers.
const LARGEST: usize = 256;
/// The weight of the past, a step, in the share of the model that is used.
const MEMORY: f64 = 0.98;
/// The same in the typical size of ∇ log p.
const TYPICAL_MEMORY: f64 = 0.9;
/// Gradients beyond so many times the typical size count for less (Huber 1964): one draw far out would make a model of itself.
const OUTLIER: f64 = 4.0;
/// Added to the diagonal of a correlation matrix: draws of a family that is nearly singular leave one without an inverse.
const RIDGE: f64 = 1e-10;

/// (1/S) Σ_s (∂T/∂λ)ᵀ (∇log p(z_s) − β m(z_s)) + β E_q[(∂T/∂λ)ᵀ m(z)] + ∇_λ H(q)
///
/// with m(z) = c + H (z − z₀) by least squares on earlier draws, so that m and β do not depend on the draws of this step.
pub(super) fn estimate<F: Family, T: LogDensityGrad + ?Sized>(
    q: &F,
    target: &T,
    draws: usize,
    control: &mut QuadraticControl,
    rng: &mut dyn Rng,
    gradient: &mut [f64],
) -> Result<Drawn> {
    let d = q.dim();
    if d > LARGEST {
        return pathwise::closed_entropy(q, target, draws, rng, gradient);
    }
    let (mut draw, mut tally, mut sum) = (Draw::new(q), Tally::default(), 0.0);
    let (mut noise, mut z, mut g) = (Array2::zeros((draws, q.noise_dim())), Array2::zeros((draws, d)), Array2::zeros((draws, d)));
    for _ in 0..draws {
        if let Some(log_joint) = draw.next(q, target, rng, &mut tally)? {
            let rows = [(&mut noise, &draw.noise), (&mut z, &draw.z), (&mut g, &draw.gradient)];
            for (all, one) in rows {
                all.row_mut(tally.used).iter_mut().zip(one).for_each(|(a, b)| *a = *b);
            }
            sum += log_joint;
            tally.used += 1;
        }
    }
    // refuses a step without a single draw
    tally.weight()?;
    let ((z, _), (mut g, _)) = (z.view().split_at(Axis(0), tally.used), g.view_mut().split_at(Axis(0), tally.used));
    let (location, unit) = (q.mean(), q.standard_deviations());
    let (raw, weights) = (g.to_owned(), control.weights(&unit, g.view()));
    // E_q[m] is over all of q: where draws are left out it is not theirs
    let expected = if tally.skipped == 0 { control.subtract(&location, &unit, &weights, z, g.view_mut()) } else { None };
    noise.rows().into_iter().zip(g.rows()).for_each(|(e, g)| {
        let (Some(e), Some(g)) = (e.as_slice(), g.as_slice()) else { return };
        q.add_pullback(e, g, gradient);
    });
    let mut drawn = mean(sum, &tally, gradient)?;
    if let Some((constant, slope)) = expected
        && !planted("control_without_its_mean")
    {
        q.add_expected_pullback(&constant, slope.view(), gradient);
    }
    q.add_entropy_grad(1.0, gradient);
    drawn.elbo += q.entropy();
    if tally.skipped > 0 {
        *control = QuadraticControl::default();
    } else {
        control.learn(&location, &unit, &weights, z, raw);
    }
    Ok(drawn)
}

/// A model of ∇ log p, and what the next one will be made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct QuadraticControl {
    model: Option<Model>,
    window: Option<Window>,
    /// The typical log ‖∇ log p‖ in units of q, known from the first step on.
    typical: Option<f64>,
}

impl QuadraticControl {
    /// H (d, d), once there is a model.
    pub(super) fn slope(&self, d: usize) -> Option<ArrayView2<'_, f64>> {
        self.model.as_ref().and_then(|m| ArrayView2::from_shape((d, d), &m.slope).ok())
    }

    /// What each of the gradients g (S, d) counts for, by its size in units of q: 1 for those of typical size.
    fn weights(&mut self, unit: &Array1<f64>, g: ArrayView2<'_, f64>) -> Vec<f64> {
        let log_size = |g: ArrayView1<'_, f64>| {
            let square: f64 = g.iter().zip(unit).map(|(g, u)| (g * u).powi(2)).sum();
            // finite where all is 0 or overflows
            0.5 * square.clamp(f64::MIN_POSITIVE, f64::MAX).ln()
        };
        let sizes: Vec<f64> = g.rows().into_iter().map(log_size).collect();
        // the geometric mean, which outliers hardly move
        let now = sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
        let typical = self.typical.map_or(now, |before| TYPICAL_MEMORY * before + (1.0 - TYPICAL_MEMORY) * now);
        self.typical = Some(typical);
        sizes.iter().map(|s| (OUTLIER * (typical - s).exp()).min(1.0)).collect()
    }

    /// g ← g − β m(z) for the gradients g (S, d) at the draws z (S, d) of a q with these means and standard deviations (d); β m at its
    /// mean (d) and its slope (d, d). Nothing while there is no model.
    fn subtract(
        &mut self,
        mean: &Array1<f64>,
        unit: &Array1<f64>,
        weights: &[f64],
        z: ArrayView2<'_, f64>,
        mut g: ArrayViewMut2<'_, f64>,
    ) -> Option<(Vec<f64>, Array2<f64>)> {
        let model = self.model.as_mut()?;
        let (d, share) = (mean.len(), model.share());
        let slope = ArrayView2::from_shape((d, d), &model.slope).ok()?;
        let mut constant = slope.dot(&(mean - &ndarray::aview1(&model.centre)));
        constant += &ndarray::aview1(&model.gradient);
        // what m says of each draw beyond its mean, and what there is
        let noise = (&z - mean).dot(&slope.t());
        let (mut explained, mut size) = (0.0, 0.0);
        for ((mut g, h), w) in g.rows_mut().into_iter().zip(noise.rows()).zip(weights) {
            for (((g, h), c), u) in g.iter_mut().zip(h).zip(&constant).zip(unit) {
                explained += w * u * u * (*g - c) * h;
                size += w * u * u * h * h;
                *g -= share * (c + h);
            }
        }
        let slope = slope.mapv(|h| share * h);
        (model.explained, model.size) = (MEMORY * model.explained + explained, MEMORY * model.size + size);
        if !(explained.is_finite() && size.is_finite()) {
            // of draws so far out that nothing is to be learnt of them
            self.model = None;
        }
        Some(((constant * share).to_vec(), slope))
    }

    /// Takes the gradients g (S, d) at the draws z (S, d) for the next model.
    fn learn(&mut self, mean: &Array1<f64>, unit: &Array1<f64>, weights: &[f64], z: ArrayView2<'_, f64>, g: Array2<f64>) {
        // twice as many as the model has numbers for each entry of the gradient
        let window = self.window.get_or_insert_with(|| Window::new(2 * (mean.len() + 2), mean, unit));
        window.push(weights, z, g);
        if window.draws >= window.length {
            // a new model is trusted as far as the one before
            let (explained, size) = self.model.as_ref().map_or((0.0, 0.0), |m| (m.explained, m.size));
            self.model = window.fit().map(|m| Model { explained, size, ..m });
            // twice as long: in the end a model is made of half of all draws
            *window = Window::new(2 * window.length, mean, unit);
        }
    }
}

/// m(z) = c + H (z − z₀).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Model {
    /// z₀ (d).
    centre: Vec<f64>,
    /// c (d).
    gradient: Vec<f64>,
    /// H (d, d), row by row.
    slope: Vec<f64>,
    /// Σ (g − E m)·(m − E m) and Σ ‖m − E m‖² over past draws, in units of q.
    explained: f64,
    size: f64,
}

impl Model {
    /// β, the regression of the noise of ∇ log p on that of m: 0 where q has left the region that m was made in, and until a step has shown
    /// what m is worth.
    fn share(&self) -> f64 {
        if self.size > 0.0 { (self.explained / self.size).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Sums over the draws of a window of steps, of z̃ = (z − origin)/unit and g = ∇ log p(z).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Window {
    /// Draws it takes.
    length: usize,
    /// Draws so far, and the sum of their weights.
    draws: usize,
    weight: f64,
    /// Means and standard deviations of q where it began (d).
    origin: Vec<f64>,
    unit: Vec<f64>,
    /// Σ z̃ and Σ g (d), weighted.
    z: Vec<f64>,
    g: Vec<f64>,
    /// Σ z̃ z̃ᵀ and Σ g z̃ᵀ (d, d), weighted, row by row.
    zz: Vec<f64>,
    gz: Vec<f64>,
}

impl Window {
    fn new(length: usize, origin: &Array1<f64>, unit: &Array1<f64>) -> Self {
        let d = origin.len();
        let zeros = |n: usize| vec![0.0; n];
        let (origin, unit) = (origin.to_vec(), unit.to_vec());
        Window { length, draws: 0, weight: 0.0, origin, unit, z: zeros(d), g: zeros(d), zz: zeros(d * d), gz: zeros(d * d) }
    }

    fn push(&mut self, weights: &[f64], z: ArrayView2<'_, f64>, mut g: Array2<f64>) {
        let d = self.origin.len();
        let z = (&z - &ndarray::aview1(&self.origin)) / ndarray::aview1(&self.unit);
        let mut weighted = z.clone();
        for ((mut z, mut g), w) in weighted.rows_mut().into_iter().zip(g.rows_mut()).zip(weights) {
            z *= *w;
            g *= *w;
        }
        self.draws += z.nrows();
        self.weight += weights.iter().sum::<f64>();
        for (sum, rows) in [(&mut self.z, &weighted), (&mut self.g, &g)] {
            sum.iter_mut().zip(rows.sum_axis(Axis(0))).for_each(|(s, v)| *s += v);
        }
        for (sum, left) in [(&mut self.zz, &weighted), (&mut self.gz, &g)] {
            // invariant: both have d² entries
            if let Ok(mut sum) = ArrayViewMut2::from_shape((d, d), sum) {
                general_mat_mul(1.0, &left.t(), &z, 1.0, &mut sum);
            }
        }
    }

    /// The model by weighted least squares; none where the draws do not vary or are not finite.
    fn fit(&self) -> Option<Model> {
        let (d, n) = (self.origin.len(), self.weight);
        let (z, g) = (ndarray::aview1(&self.z).mapv(|v| v / n), ndarray::aview1(&self.g).mapv(|v| v / n));
        let centred = |sums: &[f64], left: &Array1<f64>| {
            ArrayView2::from_shape((d, d), sums).ok().map(|s| Array2::from_shape_fn((d, d), |(i, j)| s[[i, j]] / n - left[i] * z[j]))
        };
        let (mut zz, mut gz) = (centred(&self.zz, &z)?, centred(&self.gz, &g)?);
        let sd = zz.diag().mapv(f64::sqrt);
        if !sd.iter().all(|s| *s > 0.0) {
            return None;
        }
        zz.indexed_iter_mut().for_each(|((i, j), v)| *v = *v / sd[i] / sd[j] + if i == j { RIDGE } else { 0.0 });
        gz /= &sd;
        // H̃ = G̃ R⁻¹, by the columns of its transpose
        let lower = linalg::cholesky(zz.view()).ok()?;
        linalg::cholesky_solve(lower.view(), gz.view_mut().reversed_axes());
        gz /= &(&sd * &ndarray::aview1(&self.unit));
        let centre = z.iter().zip(&self.unit).zip(&self.origin).map(|((z, u), o)| o + u * z).collect();
        let finite = gz.iter().chain(&g).all(|v| v.is_finite());
        let slope = gz.iter().copied().collect();
        finite.then(|| Model { centre, gradient: g.to_vec(), slope, explained: 0.0, size: 0.0 })
    }
}
