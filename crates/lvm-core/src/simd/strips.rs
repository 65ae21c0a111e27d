//! Sums of outer products of centred and weighted rows.
//!
//! Rows are gathered in strips of eight columns, the order in which outer products read them, until there are enough of them to pay for
//! reading and writing the (D, D) sums.

use super::{LANES, OuterProducts, Scratch};
use pulp::{Simd, WithSimd};

/// Rows gathered: with 784 columns they still fit in the second-level cache.
pub(super) const CAPACITY: usize = 128;

/// Rows v_n whose outer products are still to be added.
#[derive(Debug, Default)]
pub(crate) struct Strips {
    dim: usize,
    rows: usize,
    v: Scratch,
}

/// Rows to add, and how.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<'a> {
    /// Rows of D numbers, one after the other.
    pub(crate) x: &'a [f64],
    /// The rows meant (B), by number.
    pub(crate) rows: &'a [u32],
    /// √w_n (B).
    pub(crate) roots: &'a [f64],
    /// c (D).
    pub(crate) centre: &'a [f64],
}

impl Strips {
    /// Adds Σ w_n (x_n − c) to `first` (D), and the lower triangle of Σ w_n (x_n − c)(x_n − c)ᵀ to `second` (D, D), in row-major order,
    /// as far as rows have come together; [`flush`](Self::flush) adds the rest. What stands above the diagonal means nothing.
    pub(crate) fn add(&mut self, mut rows: Weighted<'_>, first: &mut [f64], second: &mut [f64]) {
        self.dim = rows.centre.len();
        self.v.resize(CAPACITY * self.dim.next_multiple_of(LANES));
        while !rows.rows.is_empty() {
            let count = rows.rows.len().min(CAPACITY - self.rows);
            let now = Weighted { rows: &rows.rows[..count], roots: &rows.roots[..count], ..rows };
            rows = Weighted { rows: &rows.rows[count..], roots: &rows.roots[count..], ..rows };
            super::run(Gather { from: now, to: self.rows, v: self.v.get_mut(), first: &mut *first });
            self.rows += count;
            if self.rows == CAPACITY {
                self.flush(second);
            }
        }
    }

    /// Adds what has not been added yet.
    pub(crate) fn flush(&mut self, second: &mut [f64]) {
        let rows = std::mem::take(&mut self.rows);
        if rows > 0 {
            super::run(OuterProducts { v: self.v.get(), stride: CAPACITY, rows, sums: second, dim: self.dim });
        }
    }
}

/// v_n = √w_n (x_n − c) written to the strips, and Σ_n w_n (x_n − c).
pub(super) struct Gather<'a> {
    pub(super) from: Weighted<'a>,
    /// The row of V that the first row becomes.
    pub(super) to: usize,
    /// V; columns from D on become 0.
    pub(super) v: &'a mut [f64],
    pub(super) first: &'a mut [f64],
}

/// Strips at once: each sum waits for the one before it, so there must be several.
const TOGETHER: usize = 4;

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let whole = self.from.centre.len() / LANES;
        let first = self.first;
        let v = self.v.as_chunks_mut::<LANES>().0;
        for (index, v) in v.chunks_mut(TOGETHER * CAPACITY).enumerate() {
            let strip = index * TOGETHER;
            if strip + TOGETHER <= whole {
                whole_strips::<S, TOGETHER>(simd, self.from, (v, self.to), strip, first);
                continue;
            }
            for (v, strip) in v.chunks_exact_mut(CAPACITY).zip(strip..) {
                if strip < whole {
                    whole_strips::<S, 1>(simd, self.from, (v, self.to), strip, first);
                } else {
                    last_strip::<S>(self.from, &mut v[self.to..], first);
                }
            }
        }
    }
}

/// T strips from number `strip` on, from row `to` on.
#[inline(always)]
fn whole_strips<S: Simd, const T: usize>(
    simd: S,
    from: Weighted<'_>,
    (v, to): (&mut [[f64; LANES]], usize),
    strip: usize,
    first: &mut [f64],
) {
    let dim = from.centre.len();
    let columns = strip * LANES..(strip + T) * LANES;
    let first = super::vectors_mut::<S>(&mut first[columns.clone()]);
    let centre = super::vectors::<S>(&from.centre[columns]);
    let mut strips = v.chunks_exact_mut(CAPACITY);
    let v: [&mut [[f64; LANES]]; T] = std::array::from_fn(|_| match strips.next() {
        Some(strip) => &mut strip[to..to + from.rows.len()],
        None => &mut [],
    });
    // a strip has LANES / F64_LANES vectors a row
    let parts = LANES / S::F64_LANES;
    for part in 0..parts {
        let c: [S::f64s; T] = std::array::from_fn(|t| centre[t * parts + part]);
        let mut sums = [simd.splat_f64s(0.0); T];
        for (i, (&row, &root)) in from.rows.iter().zip(from.roots).enumerate() {
            let x = super::vectors::<S>(&from.x[row as usize * dim + strip * LANES..][..T * LANES]);
            let root = simd.splat_f64s(root);
            for t in 0..T {
                let value = simd.mul_f64s(root, simd.sub_f64s(x[t * parts + part], c[t]));
                super::vectors_mut::<S>(&mut v[t][i])[part] = value;
                sums[t] = simd.mul_add_e_f64s(root, value, sums[t]);
            }
        }
        for t in 0..T {
            let first = &mut first[t * parts + part];
            *first = simd.add_f64s(*first, sums[t]);
        }
    }
}

/// The last strip when it has fewer than eight columns.
#[inline(always)]
fn last_strip<S: Simd>(from: Weighted<'_>, v: &mut [[f64; LANES]], first: &mut [f64]) {
    let dim = from.centre.len();
    let begin = dim - dim % LANES;
    let (centre, first) = (&from.centre[begin..], &mut first[begin..]);
    for ((v, &row), &root) in v.iter_mut().zip(from.rows).zip(from.roots) {
        let x = &from.x[row as usize * dim + begin..][..dim - begin];
        *v = [0.0; LANES];
        for (((v, x), c), first) in v.iter_mut().zip(x).zip(centre).zip(&mut *first) {
            *v = root * (x - c);
            *first = super::mul_add::<S>(root, *v, *first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::Scalar;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn sums_are_those_of_the_formulas(
            dim in prop_oneof![1usize..=10, 15usize..=17, 23usize..=25, 31usize..=34, 47usize..=49, 71usize..=73, 95usize..=97, 103usize..=105, 191usize..=194],
            n in prop_oneof![1usize..4, 30usize..34, 126usize..131, 255usize..258],
            step in 1usize..3,
            scalar: bool,
            seed in 0u32..1000,
        ) {
            let number = |i: usize| ((i as f64 + 0.1) * (1.0 + f64::from(seed))).sin();
            let x: Vec<f64> = (0..n * dim).map(number).collect();
            let rows: Vec<u32> = (0..n as u32).step_by(step).collect();
            let roots: Vec<f64> = rows.iter().map(|&n| 0.5 + f64::from(n % 3)).collect();
            let centre: Vec<f64> = (0..dim).map(|j| 0.1 * number(j + 7)).collect();
            let (mut first, mut second) = (vec![1.0; dim], vec![2.0; dim * dim]);
            let all = Weighted { x: &x, rows: &rows, roots: &roots, centre: &centre };
            if scalar {
                for (rows, roots) in rows.chunks(CAPACITY).zip(roots.chunks(CAPACITY)) {
                    let mut v = vec![f64::NAN; CAPACITY * dim.next_multiple_of(LANES)];
                    Gather { from: Weighted { rows, roots, ..all }, to: 0, v: &mut v, first: &mut first }.with_simd(Scalar);
                    OuterProducts { v: &v, stride: CAPACITY, rows: rows.len(), sums: &mut second, dim }.with_simd(Scalar);
                }
            } else {
                // in two parts, the first of any length
                let (mut strips, cut) = (Strips::default(), rows.len() / 3);
                strips.add(Weighted { rows: &rows[..cut], roots: &roots[..cut], ..all }, &mut first, &mut second);
                strips.add(Weighted { rows: &rows[cut..], roots: &roots[cut..], ..all }, &mut first, &mut second);
                strips.flush(&mut second);
                strips.flush(&mut second);
            }
            // a rounding for each term and two for each factor, each at most ε of the sum of magnitudes
            let close = |found: f64, start: f64, terms: &mut dyn Iterator<Item = f64>| {
                let (sum, size) = terms.fold((start, start), |(sum, size), t| (sum + t, size + t.abs()));
                (found - sum).abs() <= (2.0 * n as f64 + 8.0) * f64::EPSILON * size
            };
            for i in 0..dim {
                let y = |n: u32, j: usize| x[n as usize * dim + j] - centre[j];
                prop_assert!(close(first[i], 1.0, &mut rows.iter().zip(&roots).map(|(&n, r)| r * r * y(n, i))));
                for j in 0..=i {
                    let mut terms = rows.iter().zip(&roots).map(|(&n, r)| r * r * y(n, i) * y(n, j));
                    prop_assert!(close(second[i * dim + j], 2.0, &mut terms), "({}, {})", i, j);
                }
            }
        }
    }
}
