//! Sums of outer products of whole numbers, exact, in 16-bit arithmetic: at up to four times the rate of double precision.
//!
//! One instruction multiplies two pairs of 16-bit numbers and adds both products, in each lane of 32 bits: the sums of two rows at once.
//! With numbers of magnitude [`REACH`] at most, the sums of [`CAPACITY`] rows stay within 32 bits; before they could leave them they go to
//! f64, which holds all whole numbers below 2⁵³: five hundred million rows of the largest numbers don't reach it.

mod products;

use super::Scratch;
use products::OuterProducts;
use pulp::{Simd, WithSimd};

/// Numbers of a row in a strip: sums in the widest vector.
const STRIP: usize = 16;
/// Rows gathered: with 784 columns they still fit in the second-level cache.
const CAPACITY: usize = 128;
/// Pairs of rows in a strip.
const PAIRS: usize = CAPACITY / 2;
/// Sums of the products of two strips: those of each column of the first one after another.
const TILE: usize = STRIP * STRIP;
/// What 32 bits with a sign hold all whole numbers up to.
const EXACT: u64 = i32::MAX as u64;
/// The largest distance of a number from the centre: its square times CAPACITY is within EXACT.
pub(crate) const REACH: f64 = 4095.0;
/// Added to a number of at most [`LARGEST`], it makes one whose last bit counts ones.
const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;
/// Beyond it whole numbers are not told from others.
const LARGEST: f64 = (1_u64 << 51) as f64;

/// The rows of a strip, two by two: the even row in the lower half of each number, the odd one in the upper half.
type Strip = [[u32; STRIP]; PAIRS];

/// Σ (x − c) and Σ (x − c)(x − c)ᵀ over rows of D numbers, with rows whose outer products are still to be added, and sums that are still
/// to be folded.
#[derive(Debug)]
pub(crate) struct WholeStrips {
    /// c (D), whole numbers.
    centre: Vec<f64>,
    /// Σ (x − c) (D).
    first: Vec<f64>,
    rows: usize,
    /// The largest |x − c| among the rows gathered.
    largest: u64,
    /// What no sum in 32 bits exceeds.
    reached: u64,
    v: Scratch<u32>,
    /// Sums in two's complement, strip by strip, for each those of its products with the strips up to itself: in the order of the loops, so
    /// that they are read ahead.
    sums: Scratch<u32>,
    /// What was folded (D, D); empty until there is something.
    folded: Vec<f64>,
}

impl WholeStrips {
    /// Whether the processor has the instructions: without them, double precision is faster.
    pub(crate) fn are_fast() -> bool {
        products::are_fast()
    }

    pub(crate) fn about(centre: &[f64]) -> Self {
        let strips = centre.len().div_ceil(STRIP);
        let (mut v, mut sums) = (Scratch::default(), Scratch::default());
        v.resize(strips * PAIRS * STRIP);
        sums.zeros(strips * (strips + 1) / 2 * TILE);
        WholeStrips {
            centre: centre.to_vec(),
            first: vec![0.0; centre.len()],
            rows: 0,
            largest: 0,
            reached: 0,
            v,
            sums,
            folded: Vec::new(),
        }
    }

    /// Adds rows, one after another in `x`. Where a number is not whole or is farther than [`REACH`] from the centre the answer is false,
    /// and the sums mean nothing from then on.
    #[must_use]
    pub(crate) fn add(&mut self, x: &[f64]) -> bool {
        let dim = self.centre.len();
        // then no number within REACH is beyond LARGEST
        if !self.centre.iter().all(|c| c.abs() <= 0.5 * LARGEST) {
            return false;
        }
        let mut rest = x;
        while !rest.is_empty() {
            let count = (rest.len() / dim).min(CAPACITY - self.rows);
            let now;
            (now, rest) = rest.split_at(count * dim);
            let gather = Gather { x: now, rows: count, centre: &self.centre, to: self.rows, v: self.v.get_mut(), first: &mut self.first };
            let Some(largest) = super::run(gather) else { return false };
            self.largest = self.largest.max(largest);
            self.rows += count;
            if self.rows == CAPACITY {
                self.multiply();
            }
        }
        true
    }

    /// Adds the sums of other rows about the same centre.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.multiply();
        other.multiply();
        self.first.iter_mut().zip(&other.first).for_each(|(a, b)| *a += b);
        if self.reached + other.reached > EXACT {
            self.fold();
        }
        self.reached += other.reached;
        self.sums.get_mut().iter_mut().zip(other.sums.get()).for_each(|(a, b)| *a = a.wrapping_add(*b));
        if self.folded.is_empty() {
            self.folded = other.folded;
        } else {
            self.folded.iter_mut().zip(&other.folded).for_each(|(a, b)| *a += b);
        }
    }

    /// Σ (x − c) (D), and Σ (x − c)(x − c)ᵀ (D, D) in row-major order, the lower triangle.
    pub(crate) fn finish(mut self) -> (Vec<f64>, Vec<f64>) {
        self.multiply();
        self.fold();
        (self.first, self.folded)
    }

    /// Adds the products of the rows gathered.
    fn multiply(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let largest = std::mem::take(&mut self.largest);
        let more = rows as u64 * largest * largest;
        if self.reached + more > EXACT {
            self.fold();
        }
        self.reached += more;
        OuterProducts { v: self.v.get(), pairs: rows.div_ceil(2), sums: self.sums.get_mut() }.run();
    }

    /// Adds the sums in 32 bits to those in f64 and begins them anew.
    fn fold(&mut self) {
        let dim = self.centre.len();
        self.reached = 0;
        self.folded.resize(dim * dim, 0.0);
        let mut rest = self.sums.get_mut();
        for (strip, lines) in self.folded.chunks_mut(STRIP * dim).enumerate() {
            let tiles;
            (tiles, rest) = rest.split_at_mut((strip + 1) * TILE);
            for (h, line) in lines.chunks_exact_mut(dim).enumerate() {
                for (line, tile) in line.chunks_mut(STRIP).zip(tiles.chunks_exact(TILE)) {
                    line.iter_mut().zip(&tile[h * STRIP..]).for_each(|(folded, sum)| *folded += f64::from(sum.cast_signed()));
                }
            }
            tiles.fill(0);
        }
    }
}

/// x − c written to the strips, and the sums of each column in f64; the largest |x − c|, if all numbers are whole and near enough.
struct Gather<'a> {
    x: &'a [f64],
    rows: usize,
    centre: &'a [f64],
    to: usize,
    v: &'a mut [u32],
    first: &'a mut [f64],
}

impl WithSimd for Gather<'_> {
    type Output = Option<u64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<u64> {
        let dim = self.centre.len();
        let mut seen = Seen { largest: [0.0; STRIP], off: [0.0; STRIP] };
        for (index, strip) in self.v.as_chunks_mut::<STRIP>().0.chunks_exact_mut(PAIRS).enumerate() {
            let begin = index * STRIP;
            let end = (begin + STRIP).min(dim);
            let (x, centre, first) = (&self.x[begin..], &self.centre[begin..end], &mut self.first[begin..end]);
            let rows = (self.to, self.rows);
            if end - begin == STRIP {
                seen.gather(x, dim, strip, rows, centre, first, |x| x.first_chunk().copied().unwrap_or_default());
            } else {
                seen.gather(x, dim, strip, rows, centre, first, |x| std::array::from_fn(|l| x.get(l).copied().unwrap_or_default()));
            }
        }
        let largest = seen.largest.iter().fold(0.0, |m: f64, v| m.max(*v));
        // what can't be used makes the sum of one column NaN or more than 0, whatever its largest number seems to be
        (largest <= REACH && seen.off.iter().all(|off| *off == 0.0)).then_some(largest as u64)
    }
}

/// What has been seen in each column of the strips.
struct Seen {
    /// The largest |x − c|.
    largest: [f64; STRIP],
    /// Σ |x − the nearest whole number|.
    off: [f64; STRIP],
}

impl Seen {
    /// One strip; `load` takes its numbers from the front of a slice.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn gather(
        &mut self,
        x: &[f64],
        dim: usize,
        strip: &mut [[u32; STRIP]],
        (to, rows): (usize, usize),
        centre: &[f64],
        first: &mut [f64],
        load: impl Fn(&[f64]) -> [f64; STRIP],
    ) {
        let columns = first.len();
        let centre = load(centre);
        let mut sum = load(first);
        let (mut largest, mut off) = (self.largest, self.off);
        for (row, x) in (to..to + rows).zip(x.chunks(dim)) {
            let x = load(&x[..columns]);
            let mut number = [0; STRIP];
            for l in 0..STRIP {
                let y = x[l] - centre[l];
                off[l] += ((x[l] + WHOLE) - WHOLE - x[l]).abs();
                sum[l] += y;
                largest[l] = largest[l].max(y.abs());
                // the last bits of y + WHOLE are those of y in two's complement
                number[l] = (y + WHOLE).to_bits() as u32;
            }
            let pair = &mut strip[row / 2];
            if row.is_multiple_of(2) {
                (0..STRIP).for_each(|l| pair[l] = number[l] & 0xffff);
            } else {
                (0..STRIP).for_each(|l| pair[l] |= number[l] << 16);
            }
        }
        (self.largest, self.off) = (largest, off);
        first.copy_from_slice(&sum[..columns]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::{NullaryFnOnce, Scalar};

    /// The sums, one number after another.
    fn sums(x: &[f64], centre: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let dim = centre.len();
        let (mut first, mut second) = (vec![0.0; dim], vec![0.0; dim * dim]);
        for row in x.chunks(dim) {
            for i in 0..dim {
                first[i] += row[i] - centre[i];
                (0..=i).for_each(|j| second[i * dim + j] += (row[i] - centre[i]) * (row[j] - centre[j]));
            }
        }
        (first, second)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn sums_are_exact(
            dim in prop_oneof![1usize..=10, 15usize..=17, 31usize..=34, 47usize..=49, 63usize..=66],
            n in prop_oneof![1usize..4, 126usize..131, 255usize..258, Just(700usize)],
            largest in prop_oneof![Just(0_i64), Just(1), Just(16), Just(255), Just(4095)],
            sparse: bool,
            scalar: bool,
            seed in 0u32..1000,
        ) {
            let number = |i: usize| {
                let z = (u64::from(seed) << 32 | i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
                if sparse && !z.is_multiple_of(5) { 0 } else { z as i64 % (2 * largest + 1) - largest }
            };
            let centre: Vec<f64> = (0..dim).map(|j| (j as f64 - 3.0) * 1000.0).collect();
            let x: Vec<f64> = (0..n * dim).map(|i| number(i) as f64 + centre[i % dim]).collect();
            let expected = sums(&x, &centre);
            let mut strips = WholeStrips::about(&centre);
            let (first, second) = if scalar {
                for x in x.chunks(CAPACITY * dim) {
                    let rows = x.len() / dim;
                    let gather = Gather { x, rows, centre: &centre, to: 0, v: strips.v.get_mut(), first: &mut strips.first };
                    prop_assert!(gather.with_simd(Scalar).is_some_and(|m| m <= largest as u64));
                    OuterProducts { v: strips.v.get(), pairs: rows.div_ceil(2), sums: strips.sums.get_mut() }.on(Scalar).call();
                    strips.fold();
                }
                strips.finish()
            } else {
                let (cut, end) = (n / 3 * dim, n / 2 * dim);
                let mut later = WholeStrips::about(&centre);
                prop_assert!(strips.add(&x[..cut]) && strips.add(&x[cut..end]) && later.add(&x[end..]));
                strips.merge(later);
                strips.finish()
            };
            prop_assert_eq!(first, expected.0);
            for i in 0..dim {
                prop_assert_eq!(&second[i * dim..][..=i], &expected.1[i * dim..][..=i], "row {}", i);
            }
        }
    }

    #[test]
    fn the_largest_numbers_add_up_without_overflow() {
        for rows in [CAPACITY, CAPACITY + 1, 9 * CAPACITY + 1] {
            let x: Vec<f64> = (0..rows).flat_map(|_| [REACH, -REACH]).collect();
            let of = |rows: &[f64]| {
                let mut strips = WholeStrips::about(&[0.0, 0.0]);
                assert!(strips.add(rows));
                strips
            };
            let square = REACH * REACH * rows as f64;
            let lower = |strips: WholeStrips| {
                let sums = strips.finish().1;
                [sums[0], sums[2], sums[3]]
            };
            assert_eq!(lower(of(&x)), [square, -square, square]);
            // rows of one, of both and of neither have been folded when two come together
            let mut both = of(&x);
            both.merge(of(&x));
            both.merge(of(&x[..2]));
            let square = REACH * REACH * (2 * rows + 1) as f64;
            assert_eq!(lower(both), [square, -square, square]);
        }
    }

    #[test]
    fn what_is_not_whole_or_too_far_is_told() {
        for bad in [0.5, 1e-300, 4097.0, -4097.0, f64::NAN, f64::INFINITY, 1e200, 2f64.powi(52) + 1.0] {
            for place in [0, 17, 18 * 40 - 1] {
                let mut x = vec![1.0; 18 * 40];
                x[place] = bad;
                assert!(!WholeStrips::about(&[0.0; 18]).add(&x), "{bad} at {place}");
            }
        }
        for far in [2f64.powi(51), -1e300, f64::NAN] {
            assert!(!WholeStrips::about(&[far]).add(&[far]), "{far}");
        }
    }
}
