//! Sums of outer products of whole numbers, exact, in 16-bit arithmetic: at three to four times the rate of double precision.
//!
//! One instruction multiplies two pairs of 16-bit numbers and adds both products, in each lane of 32 bits: the sums of two rows at once.
//! With numbers of magnitude [`REACH`] at most, the sums of [`CAPACITY`] rows stay within 32 bits; before they could leave them they go to
//! f64, which holds all whole numbers below 2⁵³: more rows than memory has don't reach it.

use super::Scratch;
use pulp::{Arch, NullaryFnOnce, Scalar, Simd, WithSimd};

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
        !matches!(instructions(), Instructions::None)
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
            let gather =
                Gather { x: now, rows: count, centre: &self.centre, to: self.rows, v: self.v.get_mut(), first: &mut self.first };
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
        let products = OuterProducts { v: self.v.get(), pairs: rows.div_ceil(2), sums: self.sums.get_mut() };
        match instructions() {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(simd) => Simd::vectorize(simd, products.on(simd)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(simd) => Simd::vectorize(simd, products.on(simd)),
            Instructions::None => products.on(Scalar).call(),
        }
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

/// Those that the running processor has.
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    None,
}

fn instructions() -> Instructions {
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => Instructions::Avx512(simd),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => Instructions::Avx2(simd),
        _ => Instructions::None,
    }
}

/// Products of pairs of 16-bit numbers.
trait PairProducts: Simd {
    /// sums + a_even b_even + a_odd b_odd in each lane.
    fn add_products(self, sums: Self::u32s, a: Self::u32s, b: Self::u32s) -> Self::u32s;
}

#[cfg(target_arch = "x86_64")]
impl PairProducts for pulp::x86::V4 {
    #[inline(always)]
    fn add_products(self, sums: Self::u32s, a: Self::u32s, b: Self::u32s) -> Self::u32s {
        let products = self.avx512bw._mm512_madd_epi16(pulp::cast(a), pulp::cast(b));
        self.add_u32s(sums, pulp::cast(products))
    }
}

#[cfg(target_arch = "x86_64")]
impl PairProducts for pulp::x86::V3 {
    #[inline(always)]
    fn add_products(self, sums: Self::u32s, a: Self::u32s, b: Self::u32s) -> Self::u32s {
        let products = self.avx2._mm256_madd_epi16(pulp::cast(a), pulp::cast(b));
        self.add_u32s(sums, pulp::cast(products))
    }
}

impl PairProducts for Scalar {
    #[inline(always)]
    fn add_products(self, sums: u32, a: u32, b: u32) -> u32 {
        let [even, odd] = [|v: u32| i32::from(v as i16), |v: u32| i32::from((v >> 16) as i16)];
        sums.wrapping_add((even(a) * even(b) + odd(a) * odd(b)).cast_unsigned())
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

/// Adds the lower triangle of Σ_n v_n v_nᵀ, as `simd::OuterProducts` does in f64; pairs of rows in which the columns of a tile are all zero
/// are passed over.
struct OuterProducts<'a> {
    /// Strips of sixteen columns; columns from D on are 0.
    v: &'a [u32],
    pairs: usize,
    sums: &'a mut [u32],
}

/// The products with the instructions at hand.
struct On<'a, S>(OuterProducts<'a>, S);

impl<S: PairProducts> NullaryFnOnce for On<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // as in f64
        if S::REGISTER_COUNT >= 32 { self.0.lower::<S, 8, 3>(self.1) } else { self.0.lower::<S, 4, 2>(self.1) }
    }
}

impl<'a> OuterProducts<'a> {
    fn on<S>(self, simd: S) -> On<'a, S> {
        On(self, simd)
    }

    #[inline(always)]
    fn lower<S: PairProducts, const H: usize, const W: usize>(self, simd: S) {
        let strips: &[Strip] = self.v.as_chunks::<STRIP>().0.as_chunks::<PAIRS>().0;
        let mut present = Present::default();
        let mut rest = self.sums;
        for (i, b) in strips.iter().enumerate() {
            let sums;
            (sums, rest) = rest.split_at_mut((i + 1) * TILE);
            present.find::<H>(b, self.pairs);
            for j in (0..=i).step_by(W) {
                let to = Tiles { b, present: &present, sums: &mut sums[j * TILE..] };
                match i + 1 - j {
                    1 => to.add::<S, H, 1>(simd, [&strips[j]]),
                    2 => to.add::<S, H, 2>(simd, [&strips[j], &strips[j + 1]]),
                    _ => to.add::<S, H, W>(simd, std::array::from_fn(|w| &strips[j + w])),
                }
            }
        }
    }
}

/// The pairs of rows in which H columns of a strip are not all zero, for each H columns of it.
struct Present {
    pairs: [[u8; PAIRS]; STRIP],
    count: [usize; STRIP],
}

impl Default for Present {
    fn default() -> Self {
        Present { pairs: [[0; PAIRS]; STRIP], count: [0; STRIP] }
    }
}

impl Present {
    #[inline(always)]
    fn find<const H: usize>(&mut self, strip: &Strip, pairs: usize) {
        for (group, (list, count)) in self.pairs.iter_mut().zip(&mut self.count).take(STRIP / H).enumerate() {
            let mut next = 0;
            for (pair, numbers) in strip.iter().enumerate().take(pairs) {
                // written always and kept if there is anything, lest the processor guess wrong
                list[next % PAIRS] = pair as u8;
                next += usize::from(numbers[group * H..][..H].iter().fold(0, |any, v| any | v) != 0);
            }
            *count = next;
        }
    }

    #[inline(always)]
    fn pairs(&self, group: usize) -> &[u8] {
        &self.pairs[group][..self.count[group]]
    }
}

/// Sums of the rows of one strip.
struct Tiles<'a> {
    b: &'a Strip,
    present: &'a Present,
    /// Those with the strips from the first one of `a` on.
    sums: &'a mut [u32],
}

impl Tiles<'_> {
    /// Adds Σ_n b_n a_nᵀ for W strips.
    #[inline(always)]
    fn add<S: PairProducts, const H: usize, const W: usize>(self, simd: S, a: [&Strip; W]) {
        for top in (0..STRIP).step_by(H) {
            for part in 0..STRIP / S::U32_LANES {
                let tile = tile::<S, H, W>(simd, self.b, a, self.present.pairs(top / H), (top, part));
                for (h, line) in tile.iter().enumerate() {
                    for (sums, &value) in self.sums.chunks_exact_mut(TILE).zip(line) {
                        let sum = &mut S::as_mut_simd_u32s(&mut sums[(top + h) * STRIP..][..STRIP]).0[part];
                        *sum = simd.add_u32s(*sum, value);
                    }
                }
            }
        }
    }
}

/// H rows of b by W vectors, one vector of each strip a.
#[inline(always)]
fn tile<S: PairProducts, const H: usize, const W: usize>(
    simd: S,
    b: &Strip,
    a: [&Strip; W],
    pairs: &[u8],
    (top, part): (usize, usize),
) -> [[S::u32s; W]; H] {
    let mut sums = [[simd.splat_u32s(0); W]; H];
    for &pair in pairs {
        // what the compiler can see of it: no index is checked
        let pair = usize::from(pair) % PAIRS;
        let x: [S::u32s; W] = std::array::from_fn(|w| S::as_simd_u32s(&a[w][pair]).0[part]);
        let y = &b[pair][top..top + H];
        for h in 0..H {
            let y = simd.splat_u32s(y[h]);
            for w in 0..W {
                sums[h][w] = simd.add_products(sums[h][w], y, x[w]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            assert_eq!(of(&x).finish().1[..3], [square, 0.0, -square]);
            // rows of one, of both and of neither have been folded when two come together
            let mut both = of(&x);
            both.merge(of(&x));
            both.merge(of(&x[..2]));
            let square = REACH * REACH * (2 * rows + 1) as f64;
            assert_eq!(both.finish().1, [square, 0.0, -square, square]);
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
