//! Products with a triangular matrix, rows of data across the lanes of a vector.

use super::tiles::TILE;
use crate::simd;
use pulp::{Simd, WithSimd};

/// A lower triangular matrix A (D, D), in the order in which a product reads it: blocks of rows, each column by column up to the
/// diagonal.
#[derive(Debug, Clone)]
pub(crate) struct Triangle {
    dim: usize,
    values: Vec<f64>,
}

/// Rows of A at once; with 4 vectors of data that is 24 sums, which stay in registers.
const BLOCK: usize = 6;

impl Triangle {
    /// Packs the lower triangle of `a`, given as a function of row and column.
    pub(crate) fn new(dim: usize, a: impl Fn(usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(dim * (dim + BLOCK) / 2);
        for first in (0..dim).step_by(BLOCK) {
            let end = (first + BLOCK).min(dim);
            for j in 0..end {
                values.extend((first..end).map(|i| if j <= i { a(i, j) } else { 0.0 }));
            }
        }
        Triangle { dim, values }
    }
}

/// Takes z = A (x − c) of every row and keeps what the caller wants of it.
pub(super) struct Whiten<'a> {
    /// A.
    pub(super) triangle: &'a Triangle,
    /// c (D).
    pub(super) centre: &'a [f64],
    /// One tile of rows (D, 64).
    pub(super) tile: &'a [f64],
    /// Room for the centred rows (D, 64).
    pub(super) centred: &'a mut [f64],
    /// What is kept.
    pub(super) keep: Keep<'a>,
}

/// What is kept of z = A (x − c).
pub(super) enum Keep<'a> {
    /// ‖z‖² (64).
    SquaredNorm(&'a mut [f64]),
    /// z (D, 64).
    All(&'a mut [f64]),
}

impl WithSimd for Whiten<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.rows::<S, 4>(simd) } else { self.rows::<S, 2>(simd) }
    }
}

impl Whiten<'_> {
    /// R vectors of rows at a time.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(self, simd: S) {
        let in_tile = TILE / S::F64_LANES;
        let x = simd::vectors::<S>(self.tile);
        let y = simd::vectors_mut::<S>(&mut self.centred[..R * S::F64_LANES * self.triangle.dim]).as_chunks_mut::<R>().0;
        let mut keep = self.keep;
        for first in (0..in_tile).step_by(R) {
            for ((y, column), &c) in y.iter_mut().zip(x.chunks_exact(in_tile)).zip(self.centre) {
                let c = simd.splat_f64s(c);
                for (y, &x) in y.iter_mut().zip(&column[first..first + R]) {
                    *y = simd.sub_f64s(x, c);
                }
            }
            match &mut keep {
                Keep::SquaredNorm(out) => {
                    let mut norm = [simd.splat_f64s(0.0); R];
                    product::<S, R>(simd, self.triangle, y, |_, z| {
                        for r in 0..R {
                            norm[r] = simd.mul_add_e_f64s(z[r], z[r], norm[r]);
                        }
                    });
                    simd::vectors_mut::<S>(out)[first..first + R].copy_from_slice(&norm);
                }
                Keep::All(out) => {
                    let out = simd::vectors_mut::<S>(out);
                    product::<S, R>(simd, self.triangle, y, |i, z| out[i * in_tile + first..][..R].copy_from_slice(&z));
                }
            }
        }
    }
}

/// Calls `sink(i, z_i)` for z = A y, in order of i.
#[inline(always)]
fn product<S: Simd, const R: usize>(simd: S, triangle: &Triangle, y: &[[S::f64s; R]], mut sink: impl FnMut(usize, [S::f64s; R])) {
    let mut values = &triangle.values[..];
    let mut first = 0;
    while first + BLOCK <= triangle.dim {
        let (block, rest) = values.split_at(BLOCK * (first + BLOCK));
        rows_of_product::<S, R, BLOCK>(simd, block, y, first, &mut sink);
        values = rest;
        first += BLOCK;
    }
    match triangle.dim - first {
        1 => rows_of_product::<S, R, 1>(simd, values, y, first, &mut sink),
        2 => rows_of_product::<S, R, 2>(simd, values, y, first, &mut sink),
        3 => rows_of_product::<S, R, 3>(simd, values, y, first, &mut sink),
        4 => rows_of_product::<S, R, 4>(simd, values, y, first, &mut sink),
        5 => rows_of_product::<S, R, 5>(simd, values, y, first, &mut sink),
        _ => {}
    }
}

/// z_i = Σ_j A_ij y_j for C rows i of A.
#[inline(always)]
fn rows_of_product<S: Simd, const R: usize, const C: usize>(
    simd: S,
    block: &[f64],
    y: &[[S::f64s; R]],
    first: usize,
    sink: &mut impl FnMut(usize, [S::f64s; R]),
) {
    let mut z = [[simd.splat_f64s(0.0); R]; C];
    for (a, y) in block.as_chunks::<C>().0.iter().zip(y) {
        for c in 0..C {
            let a = simd.splat_f64s(a[c]);
            for r in 0..R {
                z[c][r] = simd.mul_add_e_f64s(a, y[r], z[c][r]);
            }
        }
    }
    for c in 0..C {
        sink(first + c, z[c]);
    }
}
