//! The products of pairs of 16-bit numbers, with the instructions that the processor has.

use super::{PAIRS, STRIP, Strip, TILE};
use pulp::{Arch, NullaryFnOnce, Scalar, Simd};

/// Whether the processor has the instructions.
pub(super) fn are_fast() -> bool {
    !matches!(instructions(), Instructions::None)
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

/// Adds the lower triangle of Σ_n v_n v_nᵀ, as `simd::OuterProducts` does in f64; pairs of rows in which the columns of a tile are all zero
/// are passed over.
pub(super) struct OuterProducts<'a> {
    /// Strips of sixteen columns; columns from D on are 0.
    pub(super) v: &'a [u32],
    pub(super) pairs: usize,
    pub(super) sums: &'a mut [u32],
}

/// The products with the instructions at hand.
pub(super) struct On<'a, S>(OuterProducts<'a>, S);

impl<S: PairProducts> NullaryFnOnce for On<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // as in f64
        if S::REGISTER_COUNT >= 32 { self.0.lower::<S, 8, 3>(self.1) } else { self.0.lower::<S, 4, 2>(self.1) }
    }
}

impl<'a> OuterProducts<'a> {
    /// Adds them with the instructions at hand.
    pub(super) fn run(self) {
        match instructions() {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(simd) => Simd::vectorize(simd, self.on(simd)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(simd) => Simd::vectorize(simd, self.on(simd)),
            Instructions::None => self.on(Scalar).call(),
        }
    }

    pub(super) fn on<S>(self, simd: S) -> On<'a, S> {
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
