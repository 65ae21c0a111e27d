//! Sums of outer products of whole numbers, exact, in single precision: at twice the rate of double.
//!
//! Numbers of magnitude [`REACH`] at most have products of which f32 holds the sum of [`CAPACITY`] exactly; sums go to f64 before they could
//! leave the whole numbers that f32 holds, those below 2²⁴. f64 holds theirs below 2⁵³, which more rows than memory has don't reach.

use super::Scratch;
use super::single_strips::{Fold, OuterProducts, STRIP};
use super::strips::CAPACITY;
use pulp::{Simd, WithSimd};

/// What f32 holds all whole numbers up to.
const EXACT: u32 = 1 << 24;
/// The largest distance of a number from the centre: its square times CAPACITY is within EXACT.
pub(crate) const REACH: f64 = 362.0;
/// Added to a number of at most [`LARGEST`], it makes one whose last bit counts ones.
const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;
/// Beyond it whole numbers are not told from others.
const LARGEST: f64 = (1_u64 << 50) as f64;

/// Rows v_n = x_n − c whose outer products are still to be added, and sums that are still to be folded.
#[derive(Debug, Default)]
pub(crate) struct WholeStrips {
    dim: usize,
    rows: usize,
    /// The largest |v| among the rows gathered.
    largest: u32,
    /// What no sum in f32 exceeds.
    reached: u32,
    v: Scratch<f32>,
    sums: Scratch<f32>,
}

impl WholeStrips {
    /// Adds Σ (x − c) to `first` (D) and the lower triangle of Σ (x − c)(x − c)ᵀ to `second` (D, D) in row-major order, for rows of D numbers
    /// one after another, as far as they have come together; [`flush`](Self::flush) adds the rest. Where a number is not whole or is
    /// farther than [`REACH`] from the centre the answer is false, and the sums mean nothing from then on. The centre is whole.
    #[must_use]
    pub(crate) fn add(&mut self, x: &[f64], centre: &[f64], first: &mut [f64], second: &mut [f64]) -> bool {
        let padded = centre.len().next_multiple_of(STRIP);
        if self.dim != centre.len() {
            self.dim = centre.len();
            self.v.resize(CAPACITY * padded);
            self.sums.zeros(padded * padded);
        }
        let mut rest = x;
        while !rest.is_empty() {
            let count = (rest.len() / self.dim).min(CAPACITY - self.rows);
            let now;
            (now, rest) = rest.split_at(count * self.dim);
            let gathered = super::run(Gather { x: now, rows: count, centre, to: self.rows, v: self.v.get_mut(), first: &mut *first });
            let Some(largest) = gathered else { return false };
            self.largest = self.largest.max(largest as u32);
            self.rows += count;
            if self.rows == CAPACITY {
                self.multiply(second);
            }
        }
        true
    }

    /// Adds what has not been added to `second` yet.
    pub(crate) fn flush(&mut self, second: &mut [f64]) {
        if self.rows > 0 {
            self.multiply(second);
        }
        if self.reached > 0 {
            self.fold(second);
        }
    }

    fn multiply(&mut self, second: &mut [f64]) {
        let rows = std::mem::take(&mut self.rows);
        let largest = std::mem::take(&mut self.largest);
        let more = rows as u32 * largest * largest;
        if self.reached + more > EXACT {
            self.fold(second);
        }
        self.reached += more;
        let padded = self.dim.next_multiple_of(STRIP);
        super::run(OuterProducts::<true> { v: self.v.get(), rows, sums: self.sums.get_mut(), padded });
    }

    fn fold(&mut self, second: &mut [f64]) {
        self.reached = 0;
        super::run(Fold { sums: self.sums.get_mut(), padded: self.dim.next_multiple_of(STRIP), second, dim: self.dim });
    }
}

/// x − c written to the strips, and the sums of each column in f64; the largest |x − c|, if all numbers are whole and near enough.
struct Gather<'a> {
    x: &'a [f64],
    rows: usize,
    centre: &'a [f64],
    to: usize,
    v: &'a mut [f32],
    first: &'a mut [f64],
}

impl WithSimd for Gather<'_> {
    type Output = Option<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<f32> {
        let dim = self.centre.len();
        let mut seen = Seen { largest: [0.0; STRIP], usable: [true; STRIP] };
        for (index, strip) in self.v.as_chunks_mut::<STRIP>().0.chunks_exact_mut(CAPACITY).enumerate() {
            let begin = index * STRIP;
            let end = (begin + STRIP).min(dim);
            let strip = &mut strip[self.to..self.to + self.rows];
            let (x, centre, first) = (&self.x[begin..], &self.centre[begin..end], &mut self.first[begin..end]);
            if end - begin == STRIP {
                seen.gather(x, dim, strip, centre, first, |x| x.first_chunk().copied().unwrap_or_default());
            } else {
                seen.gather(x, dim, strip, centre, first, |x| std::array::from_fn(|l| x.get(l).copied().unwrap_or_default()));
            }
        }
        let usable = seen.usable.iter().all(|u| *u);
        usable.then(|| seen.largest.iter().fold(0.0, |m: f32, v| m.max(*v)))
    }
}

/// What has been seen in each column of the strips.
struct Seen {
    largest: [f32; STRIP],
    usable: [bool; STRIP],
}

impl Seen {
    /// One strip; `load` takes its numbers from the front of a slice.
    #[inline(always)]
    fn gather(
        &mut self,
        x: &[f64],
        dim: usize,
        strip: &mut [[f32; STRIP]],
        centre: &[f64],
        first: &mut [f64],
        load: impl Fn(&[f64]) -> [f64; STRIP],
    ) {
        let columns = first.len();
        let centre = load(centre);
        let mut sum = load(first);
        let (mut largest, mut usable) = (self.largest, self.usable);
        for (v, x) in strip.iter_mut().zip(x.chunks(dim)) {
            let x = load(&x[..columns]);
            for l in 0..STRIP {
                let y = x[l] - centre[l];
                let whole = (x[l] + WHOLE) - WHOLE == x[l];
                usable[l] &= whole & (x[l].abs() <= LARGEST) & (y.abs() <= REACH);
                sum[l] += y;
                v[l] = y as f32;
                largest[l] = largest[l].max(v[l].abs());
            }
        }
        (self.largest, self.usable) = (largest, usable);
        first.copy_from_slice(&sum[..columns]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::Scalar;

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
            largest in prop_oneof![Just(0_i64), Just(1), Just(16), Just(255), Just(362)],
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
            let (mut first, mut second) = (vec![0.0; dim], vec![0.0; dim * dim]);
            if scalar {
                let padded = dim.next_multiple_of(STRIP);
                for x in x.chunks(CAPACITY * dim) {
                    let (mut v, mut single, rows) = (vec![f32::NAN; CAPACITY * padded], vec![0.0; padded * padded], x.len() / dim);
                    let gather = Gather { x, rows, centre: &centre, to: 0, v: &mut v, first: &mut first };
                    prop_assert!(gather.with_simd(Scalar).is_some_and(|m| m <= largest as f32));
                    OuterProducts::<true> { v: &v, rows, sums: &mut single, padded }.with_simd(Scalar);
                    Fold { sums: &mut single, padded, second: &mut second, dim }.with_simd(Scalar);
                }
            } else {
                let (mut strips, cut) = (WholeStrips::default(), n / 3 * dim);
                prop_assert!(strips.add(&x[..cut], &centre, &mut first, &mut second));
                prop_assert!(strips.add(&x[cut..], &centre, &mut first, &mut second));
                strips.flush(&mut second);
                strips.flush(&mut second);
            }
            let expected = sums(&x, &centre);
            prop_assert_eq!(first, expected.0);
            for i in 0..dim {
                prop_assert_eq!(&second[i * dim..][..=i], &expected.1[i * dim..][..=i], "row {}", i);
            }
        }
    }

    #[test]
    fn the_largest_numbers_add_up_without_rounding() {
        // odd sums near 2²⁴ would lose their last bit in f32
        let x = vec![361.0; 128 * 9 + 1];
        let (mut first, mut second) = ([0.0], [0.0]);
        let mut strips = WholeStrips::default();
        assert!(strips.add(&x, &[0.0], &mut first, &mut second));
        strips.flush(&mut second);
        assert_eq!(second[0], 361.0 * 361.0 * x.len() as f64);
    }

    #[test]
    fn what_is_not_whole_or_too_far_is_told() {
        for bad in [0.5, 1e-300, 363.0, -363.0, f64::NAN, f64::INFINITY, 1e200, 2f64.powi(52) + 1.0] {
            for place in [0, 17, 18 * 40 - 1] {
                let mut x = vec![1.0; 18 * 40];
                x[place] = bad;
                let (mut first, mut second) = (vec![0.0; 18], vec![0.0; 18 * 18]);
                assert!(!WholeStrips::default().add(&x, &[0.0; 18], &mut first, &mut second), "{bad} at {place}");
            }
        }
    }
}
