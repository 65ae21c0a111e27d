//! Scores of centred and weighted rows on a few axes, and the sums a Rayleigh–Ritz step and its residual are made of.

use super::outer_products::{OuterProducts, tiles};
use super::strips::{CAPACITY, Gather, Weighted};
use super::{LANES, Scratch, padded};
use pulp::{Simd, WithSimd};

/// With v_n = √w_n (x_n − c) and z_n = Aᵀ v_n for axes A (D, L): Σ z_n z_nᵀ and Σ v_n (Gᵀ z_n)ᵀ for a few combinations G (L, 8).
#[derive(Debug, Default)]
pub(crate) struct ScoreSums {
    /// Σ z zᵀ (L, L) in row-major order, the lower triangle.
    pub(crate) inner: Vec<f64>,
    /// Σ v (Gᵀ z)ᵀ (P, 8) in row-major order; P is D rounded up to whole vectors.
    pub(crate) back: Vec<f64>,
    rows: usize,
    v: Scratch,
    z: Scratch,
    combined: Scratch,
    unused: Vec<f64>,
}

/// Matrices in the order in which scores read them: strips of eight columns, each row by row.
#[derive(Debug)]
pub(crate) struct Axes {
    /// L, a multiple of eight.
    pub(crate) width: usize,
    /// A: (L / 8) strips of P rows; rows from D on are 0.
    a: Scratch,
    /// G: one strip of L rows.
    combinations: Scratch,
}

impl Axes {
    /// From the entries of A (D, L) and G (L, 8), with L a multiple of eight.
    pub(crate) fn new(dim: usize, width: usize, a: impl Fn(usize, usize) -> f64, g: impl Fn(usize, usize) -> f64) -> Self {
        let mut axes = Axes { width, a: Scratch::default(), combinations: Scratch::default() };
        for (k, v) in axes.a.zeros(padded(dim) * width).iter_mut().enumerate() {
            let (line, lane) = (k / LANES, k % LANES);
            let (strip, row) = (line / padded(dim), line % padded(dim));
            if row < dim {
                *v = a(row, strip * LANES + lane);
            }
        }
        for (k, v) in axes.combinations.zeros(width * LANES).iter_mut().enumerate() {
            *v = g(k / LANES, k % LANES);
        }
        axes
    }
}

impl ScoreSums {
    /// Adds rows, as far as they have come together; [`flush`](Self::flush) adds the rest.
    pub(crate) fn add(&mut self, mut rows: Weighted<'_>, axes: &Axes) {
        let dim = rows.centre.len();
        self.inner.resize(axes.width * axes.width, 0.0);
        self.back.resize(padded(dim) * LANES, 0.0);
        self.unused.resize(dim, 0.0);
        self.v.resize(CAPACITY * padded(dim));
        self.z.resize(CAPACITY * axes.width);
        self.combined.resize(CAPACITY * LANES);
        while !rows.rows.is_empty() {
            let count = rows.rows.len().min(CAPACITY - self.rows);
            let now = Weighted { rows: &rows.rows[..count], roots: &rows.roots[..count], ..rows };
            rows = Weighted { rows: &rows.rows[count..], roots: &rows.roots[count..], ..rows };
            super::run(Gather { from: now, to: self.rows, v: self.v.get_mut(), first: &mut self.unused });
            self.rows += count;
            if self.rows == CAPACITY {
                self.flush(axes);
            }
        }
    }

    /// Adds what has not been added yet.
    pub(crate) fn flush(&mut self, axes: &Axes) {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return;
        }
        let depth = self.back.len() / LANES;
        super::run(Scores { v: self.v.get(), rows, axes: axes.a.get(), depth, z: self.z.get_mut() });
        super::run(OuterProducts { v: self.z.get(), stride: CAPACITY, rows, sums: &mut self.inner, dim: axes.width });
        let combinations = axes.combinations.get();
        super::run(Scores { v: self.z.get(), rows, axes: combinations, depth: axes.width, z: self.combined.get_mut() });
        super::run(Back { v: self.v.get(), z: self.combined.get(), rows, sums: &mut self.back });
    }
}

/// z_n = Aᵀ v_n for the rows of V.
struct Scores<'a> {
    /// Strips of eight columns, each row by row, CAPACITY rows from one to the next.
    v: &'a [f64],
    rows: usize,
    /// A: strips of eight columns, each `depth` rows.
    axes: &'a [f64],
    /// Columns of V, a multiple of eight.
    depth: usize,
    /// Z, in strips like V; rows up to the next multiple of sixteen may be written.
    z: &'a mut [f64],
}

impl WithSimd for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // as many sums as stay in registers (see the outer products)
        if S::REGISTER_COUNT >= 32 { self.all::<S, 8, 3, 16>(simd) } else { self.all::<S, 4, 2, 8>(simd) }
    }
}

impl Scores<'_> {
    /// Tiles of H rows by W strips; of T rows where a single strip is left, whose sums would otherwise wait for each other.
    #[inline(always)]
    fn all<S: Simd, const H: usize, const W: usize, const T: usize>(self, simd: S) {
        let (v, z) = (self.v.as_chunks::<LANES>().0, self.z.as_chunks_mut::<LANES>().0);
        let axes = self.axes.as_chunks::<LANES>().0;
        let a = |s: usize| &axes[s * self.depth..][..self.depth];
        let strips = axes.len() / self.depth;
        let alone = strips % W == 1;
        let together = strips - usize::from(alone);
        for band in (0..self.rows).step_by(T) {
            for top in (band..self.rows.min(band + T)).step_by(H) {
                for s in (0..together).step_by(W) {
                    match together - s {
                        2 => score::<S, H, 2>(simd, v, [a(s), a(s + 1)], z, top, s),
                        _ => score::<S, H, W>(simd, v, std::array::from_fn(|w| a(s + w)), z, top, s),
                    }
                }
            }
            if alone {
                score::<S, T, 1>(simd, v, [a(together)], z, band, together);
            }
        }
    }
}

/// H rows from `top` on by W strips of axes, the first of them number `s`.
#[inline(always)]
fn score<S: Simd, const H: usize, const W: usize>(
    simd: S,
    v: &[[f64; LANES]],
    a: [&[[f64; LANES]]; W],
    z: &mut [[f64; LANES]],
    top: usize,
    s: usize,
) {
    for part in 0..LANES / S::F64_LANES {
        let mut sums = [[simd.splat_f64s(0.0); W]; H];
        for (k, v) in v.chunks_exact(CAPACITY).take(a[0].len() / LANES).enumerate() {
            let y = &v[top..top + H];
            let a: [&[[f64; LANES]]; W] = std::array::from_fn(|w| &a[w][k * LANES..][..LANES]);
            for l in 0..LANES {
                let x: [S::f64s; W] = std::array::from_fn(|w| super::vectors::<S>(&a[w][l])[part]);
                for h in 0..H {
                    let y = simd.splat_f64s(y[h][l]);
                    for w in 0..W {
                        sums[h][w] = simd.mul_add_e_f64s(y, x[w], sums[h][w]);
                    }
                }
            }
        }
        for h in 0..H {
            for w in 0..W {
                super::vectors_mut::<S>(&mut z[(s + w) * CAPACITY + top + h])[part] = sums[h][w];
            }
        }
    }
}

/// Adds Σ v_n z_nᵀ for one strip of Z.
struct Back<'a> {
    v: &'a [f64],
    z: &'a [f64],
    rows: usize,
    /// (P, 8).
    sums: &'a mut [f64],
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let z = &self.z.as_chunks::<LANES>().0[..self.rows];
        for (v, sums) in self.v.as_chunks::<LANES>().0.chunks_exact(CAPACITY).zip(self.sums.chunks_exact_mut(LANES * LANES)) {
            // eight sums a vector, so that none waits for another, fit in the registers of any processor
            tiles::<S, 8, 1>(simd, &v[..self.rows], [z], sums, 0, LANES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn sums_are_those_of_the_formulas(
            dim in prop_oneof![1usize..=10, 15usize..=17, 31usize..=34, 47usize..=49],
            strips in 1usize..6,
            n in prop_oneof![1usize..20, 126usize..131, 255usize..258],
            seed in 0u32..1000,
        ) {
            let number = |i: usize| ((i as f64 + 0.1) * (1.0 + f64::from(seed))).sin();
            let width = strips * LANES;
            let x: Vec<f64> = (0..n * dim).map(number).collect();
            let rows: Vec<u32> = (0..n as u32).collect();
            let roots: Vec<f64> = rows.iter().map(|&n| 0.5 + f64::from(n % 3)).collect();
            let centre: Vec<f64> = (0..dim).map(|j| 0.1 * number(j + 7)).collect();
            let a = |i: usize, j: usize| number(3 * i + 1000 * j + 5);
            let g = |i: usize, j: usize| number(7 * i + 300 * j + 2);
            let axes = Axes::new(dim, width, a, g);
            let (mut sums, cut) = (ScoreSums::default(), n / 3);
            let all = Weighted { x: &x, rows: &rows, roots: &roots, centre: &centre };
            sums.add(Weighted { rows: &rows[..cut], roots: &roots[..cut], ..all }, &axes);
            sums.add(Weighted { rows: &rows[cut..], roots: &roots[cut..], ..all }, &axes);
            sums.flush(&axes);
            sums.flush(&axes);
            let v = |n: usize, j: usize| roots[n] * (x[n * dim + j] - centre[j]);
            let z: Vec<Vec<f64>> = (0..n).map(|n| (0..width).map(|l| (0..dim).map(|j| a(j, l) * v(n, j)).sum()).collect()).collect();
            // |a|, |g| ≤ 1 and |v| ≤ 2.75: magnitudes are at most 2.75 D for z, and ε for each of the terms summed
            let size = 2.75 * dim as f64;
            let tolerance = 4.0 * (n + dim + width) as f64 * f64::EPSILON * n as f64;
            for i in 0..width {
                for j in 0..=i {
                    let sum: f64 = z.iter().map(|z| z[i] * z[j]).sum();
                    prop_assert!((sums.inner[i * width + j] - sum).abs() <= tolerance * size * size);
                }
            }
            for i in 0..dim {
                for j in 0..LANES {
                    let sum: f64 = (0..n).map(|n| v(n, i) * (0..width).map(|l| g(l, j) * z[n][l]).sum::<f64>()).sum();
                    prop_assert!((sums.back[i * LANES + j] - sum).abs() <= tolerance * 2.75 * size * width as f64);
                }
            }
        }
    }
}
