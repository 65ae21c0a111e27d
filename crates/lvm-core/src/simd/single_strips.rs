//! Sums of outer products in single precision, folded into double: twice the rate, for a covariance that something else makes exact.
//!
//! Rows are centred in f64 and rounded to f32 when they are gathered; the products of [`CAPACITY`] rows are added up in f32, [`FOLD`] such
//! sums likewise, and their sum goes to f64. With u = 2⁻²⁴, an entry that sums n products of v_i and v_j is thus wrong by at most
//! (CAPACITY + FOLD + 2) u Σ |v_i v_j| to first order, however many rows there are.

use super::Scratch;
use super::strips::{CAPACITY, Weighted};
use pulp::{Simd, WithSimd};

/// Numbers of a row in a strip: f32 in the widest vector.
const STRIP: usize = 16;
/// Sums of CAPACITY rows added up in f32.
const FOLD: usize = 16;

/// Rows v_n whose outer products are still to be added, and sums that are still to be folded.
#[derive(Debug, Default)]
pub(crate) struct SingleStrips {
    dim: usize,
    rows: usize,
    sums_added: usize,
    v: Scratch<f32>,
    sums: Scratch<f32>,
}

/// Where sums go, all about the centre c.
pub(crate) struct Sums<'a> {
    /// Σ w (x − c) (D).
    pub(crate) first: &'a mut [f64],
    /// Σ w (x − c)² (D), in f64 throughout.
    pub(crate) squares: &'a mut [f64],
    /// s² Σ w (x − c)(x − c)ᵀ (D, D) in row-major order, the lower triangle, by way of f32.
    pub(crate) second: &'a mut [f64],
}

impl SingleStrips {
    /// The largest relative error of an entry, against the sum of magnitudes, to first order.
    #[cfg(test)]
    pub(crate) const WORST: f64 = roundings() / (1_u64 << 24) as f64;

    /// Adds rows, as far as they have come together; [`flush`](Self::flush) adds the rest. `scale` is s, a power of two that brings the
    /// rows to the size of 1.
    pub(crate) fn add(&mut self, mut rows: Weighted<'_>, scale: f64, sums: &mut Sums<'_>) {
        let padded = rows.centre.len().next_multiple_of(STRIP);
        if self.dim != rows.centre.len() {
            self.dim = rows.centre.len();
            self.v.resize(CAPACITY * padded);
            self.sums.zeros(padded * padded);
        }
        while !rows.rows.is_empty() {
            let count = rows.rows.len().min(CAPACITY - self.rows);
            let now = Weighted { rows: &rows.rows[..count], roots: &rows.roots[..count], ..rows };
            rows = Weighted { rows: &rows.rows[count..], roots: &rows.roots[count..], ..rows };
            super::run(Gather { from: now, scale, to: self.rows, v: self.v.get_mut(), sums: &mut *sums });
            self.rows += count;
            if self.rows == CAPACITY {
                self.multiply();
                if self.sums_added == FOLD {
                    self.fold(sums.second);
                }
            }
        }
    }

    /// Adds what has not been added to `second` yet.
    pub(crate) fn flush(&mut self, second: &mut [f64]) {
        if self.rows > 0 {
            self.multiply();
        }
        if self.sums_added > 0 {
            self.fold(second);
        }
    }

    fn multiply(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let padded = self.dim.next_multiple_of(STRIP);
        super::run(OuterProducts { v: self.v.get(), rows, sums: self.sums.get_mut(), padded });
        self.sums_added += 1;
    }

    fn fold(&mut self, second: &mut [f64]) {
        self.sums_added = 0;
        super::run(Fold { sums: self.sums.get_mut(), padded: self.dim.next_multiple_of(STRIP), second, dim: self.dim });
    }
}

/// Roundings that one product goes through at most: of its two factors, in the sum of its rows, and in that of the sums.
pub(crate) const fn roundings() -> f64 {
    (2 + CAPACITY + FOLD) as f64
}

/// Adds the sums in f32 to those in f64 and begins them anew.
struct Fold<'a> {
    sums: &'a mut [f32],
    padded: usize,
    second: &'a mut [f64],
    dim: usize,
}

impl WithSimd for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let lines = self.sums.chunks_exact_mut(self.padded).zip(self.second.chunks_exact_mut(self.dim));
        for (i, (sums, second)) in lines.enumerate() {
            for (second, sum) in second[..=i].iter_mut().zip(&mut *sums) {
                *second += f64::from(*sum);
            }
            // what the strip of the diagonal holds above it goes too, lest it grow without end
            sums[..(i + 1).next_multiple_of(STRIP)].fill(0.0);
        }
    }
}

/// s √w (x − c) in f32 written to the strips, and the sums of each column in f64.
struct Gather<'a, 'b> {
    from: Weighted<'a>,
    scale: f64,
    to: usize,
    v: &'a mut [f32],
    sums: &'a mut Sums<'b>,
}

impl WithSimd for Gather<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let dim = self.from.centre.len();
        for (index, strip) in self.v.as_chunks_mut::<STRIP>().0.chunks_exact_mut(CAPACITY).enumerate() {
            let begin = index * STRIP;
            let strip = &mut strip[self.to..self.to + self.from.rows.len()];
            let end = (begin + STRIP).min(dim);
            let (first, squares) = (&mut self.sums.first[begin..end], &mut self.sums.squares[begin..end]);
            if end - begin == STRIP {
                gather(self.from, self.scale, strip, begin, |x| x.first_chunk().copied().unwrap_or_default(), (first, squares));
            } else {
                gather(self.from, self.scale, strip, begin, padded, (first, squares));
            }
        }
    }
}

/// The numbers there are, then zeros.
#[inline(always)]
fn padded(x: &[f64]) -> [f64; STRIP] {
    std::array::from_fn(|l| x.get(l).copied().unwrap_or_default())
}

/// The strip that begins at column `begin`; `load` takes its numbers from the front of a slice.
#[inline(always)]
fn gather(
    from: Weighted<'_>,
    scale: f64,
    strip: &mut [[f32; STRIP]],
    begin: usize,
    load: impl Fn(&[f64]) -> [f64; STRIP],
    (first, squares): (&mut [f64], &mut [f64]),
) {
    let (dim, columns) = (from.centre.len(), first.len());
    let centre = load(&from.centre[begin..begin + columns]);
    let (mut sum, mut square) = (load(first), load(squares));
    for ((v, &row), &root) in strip.iter_mut().zip(from.rows).zip(from.roots) {
        let x = load(&from.x[row as usize * dim + begin..][..columns]);
        for l in 0..STRIP {
            let y = root * (x[l] - centre[l]);
            sum[l] += root * y;
            square[l] += y * y;
            v[l] = (scale * y) as f32;
        }
    }
    first.copy_from_slice(&sum[..columns]);
    squares.copy_from_slice(&square[..columns]);
}

/// Adds the lower triangle of Σ_n v_n v_nᵀ, as `simd::OuterProducts` does in f64.
struct OuterProducts<'a> {
    /// Strips of sixteen columns, each row by row, CAPACITY rows from one to the next; columns from D on are 0.
    v: &'a [f32],
    rows: usize,
    /// The sums (P, P) with P columns, D rounded up to whole strips.
    sums: &'a mut [f32],
    padded: usize,
}

/// The rows of a strip.
type Strip = [[f32; STRIP]; CAPACITY];

impl WithSimd for OuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // as in f64
        if S::REGISTER_COUNT >= 32 { self.lower::<S, 8, 3>(simd) } else { self.lower::<S, 4, 2>(simd) }
    }
}

impl OuterProducts<'_> {
    #[inline(always)]
    fn lower<S: Simd, const H: usize, const W: usize>(self, simd: S) {
        let strips: &[Strip] = self.v.as_chunks::<STRIP>().0.as_chunks::<CAPACITY>().0;
        for (i, sums) in self.sums.chunks_exact_mut(STRIP * self.padded).enumerate() {
            for j in (0..=i).step_by(W) {
                let to = Tiles { b: &strips[i], rows: self.rows, sums: &mut *sums, j, padded: self.padded };
                match i + 1 - j {
                    1 => to.add::<S, H, 1>(simd, [&strips[j]]),
                    2 => to.add::<S, H, 2>(simd, [&strips[j], &strips[j + 1]]),
                    _ => to.add::<S, H, W>(simd, std::array::from_fn(|w| &strips[j + w])),
                }
            }
        }
    }
}

/// Sums of the rows of one strip.
struct Tiles<'a> {
    b: &'a Strip,
    rows: usize,
    sums: &'a mut [f32],
    j: usize,
    padded: usize,
}

impl Tiles<'_> {
    /// Adds Σ_n b_n a_nᵀ for the W strips from strip `j` on.
    #[inline(always)]
    fn add<S: Simd, const H: usize, const W: usize>(self, simd: S, a: [&Strip; W]) {
        for top in (0..STRIP).step_by(H) {
            for part in 0..STRIP / S::F32_LANES {
                let tile = tile::<S, H, W>(simd, self.b, a, self.rows, (top, part));
                for (line, tile) in self.sums.chunks_exact_mut(self.padded).skip(top).zip(&tile) {
                    for (w, &value) in tile.iter().enumerate() {
                        let first = (self.j + w) * STRIP + part * S::F32_LANES;
                        let line = &mut S::as_mut_simd_f32s(&mut line[first..first + S::F32_LANES]).0[0];
                        *line = simd.add_f32s(*line, value);
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
    b: &Strip,
    a: [&Strip; W],
    rows: usize,
    (top, part): (usize, usize),
) -> [[S::f32s; W]; H] {
    let mut sums = [[simd.splat_f32s(0.0); W]; H];
    for (row, b) in b.iter().enumerate().take(rows) {
        let x: [S::f32s; W] = std::array::from_fn(|w| S::as_simd_f32s(&a[w][row]).0[part]);
        let y = &b[top..top + H];
        for h in 0..H {
            let y = simd.splat_f32s(y[h]);
            for w in 0..W {
                sums[h][w] = simd.mul_add_e_f32s(y, x[w], sums[h][w]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::Scalar;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn sums_are_those_of_the_formulas(
            dim in prop_oneof![1usize..=10, 15usize..=17, 31usize..=34, 47usize..=49, 63usize..=66],
            n in prop_oneof![1usize..4, 126usize..131, 255usize..258, Just(CAPACITY * FOLD), Just(CAPACITY * FOLD + 77)],
            power in -3_i32..3,
            scalar: bool,
            seed in 0u32..1000,
        ) {
            let number = |i: usize| ((i as f64 + 0.1) * (1.0 + f64::from(seed))).sin();
            let x: Vec<f64> = (0..n * dim).map(number).collect();
            let rows: Vec<u32> = (0..n as u32).collect();
            let roots: Vec<f64> = rows.iter().map(|&n| 0.5 + f64::from(n % 3)).collect();
            let centre: Vec<f64> = (0..dim).map(|j| 0.1 * number(j + 7)).collect();
            let (mut first, mut squares, mut second) = (vec![1.0; dim], vec![2.0; dim], vec![3.0; dim * dim]);
            let all = Weighted { x: &x, rows: &rows, roots: &roots, centre: &centre };
            let scale = 2.0_f64.powi(power);
            let mut sums = Sums { first: &mut first, squares: &mut squares, second: &mut second };
            if scalar {
                let padded = dim.next_multiple_of(STRIP);
                for (rows, roots) in rows.chunks(CAPACITY).zip(roots.chunks(CAPACITY)) {
                    let (mut v, mut single) = (vec![f32::NAN; CAPACITY * padded], vec![0.0; padded * padded]);
                    Gather { from: Weighted { rows, roots, ..all }, scale, to: 0, v: &mut v, sums: &mut sums }.with_simd(Scalar);
                    OuterProducts { v: &v, rows: rows.len(), sums: &mut single, padded }.with_simd(Scalar);
                    Fold { sums: &mut single, padded, second: sums.second, dim }.with_simd(Scalar);
                }
            } else {
                let (mut strips, cut) = (SingleStrips::default(), rows.len() / 3);
                strips.add(Weighted { rows: &rows[..cut], roots: &roots[..cut], ..all }, scale, &mut sums);
                strips.add(Weighted { rows: &rows[cut..], roots: &roots[cut..], ..all }, scale, &mut sums);
                strips.flush(sums.second);
                strips.flush(sums.second);
            }
            let y = |n: u32, j: usize| roots[n as usize] * (x[n as usize * dim + j] - centre[j]);
            // f64: a rounding for each term and two for each factor, each at most ε of the sum of magnitudes
            let double = (2.0 * n as f64 + 8.0) * f64::EPSILON;
            let close = |found: f64, start: f64, relative: f64, terms: &mut dyn Iterator<Item = f64>| {
                let (sum, size) = terms.fold((start, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
                (found - sum).abs() <= relative * size + double * start
            };
            for i in 0..dim {
                prop_assert!(close(first[i], 1.0, double, &mut rows.iter().map(|&n| roots[n as usize] * y(n, i))));
                prop_assert!(close(squares[i], 2.0, double, &mut rows.iter().map(|&n| y(n, i) * y(n, i))));
                for j in 0..=i {
                    let mut terms = rows.iter().map(|&n| scale * scale * y(n, i) * y(n, j));
                    prop_assert!(close(second[i * dim + j], 3.0, 1.01 * SingleStrips::WORST + double, &mut terms), "({}, {})", i, j);
                }
            }
        }
    }
}
