//! From squared distances to responsibilities.

use super::tiles::TILE;
use crate::mutant::planted;
use crate::simd::{self, LANES};
use pulp::{Simd, WithSimd};

/// γ_nk = π_k N_k(x_n) / Σ_j π_j N_j(x_n) of one tile, times the row weight.   PRML 9.23
///
/// Densities are divided by the largest of the row before they are summed, so the sum lies in [1, K] however far the row is.
pub(super) struct Responsibilities<'a> {
    /// log π_k − ½ (D log 2π + log det Σ_k) (K).
    pub(super) log_scale: &'a [f64],
    /// −½, or −½ / σ_k² for distances that are not whitened (K).
    pub(super) factor: &'a [f64],
    /// γ below this (K), at least 1e-300, is taken for 0.
    pub(super) threshold: &'a [f64],
    /// Row weights (64).
    pub(super) weights: &'a [f64],
    /// On entry the squared distances (K, 64), on return w_n γ_nk.
    pub(super) distances: &'a mut [f64],
    /// log p(x_n) (64).
    pub(super) log_p: &'a mut [f64],
    /// Σ_n w_n γ_nk (K), lane by lane.
    pub(super) counts: &'a mut [f64],
}

impl WithSimd for Responsibilities<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut top = [f64::NEG_INFINITY; TILE];
        if S::REGISTER_COUNT >= 32 {
            self.logs::<S, 8>(simd, &mut top)
        } else {
            self.logs::<S, 4>(simd, &mut top)
        }
        let columns = self.distances.as_chunks_mut::<TILE>().0;
        let mut sum = [0.0; TILE];
        for column in columns.iter_mut() {
            for i in 0..TILE {
                column[i] = simd::exp_negative::<S>(column[i] - top[i]);
                sum[i] += column[i];
            }
        }
        let normalise = !planted("gmm_unnormalised");
        for i in 0..TILE {
            self.log_p[i] = top[i] + simd::log::<S>(sum[i]);
            sum[i] = if normalise { 1.0 / sum[i] } else { 1.0 };
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

impl Responsibilities<'_> {
    /// log π_k + log N_k(x_n) in place of the distances, and the largest of each row; R vectors of rows at a time.
    #[inline(always)]
    fn logs<S: Simd, const R: usize>(&mut self, simd: S, top: &mut [f64; TILE]) {
        let in_tile = TILE / S::F64_LANES;
        let columns = simd::vectors_mut::<S>(self.distances);
        let top = simd::vectors_mut::<S>(top);
        for start in (0..in_tile).step_by(R) {
            let mut largest = [simd.splat_f64s(f64::NEG_INFINITY); R];
            for ((column, &a), &f) in columns.chunks_exact_mut(in_tile).zip(self.log_scale).zip(self.factor) {
                let (a, f) = (simd.splat_f64s(a), simd.splat_f64s(f));
                for (v, largest) in column[start..start + R].iter_mut().zip(&mut largest) {
                    *v = simd.mul_add_e_f64s(f, *v, a);
                    *largest = simd.max_f64s(*largest, *v);
                }
            }
            top[start..start + R].copy_from_slice(&largest);
        }
    }
}
