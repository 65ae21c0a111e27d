//! Sums of outer products Σ_n v_n v_nᵀ, columns of the result across the lanes of a vector: nothing is ever summed over lanes.

use super::{LANES, vectors, vectors_mut};
use pulp::{Simd, WithSimd};

/// Adds the lower triangle of Σ_n v_n v_nᵀ.
pub(crate) struct OuterProducts<'a> {
    /// Rows in strips of eight columns: strip after strip, each row by row; columns from D on are 0.
    pub(crate) v: &'a [f64],
    /// Rows from one strip to the next.
    pub(crate) stride: usize,
    /// Rows of V.
    pub(crate) rows: usize,
    /// The sums (D, D) in row-major order; what is written above the diagonal means nothing.
    pub(crate) sums: &'a mut [f64],
    /// D.
    pub(crate) dim: usize,
}

impl WithSimd for OuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sums that stay in registers: 24 of 32, but no more than 8 of 16. With 12, four vectors for what is multiplied would have to do, the
        // compiler takes a fifth and sends a sum through memory for every row, which then waits for it: half the speed.
        if S::REGISTER_COUNT >= 32 { self.lower::<S, 8, 3>(simd) } else { self.lower::<S, 4, 2>(simd) }
    }
}

impl OuterProducts<'_> {
    /// Tiles of H rows by W strips. W strips of columns are met by RESIDENT strips of rows before the next are read: all of V does not stay in a
    /// second-level cache when there are many columns, RESIDENT strips do.
    #[inline(always)]
    fn lower<S: Simd, const H: usize, const W: usize>(self, simd: S) {
        let v = self.v.as_chunks::<LANES>().0;
        let strip = |s: usize| &v[s * self.stride..][..self.rows];
        let strips = self.dim.div_ceil(LANES);
        for (block, sums) in (0..strips).step_by(RESIDENT).zip(self.sums.chunks_mut(RESIDENT * LANES * self.dim)) {
            let last = strips.min(block + RESIDENT);
            for j in (0..last).step_by(W) {
                for i in block.max(j)..last {
                    let (b, first) = (strip(i), (i - block) * LANES * self.dim);
                    let rows = &mut sums[first..self.dim.min((i + 1) * LANES) * self.dim - block * LANES * self.dim];
                    match i + 1 - j {
                        1 => tiles::<S, H, 1>(simd, b, [strip(j)], rows, j, self.dim),
                        2 => tiles::<S, H, 2>(simd, b, [strip(j), strip(j + 1)], rows, j, self.dim),
                        _ => tiles::<S, H, W>(simd, b, std::array::from_fn(|w| strip(j + w)), rows, j, self.dim),
                    }
                }
            }
        }
    }
}

/// Strips of rows that stay in a second-level cache: of 128 rows 96 KiB.
const RESIDENT: usize = 12;

/// Σ_n b_n a_nᵀ for a strip b and W strips a, added to the columns from strip `j` on of the rows of b in the sums.
#[inline(always)]
pub(super) fn tiles<S: Simd, const H: usize, const W: usize>(
    simd: S,
    b: &[[f64; LANES]],
    a: [&[[f64; LANES]]; W],
    sums: &mut [f64],
    j: usize,
    dim: usize,
) {
    for top in (0..LANES).step_by(H) {
        for part in 0..LANES / S::F64_LANES {
            let tile = tile::<S, H, W>(simd, b, a, top, part);
            for (line, tile) in sums.chunks_mut(dim).skip(top).zip(&tile) {
                for (w, &value) in tile.iter().enumerate() {
                    let first = (j + w) * LANES + part * S::F64_LANES;
                    match line.get_mut(first..first + S::F64_LANES) {
                        Some(line) => {
                            let line = &mut vectors_mut::<S>(line)[0];
                            *line = simd.add_f64s(*line, value);
                        }
                        // the last strip may have fewer than eight columns
                        None => {
                            let line = line.get_mut(first..).unwrap_or_default();
                            let sum = simd.add_f64s(simd.partial_load_f64s(line), value);
                            simd.partial_store_f64s(line, sum);
                        }
                    }
                }
            }
        }
    }
}

/// H rows of b by W vectors, one vector of each strip a.
#[inline(always)]
fn tile<S: Simd, const H: usize, const W: usize>(
    simd: S,
    b: &[[f64; LANES]],
    a: [&[[f64; LANES]]; W],
    top: usize,
    part: usize,
) -> [[S::f64s; W]; H] {
    let n = b.len();
    let a: [&[[f64; LANES]]; W] = std::array::from_fn(|w| &a[w][..n]);
    let mut sums = [[simd.splat_f64s(0.0); W]; H];
    for row in 0..n {
        let x: [S::f64s; W] = std::array::from_fn(|w| vectors::<S>(&a[w][row])[part]);
        let y = &b[row][top..top + H];
        for h in 0..H {
            let y = simd.splat_f64s(y[h]);
            for w in 0..W {
                sums[h][w] = simd.mul_add_e_f64s(y, x[w], sums[h][w]);
            }
        }
    }
    sums
}
