//! The M-step sums of a covariance that all components share.

use super::gram::stride;
use super::tiles::TILE;
use crate::simd::{self, LANES};
use pulp::{Simd, WithSimd};

/// The distance u_n = Σ_k γ_nk (x_n − c_k) of each row from its posterior mean of the centres, and Σ_n w_n γ_nk (x_n − c_k), of one
/// tile.
///
/// ```text
/// Σ_k γ_nk (x_n − c_k)(x_n − c_k)ᵀ = u_n u_nᵀ + Σ_{k<l} γ_nk γ_nl (c_k − c_l)(c_k − c_l)ᵀ        for Σ_k γ_nk = 1
/// ```
///
/// (law of total variance): one outer product for a row in place of K, and no term is ever subtracted, so no digits are lost.
pub(super) struct Deviations<'a> {
    /// One tile of rows (D, 64).
    pub(super) tile: &'a [f64],
    /// w_n γ_nk (K, 64).
    pub(super) gamma: &'a [f64],
    /// Components with any responsibility in this tile.
    pub(super) active: &'a [usize],
    /// c (K, D).
    pub(super) centres: &'a [f64],
    /// 1 / √w_n (64).
    pub(super) inverse_roots: &'a [f64],
    /// √w_n u_n goes to rows `offset .. offset + 64` of the columns (B, D) of `v`, which lie [`stride`] apart.
    pub(super) v: &'a mut [f64],
    /// B.
    pub(super) rows: usize,
    /// The tile's first row in the chunk.
    pub(super) offset: usize,
    /// First moments (K, D), a vector each.
    pub(super) first: &'a mut [f64],
}

impl WithSimd for Deviations<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.tile_rows::<S, 8>(simd) } else { self.tile_rows::<S, 4>(simd) }
    }
}

impl Deviations<'_> {
    #[inline(always)]
    fn tile_rows<S: Simd, const R: usize>(self, simd: S) {
        let in_tile = TILE / S::F64_LANES;
        let dim = self.tile.len() / TILE;
        let gamma = simd::vectors::<S>(self.gamma);
        let roots = simd::vectors::<S>(self.inverse_roots);
        for start in (0..in_tile).step_by(R) {
            for j in 0..dim {
                let column = &simd::vectors::<S>(&self.tile[j * TILE..(j + 1) * TILE])[start..start + R];
                let x: [S::f64s; R] = std::array::from_fn(|r| column[r]);
                let mut u = [simd.splat_f64s(0.0); R];
                for &k in self.active {
                    let c = simd.splat_f64s(self.centres[k * dim + j]);
                    let g = &gamma[k * in_tile + start..][..R];
                    let first = &mut simd::vectors_mut::<S>(&mut self.first[(k * dim + j) * LANES..][..LANES])[0];
                    let mut sum = *first;
                    for r in 0..R {
                        let y = simd.mul_f64s(g[r], simd.sub_f64s(x[r], c));
                        u[r] = simd.add_f64s(u[r], y);
                        sum = simd.add_f64s(sum, y);
                    }
                    *first = sum;
                }
                let v = simd::vectors_mut::<S>(&mut self.v[j * stride(self.rows) + self.offset..][..TILE]);
                for r in 0..R {
                    v[start + r] = simd.mul_f64s(u[r], roots[start + r]);
                }
            }
        }
    }
}
