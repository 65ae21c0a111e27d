//! Squared distances and moments coordinate by coordinate: diagonal and spherical covariances.

use super::tiles::TILE;
use crate::simd::{self, LANES};
use pulp::{Simd, WithSimd};

/// Centres, and for diagonal covariances 1/σ, in the order in which the loops read them: groups of four components, in a group
/// coordinate by coordinate.
#[derive(Debug, Clone)]
pub(crate) struct Centres {
    dim: usize,
    components: usize,
    values: Vec<f64>,
    scales: Option<Vec<f64>>,
}

/// Components that share the loads of a row.
const GROUP: usize = 4;

/// (K, D) in row-major order to groups.
fn grouped(x: &[f64], components: usize, dim: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(x.len());
    for first in (0..components).step_by(GROUP) {
        for j in 0..dim {
            out.extend((first..(first + GROUP).min(components)).map(|k| x[k * dim + j]));
        }
    }
    out
}

impl Centres {
    /// Centres (K, D) and inverse standard deviations (K, D), both in row-major order.
    pub(crate) fn new(dim: usize, centres: &[f64], scales: Option<&[f64]>) -> Self {
        let components = centres.len() / dim;
        let scales = scales.map(|s| grouped(s, components, dim));
        Centres { dim, components, values: grouped(centres, components, dim), scales }
    }
}

/// Σ_j ((x_nj − c_kj) s_kj)² of one tile, s = 1 for centres without scales.
pub(super) struct SquaredDistances<'a> {
    /// c and s.
    pub(super) centres: &'a Centres,
    /// One tile of rows (D, 64).
    pub(super) tile: &'a [f64],
    /// (K, 64).
    pub(super) out: &'a mut [f64],
}

impl WithSimd for SquaredDistances<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.rows::<S, 4>(simd) } else { self.rows::<S, 2>(simd) }
    }
}

impl SquaredDistances<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(self, simd: S) {
        let (dim, n) = (self.centres.dim, self.centres.components);
        let out = simd::vectors_mut::<S>(self.out);
        let in_tile = TILE / S::F64_LANES;
        for first in (0..n).step_by(GROUP) {
            let width = GROUP.min(n - first);
            let range = first * dim..(first + width) * dim;
            let c = &self.centres.values[range.clone()];
            let s = self.centres.scales.as_ref().map(|s| &s[range]);
            let out = &mut out[first * in_tile..(first + width) * in_tile];
            match (width, s) {
                (1, None) => group::<S, R, 1, false>(simd, self.tile, c, c, out),
                (2, None) => group::<S, R, 2, false>(simd, self.tile, c, c, out),
                (3, None) => group::<S, R, 3, false>(simd, self.tile, c, c, out),
                (_, None) => group::<S, R, 4, false>(simd, self.tile, c, c, out),
                (1, Some(s)) => group::<S, R, 1, true>(simd, self.tile, c, s, out),
                (2, Some(s)) => group::<S, R, 2, true>(simd, self.tile, c, s, out),
                (3, Some(s)) => group::<S, R, 3, true>(simd, self.tile, c, s, out),
                (_, Some(s)) => group::<S, R, 4, true>(simd, self.tile, c, s, out),
            }
        }
    }
}

/// G components at once, R vectors of rows at once.
#[inline(always)]
fn group<S: Simd, const R: usize, const G: usize, const SCALED: bool>(
    simd: S,
    tile: &[f64],
    centres: &[f64],
    scales: &[f64],
    out: &mut [S::f64s],
) {
    let in_tile = TILE / S::F64_LANES;
    let x = simd::vectors::<S>(tile);
    for first in (0..in_tile).step_by(R) {
        let mut sums = [[simd.splat_f64s(0.0); R]; G];
        let parameters = centres.as_chunks::<G>().0.iter().zip(scales.as_chunks::<G>().0);
        for (column, (c, s)) in x.chunks_exact(in_tile).zip(parameters) {
            let x: [S::f64s; R] = std::array::from_fn(|r| column[first + r]);
            for g in 0..G {
                let c = simd.splat_f64s(c[g]);
                let s = simd.splat_f64s(s[g]);
                for r in 0..R {
                    let t = simd.sub_f64s(x[r], c);
                    let t = if SCALED { simd.mul_f64s(t, s) } else { t };
                    sums[g][r] = simd.mul_add_e_f64s(t, t, sums[g][r]);
                }
            }
        }
        for g in 0..G {
            out[g * in_tile + first..][..R].copy_from_slice(&sums[g]);
        }
    }
}

/// Σ_n g_n (x_nj − c_j) and Σ_n g_n (x_nj − c_j)² of one tile and one component, lane by lane.
pub(super) struct Moments<'a> {
    /// One tile of rows (D, 64).
    pub(super) tile: &'a [f64],
    /// g_n (64).
    pub(super) weights: &'a [f64],
    /// c (D).
    pub(super) centre: &'a [f64],
    /// First moments (D), a vector each.
    pub(super) first: &'a mut [f64],
    /// Second moments (D), a vector each, or their sum over j (1).
    pub(super) second: Second<'a>,
}

/// Where second moments go.
pub(super) enum Second<'a> {
    /// Each coordinate to its own vector (D).
    Diagonal(&'a mut [f64]),
    /// All to one vector.
    Trace(&'a mut [f64]),
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.rows::<S, 8>(simd) } else { self.rows::<S, 4>(simd) }
    }
}

impl Moments<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(self, simd: S) {
        let x = simd::vectors::<S>(self.tile);
        let weights = simd::vectors::<S>(self.weights);
        let in_tile = TILE / S::F64_LANES;
        let mut second = self.second;
        for start in (0..in_tile).step_by(R) {
            let g: [S::f64s; R] = std::array::from_fn(|r| weights[start + r]);
            let mut trace = [simd.splat_f64s(0.0); 2];
            for (j, (column, &c)) in x.chunks_exact(in_tile).zip(self.centre).enumerate() {
                let c = simd.splat_f64s(c);
                let x: [S::f64s; R] = std::array::from_fn(|r| column[start + r]);
                let first = &mut simd::vectors_mut::<S>(&mut self.first[j * LANES..(j + 1) * LANES])[0];
                let mut sum = *first;
                let mut square = trace[j % 2];
                if let Second::Diagonal(s) = &mut second {
                    square = simd::vectors_mut::<S>(&mut s[j * LANES..(j + 1) * LANES])[0];
                }
                for r in 0..R {
                    let t = simd.sub_f64s(x[r], c);
                    let y = simd.mul_f64s(g[r], t);
                    sum = simd.add_f64s(sum, y);
                    square = simd.mul_add_e_f64s(y, t, square);
                }
                *first = sum;
                match &mut second {
                    Second::Diagonal(s) => simd::vectors_mut::<S>(&mut s[j * LANES..(j + 1) * LANES])[0] = square,
                    Second::Trace(_) => trace[j % 2] = square,
                }
            }
            if let Second::Trace(s) = &mut second {
                let s = &mut simd::vectors_mut::<S>(s)[0];
                *s = simd.add_f64s(*s, simd.add_f64s(trace[0], trace[1]));
            }
        }
    }
}
