//! A multilayer perceptron forward and backward over panels.
//!
//! ```text
//! h₀ = x,   a_l = W_l h_{l−1} + b_l,   h_l = f(a_l) (the last layer: h = a)
//! δ_{l−1} = (W_lᵀ δ_l) ∘ f′(a_{l−1}),   ∂W_l = Σ_n δ_l h_{l−1}ᵀ,   ∂b_l = Σ_n δ_l
//! ```
//! Rumelhart, Hinton & Williams 1986.

use super::elementary::{Real, exp, exp_m1, sigmoid, sigmoid_softplus, tanh};
use super::lanes::{LANES, Lanes, Present, blocks, transpose, zeros};
use super::product::{self, Columns, Factors};
use crate::nets::Activation;
use pulp::Simd;

/// The numbers of one layer.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a, E> {
    /// W (outputs, inputs).
    pub(super) weight: &'a [E],
    /// b (outputs).
    pub(super) bias: &'a [E],
}

/// The numbers of a net.
pub(super) struct Perceptron<'a, E> {
    pub(super) layers: Vec<Layer<'a, E>>,
    pub(super) function: Function,
}

/// What one panel needs on its way through a net.
pub(super) struct Trace<E> {
    /// h₀ … h_L.
    pub(super) values: Vec<Vec<Lanes<E>>>,
    /// f′(a₁) … f′(a_{L−1}).
    slopes: Vec<Vec<Lanes<E>>>,
    /// δ₀ … δ_L; δ₀ is empty where nothing is trained below.
    pub(super) deltas: Vec<Vec<Lanes<E>>>,
    /// h₀ … h_{L−1} by blocks of features, row after row.
    pub(super) by_row: Vec<Vec<Lanes<E>>>,
    /// Where h₀ is not 0; empty for a net whose inputs are not looked through.
    pub(super) present: Present,
}

impl<E: Real> Trace<E> {
    /// For a net of these widths, from inputs to outputs.
    pub(super) fn new(widths: &[usize], trained_below: bool) -> Self {
        let last = widths.len() - 1;
        Trace {
            values: widths.iter().map(|&w| zeros(w)).collect(),
            slopes: widths[1..last].iter().map(|&w| zeros(w)).collect(),
            deltas: widths.iter().enumerate().map(|(l, &w)| zeros(if l == 0 && !trained_below { 0 } else { w })).collect(),
            by_row: widths[..last].iter().map(|&w| zeros(blocks(w) * LANES)).collect(),
            present: Present::default(),
        }
    }

    /// δ_{l+1} and h_l, of which the gradient of a layer's weights is made.
    pub(super) fn factors(&self, l: usize) -> Factors<'_, E> {
        Factors { delta: &self.deltas[l + 1], h: &self.by_row[l], present: if l == 0 { self.present.rows() } else { None } }
    }

    /// Finds where h₀ is 0.
    #[inline(always)]
    pub(super) fn look_through(&mut self) {
        self.present.find(&self.values[0], &self.by_row[0]);
    }

    /// h_L.
    pub(super) fn outputs(&self) -> &[Lanes<E>] {
        self.values.last().map_or(&[], Vec::as_slice)
    }
}

/// What layer l reads and writes among lists of all layers: `lists[l]` and `lists[l + 1]`.
fn pair<E>(lists: &mut [Vec<Lanes<E>>], l: usize) -> (&mut Vec<Lanes<E>>, &mut Vec<Lanes<E>>) {
    let (below, above) = lists.split_at_mut(l + 1);
    (&mut below[l], &mut above[0])
}

impl<E: Real> Perceptron<'_, E> {
    /// h₁ … h_L of panels whose h₀ stands in their traces; `by_row[0]` is left to the caller.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(&self, simd: S, traces: &mut [&mut Trace<E>]) {
        for (l, layer) in self.layers.iter().enumerate() {
            let mut panels: Vec<Columns<'_, E>> = Vec::with_capacity(traces.len());
            for trace in traces.iter_mut() {
                let Trace { values, present, .. } = &mut **trace;
                let (from, to) = pair(values, l);
                let present = if l == 0 { present.features() } else { None };
                panels.push(Columns { from, to, present });
            }
            product::forward(simd, layer.weight, layer.bias.len(), &mut panels);
            let hidden = l + 1 < self.layers.len();
            for trace in traces.iter_mut() {
                let Trace { values, slopes, by_row, .. } = &mut **trace;
                for (a, &b) in values[l + 1].iter_mut().zip(layer.bias) {
                    *a = a.map(|a| a + b);
                }
                if hidden {
                    activate::<S, E>(self.function, &mut values[l + 1], &mut slopes[l]);
                    transpose(&values[l + 1], &mut by_row[l + 1]);
                }
            }
        }
    }

    /// δ_{L−1} … of panels whose δ_L stands in their traces, down to δ₀ where that has a place.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(&self, simd: S, traces: &mut [&mut Trace<E>]) {
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let mut panels: Vec<Columns<'_, E>> = Vec::with_capacity(traces.len());
            for trace in traces.iter_mut().filter(|t| !t.deltas[l].is_empty()) {
                let (to, from) = pair(&mut trace.deltas, l);
                panels.push(Columns { from, to, present: None });
            }
            if !panels.is_empty() {
                product::backward(simd, layer.weight, layer.bias.len(), &mut panels);
            }
            for trace in traces.iter_mut().filter(|_| l > 0) {
                let Trace { deltas, slopes, .. } = &mut **trace;
                deltas[l].iter_mut().zip(&slopes[l - 1]).for_each(|(d, s)| *d = d.with(*s, |d, s| d * s));
            }
        }
    }
}

/// Functions between layers that are differentiated here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Relu,
    Tanh,
    Softplus,
    Sigmoid,
    Silu,
    Elu,
}

impl Function {
    /// `None` for a function that is left to libtorch.
    pub(super) fn of(activation: Activation) -> Option<Self> {
        Some(match activation {
            Activation::Relu => Function::Relu,
            Activation::Tanh => Function::Tanh,
            Activation::Softplus => Function::Softplus,
            Activation::Sigmoid => Function::Sigmoid,
            Activation::Silu => Function::Silu,
            Activation::Elu => Function::Elu,
            // the error function
            Activation::Gelu => return None,
        })
    }
}

/// h = f(a) in place of a, and f′(a).
#[inline(always)]
fn activate<S: Simd, E: Real>(function: Function, values: &mut [Lanes<E>], slopes: &mut [Lanes<E>]) {
    match function {
        // NaN stays NaN
        Function::Relu => each(values, slopes, |a| if a <= E::ZERO { (E::ZERO, E::ZERO) } else { (a, E::ONE) }),
        Function::Tanh => each(values, slopes, |a| {
            let h = tanh::<S, E>(a);
            (h, E::ONE - h * h)
        }),
        Function::Softplus => each(values, slopes, |a| {
            let (slope, h) = sigmoid_softplus::<S, E>(a);
            (h, slope)
        }),
        Function::Sigmoid => each(values, slopes, |a| {
            let h = sigmoid::<S, E>(a);
            (h, h * (E::ONE - h))
        }),
        Function::Silu => each(values, slopes, |a| {
            let s = sigmoid::<S, E>(a);
            (a * s, s * (E::ONE + a * (E::ONE - s)))
        }),
        Function::Elu => each(values, slopes, |a| {
            let below = if a > E::ZERO { E::ZERO } else { a };
            if a > E::ZERO { (a, E::ONE) } else { (exp_m1::<S, E>(below), exp::<S, E>(below)) }
        }),
    }
}

#[inline(always)]
fn each<E: Real>(values: &mut [Lanes<E>], slopes: &mut [Lanes<E>], f: impl Fn(E) -> (E, E)) {
    for (value, slope) in values.iter_mut().zip(slopes) {
        for i in 0..LANES {
            (value.0[i], slope.0[i]) = f(value.0[i]);
        }
    }
}
