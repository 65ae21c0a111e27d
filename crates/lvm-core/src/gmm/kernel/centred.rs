//! Rows about a centre, scaled by the square root of their responsibility.

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
    /// V (B, D), column by column.
    pub(super) v: &'a mut [f64],
    /// Sums (D), a vector each.
    pub(super) first: &'a mut [f64],
}

impl WithSimd for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let dim = self.centre.len();
        let rows = self.roots.len();
        for (tile, roots) in self.roots.chunks_exact(TILE).enumerate() {
            let roots = simd::vectors::<S>(roots);
            let x = &self.tiles[tile * TILE * dim..];
            for j in 0..dim {
                let c = simd.splat_f64s(self.centre[j]);
                let x = simd::vectors::<S>(&x[j * TILE..(j + 1) * TILE]);
                let v = simd::vectors_mut::<S>(&mut self.v[j * rows + tile * TILE..][..TILE]);
                let mut sums = [simd.splat_f64s(0.0); 2];
                for i in 0..x.len() {
                    v[i] = simd.mul_f64s(roots[i], simd.sub_f64s(x[i], c));
                    sums[i % 2] = simd.mul_add_e_f64s(roots[i], v[i], sums[i % 2]);
                }
                let total = &mut simd::vectors_mut::<S>(&mut self.first[j * LANES..(j + 1) * LANES])[0];
                *total = simd.add_f64s(*total, simd.add_f64s(sums[0], sums[1]));
            }
        }
    }
}

/// The same for the rows named in `rows` alone: column by column, filled up with zeros to whole vectors.
pub(super) fn gathered(tiles: &[f64], rows: &[u32], roots: &[f64], centre: &[f64], v: &mut [f64], first: &mut [f64]) {
    let dim = centre.len();
    let padded = v.len() / dim;
    for (j, column) in v.chunks_exact_mut(padded).enumerate() {
        let mut sums = [0.0; LANES];
        for (a, ((v, &row), &root)) in column.iter_mut().zip(rows).zip(roots).enumerate() {
            let row = row as usize;
            *v = root * (tiles[(row / TILE * dim + j) * TILE + row % TILE] - centre[j]);
            sums[a % LANES] += root * *v;
        }
        column[rows.len()..].fill(0.0);
        first[j * LANES] += sums.iter().sum::<f64>();
    }
}
