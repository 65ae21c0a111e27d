//! The ELBO of a batch as a function of the encoder's parameters.

use super::encoder::Encoder;
use crate::local::{Derivatives, LocalModel, Shape};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Where the gradient in the encoder's output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AmortizedGradient {
    /// Expectations in closed form or by quadrature, as the model has them: no noise but that of the minibatch.
    #[default]
    Exact,
    /// Reparameterized draws z = m + L ε (Kingma & Welling 2014), with the entropy in closed form.
    Pathwise {
        /// Draws for each row and step.
        draws: usize,
    },
}

/// Receives (x, mean, covariance, weight) of each row of a batch: the gradient in the model's own parameters.
pub(super) type OnRow<'a> = &'a mut dyn FnMut(&[f64], &[f64], ArrayView2<'_, f64>, f64);

/// How curved −ELBO_b is in the outputs of an encoder, over the rows of a batch; known where expectations are exact.
pub(super) struct Curvature {
    /// Σ_b ω_b P_b (q, q), and Σ_b ω_b.
    pub precision: Array2<f64>,
    /// See `precision`.
    pub weight: f64,
    /// max_b (P_b)_ii (q).
    pub largest: Array1<f64>,
    /// max_b Σ_j |P_b|_ij, a bound of what diagonal steps in m_i and L_ik can meet (q).
    pub rows: Array1<f64>,
    /// max_b of the same for log L_ii, at least 1 (q): with L = e^ρ on the diagonal, L_ii Σ_j |P_ij| L_ii + |L_ii (P L)_ii|.
    pub scales: Array1<f64>,
}

impl Curvature {
    fn new(q: usize) -> Self {
        let zeros = || Array1::zeros(q);
        Curvature { precision: Array2::zeros((q, q)), weight: 0.0, largest: zeros(), rows: zeros(), scales: Array1::ones(q) }
    }

    fn add(&mut self, shape: Shape, precision: &Array2<f64>, lower: &Array2<f64>, slope: &Array2<f64>, weight: f64) {
        self.precision.scaled_add(weight, precision);
        self.weight += weight;
        for i in 0..lower.nrows() {
            let all = precision.row(i).fold(0.0, |s, v| s + v.abs());
            // the factors of a diagonal q meet no other column of P
            let met = if shape == Shape::Full { all } else { precision[[i, i]].abs() };
            let scale = lower[[i, i]] * lower[[i, i]] * met + (lower[[i, i]] * slope[[i, i]]).abs();
            self.largest[i] = self.largest[i].max(precision[[i, i]]);
            self.rows[i] = self.rows[i].max(all);
            self.scales[i] = self.scales[i].max(scale);
        }
    }
}

/// Adds the gradient in φ of Σ_b weight_b ELBO_b over the rows of `x` (B, D) to `gradient`; the curvature says nothing with draws.
// one call site; a struct of eight borrows would only move the names
#[allow(clippy::too_many_arguments)]
pub(super) fn add_batch_gradient<M: LocalModel>(
    model: &M,
    encoder: &Encoder,
    x: &Array2<f64>,
    weights: &[f64],
    kind: AmortizedGradient,
    rng: &mut dyn Rng,
    gradient: &mut [f64],
    on_row: OnRow<'_>,
) -> Curvature {
    let pass = encoder.forward(x.clone());
    let mut output_gradient = Array2::zeros(pass.output().raw_dim());
    let mut derivatives = Derivatives::new(encoder.latents());
    let mut row = Vec::with_capacity(x.ncols());
    let mut curvature = Curvature::new(encoder.latents());
    for (b, (cells, output)) in x.rows().into_iter().zip(pass.output().rows()).enumerate() {
        row.clear();
        row.extend(cells);
        let (mean, lower) = encoder.gaussian(output);
        let covariance = lower.dot(&lower.t());
        let slope = match kind {
            AmortizedGradient::Exact => {
                model.expected_derivatives(&row, &mean, covariance.view(), &mut derivatives);
                // ∂/∂L E[log p] = −P L
                let slope = -derivatives.precision.dot(&lower);
                curvature.add(encoder.shape(), &derivatives.precision, &lower, &slope, weights[b]);
                slope
            }
            AmortizedGradient::Pathwise { draws } => pathwise(model, &row, &mean, &lower, draws, rng, &mut derivatives),
        };
        output_row(encoder.shape(), &derivatives, slope.view(), lower.view(), weights[b], output_gradient.row_mut(b));
        on_row(&row, &mean, covariance.view(), weights[b]);
    }
    encoder.network().backward(&pass, output_gradient, gradient);
    curvature
}

/// The gradient in (m, ρ, L_ik) of one row, times `weight`; `slope` is that of E[log p] in L.
fn output_row(
    shape: Shape,
    derivatives: &Derivatives,
    slope: ArrayView2<'_, f64>,
    lower: ArrayView2<'_, f64>,
    weight: f64,
    mut out: ndarray::ArrayViewMut1<'_, f64>,
) {
    let q = lower.nrows();
    for i in 0..q {
        out[i] = weight * derivatives.gradient[i];
        // L_ii = e^ρ_i, and the entropy is Σ ρ_i
        out[q + i] = weight * (slope[[i, i]] * lower[[i, i]] + 1.0);
        if shape == Shape::Full {
            (0..i).for_each(|k| out[2 * q + i * (i - 1) / 2 + k] = weight * slope[[i, k]]);
        }
    }
}

/// The gradients of E[log p] in m (into `out`) and L, by draws.
fn pathwise<M: LocalModel>(
    model: &M,
    x: &[f64],
    mean: &[f64],
    lower: &Array2<f64>,
    draws: usize,
    rng: &mut dyn Rng,
    out: &mut Derivatives,
) -> Array2<f64> {
    let q = mean.len();
    let mut slope = Array2::zeros((q, q));
    out.gradient.fill(0.0);
    let mut gradient = vec![0.0; q];
    for _ in 0..draws {
        let e: Vec<f64> = (0..q).map(|_| StandardNormal.sample(rng)).collect();
        let z: Vec<f64> = (0..q).map(|i| mean[i] + lower.row(i).dot(&ArrayView1::from(&e))).collect();
        model.log_joint_grad(x, &z, &mut gradient);
        for i in 0..q {
            out.gradient[i] += gradient[i];
            (0..q).for_each(|k| slope[[i, k]] += gradient[i] * e[k]);
        }
    }
    let s = draws as f64;
    out.gradient /= s;
    slope / s
}
