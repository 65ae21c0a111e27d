//! Lower triangles of Gram matrices, rows of data across the lanes of a vector.

use crate::simd::{self, LANES};
use pulp::{Simd, WithSimd};

/// Columns up to which sums are kept lane by lane over several chunks of rows: 2080 pairs, 130 KiB.
pub(super) const LANEWISE: usize = 64;

/// From one column of V to the next, for B rows. A vector more than B: columns at a distance of a power of two would all compete for
/// the same few places of the first-level cache.
pub(super) fn stride(rows: usize) -> usize {
    rows + LANES
}

/// Adds VᵀV of a chunk of rows.
pub(super) struct Gram<'a> {
    /// V (B, D), columns at a distance of [`stride`]; B is a multiple of the widest vector.
    pub(super) v: &'a [f64],
    /// B.
    pub(super) rows: usize,
    /// D.
    pub(super) dim: usize,
    /// Where the sums go.
    pub(super) out: Sums<'a>,
}

/// Where the sums of products go.
pub(super) enum Sums<'a> {
    /// Pair i ≥ j to the widest vector i (i + 1) / 2 + j, to be summed over its lanes later.
    Lanes(&'a mut [f64]),
    /// Entry (i, j) of a matrix (D, D) in row-major order.
    Matrix(&'a mut [f64]),
}

impl WithSimd for Gram<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let dim = self.dim;
        match self.out {
            Sums::Lanes(lanes) => {
                let lanes = simd::vectors_mut::<S>(lanes);
                let sink = |i: usize, j: usize, v| {
                    let sum = &mut lanes[(i * (i + 1) / 2 + j) * (LANES / S::F64_LANES)];
                    *sum = simd.add_f64s(*sum, v);
                };
                blocks(simd, self.v, self.rows, dim, sink);
            }
            Sums::Matrix(matrix) => blocks(simd, self.v, self.rows, dim, |i, j, v| matrix[i * dim + j] += simd.reduce_sum_f64s(v)),
        }
    }
}

#[inline(always)]
fn blocks<S: Simd>(simd: S, v: &[f64], rows: usize, dim: usize, sink: impl FnMut(usize, usize, S::f64s)) {
    if S::REGISTER_COUNT >= 32 { lower::<S, 4>(simd, v, rows, dim, sink) } else { lower::<S, 3>(simd, v, rows, dim, sink) }
}

/// Bands of at most 32 KiB of columns j stay in the first-level cache while blocks of T columns i pass by.
#[inline(always)]
fn lower<S: Simd, const T: usize>(simd: S, v: &[f64], rows: usize, dim: usize, mut sink: impl FnMut(usize, usize, S::f64s)) {
    let v = simd::vectors::<S>(v);
    let n = rows / S::F64_LANES;
    let m = stride(rows) / S::F64_LANES;
    let band = (4096 / rows).max(1).next_multiple_of(T);
    for left in (0..dim).step_by(band) {
        let right = (left + band).min(dim);
        for i in (left..dim).step_by(T) {
            for j in (left..right.min(i + 1)).step_by(T) {
                // the last block of rows may be short, and then also the block on the diagonal; all others are T by T
                let (height, width) = (T.min(dim - i), T.min(dim - j));
                let (a, b) = (&v[i * m..(i + height) * m], &v[j * m..(j + width) * m]);
                match (height, width) {
                    (1, 1) => tile::<S, 1, 1>(simd, a, b, n, (i, j), &mut sink),
                    (2, 2) => tile::<S, 2, 2>(simd, a, b, n, (i, j), &mut sink),
                    (3, 3) => tile::<S, 3, 3>(simd, a, b, n, (i, j), &mut sink),
                    (1, _) => tile::<S, 1, T>(simd, a, b, n, (i, j), &mut sink),
                    (2, _) => tile::<S, 2, T>(simd, a, b, n, (i, j), &mut sink),
                    (3, _) => tile::<S, 3, T>(simd, a, b, n, (i, j), &mut sink),
                    _ => tile::<S, T, T>(simd, a, b, n, (i, j), &mut sink),
                }
            }
        }
    }
}

/// Σ_n a_in b_jn for I columns by J columns of n vectors each; passes on pairs on and below the diagonal.
#[inline(always)]
fn tile<S: Simd, const I: usize, const J: usize>(
    simd: S,
    a: &[S::f64s],
    b: &[S::f64s],
    n: usize,
    (first_i, first_j): (usize, usize),
    sink: &mut impl FnMut(usize, usize, S::f64s),
) {
    let m = a.len() / I;
    let a: [&[S::f64s]; I] = std::array::from_fn(|i| &a[i * m..][..n]);
    let b: [&[S::f64s]; J] = std::array::from_fn(|j| &b[j * m..][..n]);
    let mut sums = [[simd.splat_f64s(0.0); J]; I];
    for row in 0..n {
        let x: [S::f64s; J] = std::array::from_fn(|j| b[j][row]);
        for i in 0..I {
            let y = a[i][row];
            for j in 0..J {
                sums[i][j] = simd.mul_add_e_f64s(y, x[j], sums[i][j]);
            }
        }
    }
    for i in 0..I {
        for j in 0..J {
            if first_j + j <= first_i + i {
                sink(first_i + i, first_j + j, sums[i][j]);
            }
        }
    }
}
