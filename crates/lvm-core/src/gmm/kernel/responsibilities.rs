//! From squared distances to responsibilities.

use super::tiles::TILE;
use crate::simd::{self, LANES};
use pulp::{Simd, WithSimd};

/// γ_nk = π_k N_k(x_n) / Σ_j π_j N_j(x_n) of one tile, times the row weight.   PRML 9.23
///
/// Densities are divided by the largest of the row before they are summed, so the sum lies in [1, K] however far the row is.
pub(super) struct Responsibilities<'a> {
    /// log π_k − ½ (D log 2π + log det Σ_k) (K).
    pub(super) log_scale: &'a [f64],
    /// γ below this (K) is taken for 0.
    pub(super) threshold: &'a [f64],
    /// Row weights (64).
    pub(super) weights: &'a [f64],
    /// On entry ‖A_k (x_n − μ_k)‖² (K, 64), on return w_n γ_nk.
    pub(super) distances: &'a mut [f64],
    /// log p(x_n) (64).
    pub(super) log_p: &'a mut [f64],
    /// Σ_n w_n γ_nk (K), lane by lane.
    pub(super) counts: &'a mut [f64],
}

impl WithSimd for Responsibilities<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let columns = self.distances.as_chunks_mut::<TILE>().0;
        let mut top = [f64::NEG_INFINITY; TILE];
        for (column, &a) in columns.iter_mut().zip(self.log_scale) {
            for i in 0..TILE {
                column[i] = simd::mul_add::<S>(-0.5, column[i], a);
                top[i] = if column[i] > top[i] { column[i] } else { top[i] };
            }
        }
        let mut sum = [0.0; TILE];
        for column in columns.iter_mut() {
            for i in 0..TILE {
                column[i] = simd::exp::<S>(column[i] - top[i]);
                sum[i] += column[i];
            }
        }
        for i in 0..TILE {
            self.log_p[i] = top[i] + simd::log::<S>(sum[i]);
            sum[i] = 1.0 / sum[i];
        }
        for ((column, &threshold), counts) in columns.iter_mut().zip(self.threshold).zip(self.counts.chunks_exact_mut(LANES)) {
            for i in 0..TILE {
                let gamma = column[i] * sum[i];
                column[i] = if gamma < threshold { 0.0 } else { gamma * self.weights[i] };
            }
            for group in column.chunks_exact(LANES) {
                for l in 0..LANES {
                    counts[l] += group[l];
                }
            }
        }
    }
}
