//! Rows about a centre, scaled by the square root of their responsibility.

use super::gram::stride;
use super::tiles::TILE;
use crate::simd::{self, LANES};
use pulp::{Simd, WithSimd};

/// v_n = √g_n (x_n − c) of whole tiles, and Σ_n g_n (x_n − c) lane by lane.
pub(super) struct Scaled<'a> {
    /// Tiles (D, 64) of the chunk.
    pub(super) tiles: &'a [f64],
    /// √g_n of the chunk's rows.
    pub(super) roots: &'a [f64],
    /// c (D).
    pub(super) centre: &'a [f64],
    /// V (B, D), columns at a distance of [`stride`].
    pub(super) v: &'a mut [f64],
    /// Sums (D), a vector each.
    pub(super) first: &'a mut [f64],
}

impl WithSimd for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.rows::<S, 8>(simd) } else { self.rows::<S, 4>(simd) }
    }
}

impl Scaled<'_> {
    /// R vectors of rows at a time.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(self, simd: S) {
        let (dim, in_tile) = (self.centre.len(), TILE / S::F64_LANES);
        let stride = stride(self.roots.len()) / S::F64_LANES;
        let roots = simd::vectors::<S>(self.roots);
        let x = simd::vectors::<S>(self.tiles);
        let v = simd::vectors_mut::<S>(self.v);
        for start in (0..roots.len()).step_by(R) {
            let root: [S::f64s; R] = std::array::from_fn(|r| roots[start + r]);
            let x = &x[start / in_tile * in_tile * dim + start % in_tile..];
            for j in 0..dim {
                let c = simd.splat_f64s(self.centre[j]);
                let x = &x[j * in_tile..][..R];
                let v = &mut v[j * stride + start..][..R];
                let total = &mut simd::vectors_mut::<S>(&mut self.first[j * LANES..][..LANES])[0];
                let mut sums = [*total, simd.splat_f64s(0.0)];
                for r in 0..R {
                    v[r] = simd.mul_f64s(root[r], simd.sub_f64s(x[r], c));
                    sums[r % 2] = simd.mul_add_e_f64s(root[r], v[r], sums[r % 2]);
                }
                *total = simd.add_f64s(sums[0], sums[1]);
            }
        }
    }
}

/// √g_n of one component in every tile; counts the rows with g_n > 0.
pub(super) struct Roots<'a> {
    /// g, tile after tile of (K, 64).
    pub(super) gamma: &'a [f64],
    /// k.
    pub(super) component: usize,
    /// K.
    pub(super) components: usize,
    /// √g_nk (B).
    pub(super) roots: &'a mut [f64],
}

impl WithSimd for Roots<'_> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        let mut active = 0;
        for (gamma, roots) in self.gamma.chunks_exact(TILE * self.components).zip(self.roots.as_chunks_mut::<TILE>().0) {
            let gamma = &gamma[self.component * TILE..][..TILE];
            for i in 0..TILE {
                roots[i] = gamma[i].sqrt();
                active += usize::from(gamma[i] > 0.0);
            }
        }
        active
    }
}

/// As [`Scaled`] for the rows named in `rows` alone: column by column, filled up with zeros to whole vectors.
pub(super) fn gathered(tiles: &[f64], rows: &[u32], roots: &[f64], centre: &[f64], v: &mut [f64], first: &mut [f64]) {
    let dim = centre.len();
    let stride = v.len() / dim;
    for (j, column) in v.chunks_exact_mut(stride).enumerate() {
        let mut sums = [0.0; LANES];
        for (a, (v, &row)) in column.iter_mut().zip(rows).enumerate() {
            let row = row as usize;
            let root = roots[row];
            *v = root * (tiles[(row / TILE * dim + j) * TILE + row % TILE] - centre[j]);
            sums[a % LANES] += root * *v;
        }
        column[rows.len()..].fill(0.0);
        first[j * LANES] += sums.iter().sum::<f64>();
    }
}
