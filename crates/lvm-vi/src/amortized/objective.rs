//! The ELBO of a batch as a function of the encoder's parameters.

use super::encoder::Encoder;
use crate::local::{Derivatives, LocalModel, Shape, entropy_of};
use ndarray::{Array2, ArrayView1, ArrayView2};
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

/// Σ_b weight_b ELBO_b over the rows of `x` (B, D), and its gradient in φ added to `gradient`.
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
) -> f64 {
    let pass = encoder.forward(x.clone());
    let mut output_gradient = Array2::zeros(pass.output().raw_dim());
    let mut derivatives = Derivatives::new(encoder.latents());
    let mut row = Vec::with_capacity(x.ncols());
    let mut total = 0.0;
    for (b, (cells, output)) in x.rows().into_iter().zip(pass.output().rows()).enumerate() {
        row.clear();
        row.extend(cells);
        let (mean, lower) = encoder.gaussian(output);
        let covariance = lower.dot(&lower.t());
        let (value, slope) = match kind {
            AmortizedGradient::Exact => {
                let value = model.expected_derivatives(&row, &mean, covariance.view(), &mut derivatives);
                // ∂/∂L E[log p] = −P L
                (value, -derivatives.precision.dot(&lower))
            }
            AmortizedGradient::Pathwise { draws } => pathwise(model, &row, &mean, &lower, draws, rng, &mut derivatives),
        };
        total += weights[b] * (value + entropy_of(lower.view()));
        output_row(encoder.shape(), &derivatives, slope.view(), lower.view(), weights[b], output_gradient.row_mut(b));
        on_row(&row, &mean, covariance.view(), weights[b]);
    }
    encoder.network().backward(&pass, output_gradient, gradient);
    total
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

/// E[log p] and its gradients in m (into `out`) and L, by draws.
fn pathwise<M: LocalModel>(
    model: &M,
    x: &[f64],
    mean: &[f64],
    lower: &Array2<f64>,
    draws: usize,
    rng: &mut dyn Rng,
    out: &mut Derivatives,
) -> (f64, Array2<f64>) {
    let q = mean.len();
    let (mut value, mut slope) = (0.0, Array2::zeros((q, q)));
    out.gradient.fill(0.0);
    let mut gradient = vec![0.0; q];
    for _ in 0..draws {
        let e: Vec<f64> = (0..q).map(|_| StandardNormal.sample(rng)).collect();
        let z: Vec<f64> = (0..q).map(|i| mean[i] + lower.row(i).dot(&ArrayView1::from(&e))).collect();
        value += model.log_joint_grad(x, &z, &mut gradient);
        for i in 0..q {
            out.gradient[i] += gradient[i];
            (0..q).for_each(|k| slope[[i, k]] += gradient[i] * e[k]);
        }
    }
    let s = draws as f64;
    out.gradient /= s;
    (value / s, slope / s)
}
