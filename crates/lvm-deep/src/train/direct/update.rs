//! The gradient of every weight from the slopes in the activations, and the step of Adam along it while it is at hand.

use super::elementary::Real;
use super::lanes::Lanes;
use super::product::{self, Factors};
use crate::optimizer::adam::{Piece, Rule, sum_of_squares};
use pulp::{Simd, WithSimd};

/// Rows of W that are handled together: whole tiles of every height.
pub(super) const ROWS: usize = 12;

/// Where a piece of the gradient comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a, E> {
    /// ∂W = Σ_n δ_n h_nᵀ, from row `first`.
    Weights { factors: &'a [Factors<'a, E>], first: usize, inputs: usize },
    /// Σ_n δ_n.
    Sums(&'a [Factors<'a, E>]),
    /// Σ_n Σ_d δ_nd, of one number that all columns share.
    Total(&'a [Factors<'a, E>]),
}

/// What becomes of it.
pub(super) enum Target<'a, E> {
    /// It is kept.
    Keep(&'a mut [E]),
    /// A step is taken along it.
    Step { theta: &'a mut [E], m: &'a mut [E], v: &'a mut [E] },
}

/// A piece of the gradient.
pub(super) struct Job<'a, E> {
    pub(super) source: Source<'a, E>,
    pub(super) target: Target<'a, E>,
    /// Its Σ g².
    pub(super) squares: &'a mut f64,
}

impl<'a, E> Target<'a, E> {
    /// In pieces of so many numbers.
    pub(super) fn pieces(self, size: usize) -> Vec<Target<'a, E>> {
        match self {
            Target::Keep(gradient) => gradient.chunks_mut(size).map(Target::Keep).collect(),
            Target::Step { theta, m, v } => {
                let moments = m.chunks_mut(size).zip(v.chunks_mut(size));
                theta.chunks_mut(size).zip(moments).map(|(theta, (m, v))| Target::Step { theta, m, v }).collect()
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Target::Keep(gradient) => gradient.len(),
            Target::Step { theta, .. } => theta.len(),
        }
    }
}

/// A job as it is run, with room for a gradient that is not kept.
pub(super) struct Run<'a, E> {
    pub(super) job: Job<'a, E>,
    pub(super) rule: &'a Rule,
    pub(super) room: &'a mut Vec<E>,
}

impl<E: Real> WithSimd for Run<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Run { job: Job { source, target, squares }, rule, room } = self;
        let length = target.len();
        room.resize(room.len().max(length), E::ZERO);
        match target {
            Target::Keep(gradient) => {
                source.write(simd, gradient);
                *squares = sum_of_squares(gradient);
            }
            Target::Step { theta, m, v } => {
                let gradient = &mut room[..length];
                source.write(simd, gradient);
                *squares = sum_of_squares(gradient);
                E::update(rule, Piece { theta, gradient, m, v });
            }
        }
    }
}

impl<E: Real> Source<'_, E> {
    #[inline(always)]
    fn write<S: Simd>(self, simd: S, gradient: &mut [E]) {
        match self {
            Source::Weights { factors, first, inputs } => product::weights(simd, factors, first, inputs, gradient),
            Source::Sums(factors) => gradient.iter_mut().enumerate().for_each(|(i, g)| *g = E::of(sum(factors, i))),
            Source::Total(factors) => {
                let columns = factors.first().map_or(0, |f| f.delta.len());
                gradient.fill(E::of((0..columns).map(|d| sum(factors, d)).sum()));
            }
        }
    }
}

/// Σ_n δ_ni.
#[inline(always)]
fn sum<E: Real>(factors: &[Factors<'_, E>], i: usize) -> f64 {
    let lanes = factors.iter().fold(Lanes::ZERO, |sum: Lanes<E>, f| sum.with(f.delta[i], |a, b| a + b));
    lanes.0.iter().map(|v| v.wide()).sum()
}
