//! Exponential, logarithm and what is made of them, in forms that the compiler turns into vector instructions.

use super::lanes::{LANES, Lanes};
use crate::optimizer::adam::Update;
use pulp::Simd;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// f32 or f64.
pub(in crate::train) trait Real:
    Update
    + Into<f64>
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
{
    const ZERO: Self;
    const ONE: Self;
    const HALF: Self;
    /// Below this a number is far from overflow, and for f64 its square is too.
    const CERTAIN: f64;

    fn of(value: f64) -> Self;
    /// As f64.
    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }

    fn abs(self) -> Self;
    fn ln_1p(self) -> Self;

    /// a b + c, fused where the processor does it; without such an instruction it would be a call into the C library.
    fn multiply_add<S: Simd>(a: Self, b: Self, c: Self) -> Self;

    /// Adds Σ_k a_rk b_k over some k, with a(k, r). The sums stay in registers while the loop runs.
    fn add_products<S: Simd, const N: usize>(
        simd: S,
        k: impl Iterator<Item = usize> + Clone,
        a: impl Fn(usize, usize) -> Self,
        b: &[Lanes<Self>],
        sums: &mut [[Self; LANES]; N],
    );

    /// (eʳ − 1, 2ⁿ) with x = r + n log 2, |r| ≤ ½ log 2: eˣ = 2ⁿ + 2ⁿ (eʳ − 1). x is kept where 2ⁿ is a normal number; NaN stays NaN.
    fn split_exp<S: Simd>(x: Self) -> (Self, Self);

    /// log(1 + u) of 0 ≤ u ≤ 1.
    fn log1p_unit<S: Simd>(u: Self) -> Self;
}

/// eˣ.
#[inline(always)]
pub(super) fn exp<S: Simd, E: Real>(x: E) -> E {
    let (p, power) = E::split_exp::<S>(x);
    E::multiply_add::<S>(p, power, power)
}

/// eˣ − 1, without cancellation near 0.
#[inline(always)]
pub(super) fn exp_m1<S: Simd, E: Real>(x: E) -> E {
    let (p, power) = E::split_exp::<S>(x);
    E::multiply_add::<S>(p, power, power - E::ONE)
}

/// 1/(1 + e⁻ᵃ) and log(1 + eᵃ) = max(a, 0) + log(1 + e^{−|a|}).
#[inline(always)]
pub(super) fn sigmoid_softplus<S: Simd, E: Real>(a: E) -> (E, E) {
    let t = exp::<S, E>(-a.abs());
    let inverse = E::ONE / (E::ONE + t);
    let positive = a > E::ZERO;
    (if positive { inverse } else { t * inverse }, if positive { a } else { E::ZERO } + E::log1p_unit::<S>(t))
}

/// 1/(1 + e⁻ᵃ).
#[inline(always)]
pub(super) fn sigmoid<S: Simd, E: Real>(a: E) -> E {
    let t = exp::<S, E>(-a.abs());
    let inverse = E::ONE / (E::ONE + t);
    if a > E::ZERO { inverse } else { t * inverse }
}

/// tanh a = (e²ᵃ − 1)/(e²ᵃ + 1), of −|a|, with its sign put back.
#[inline(always)]
pub(super) fn tanh<S: Simd, E: Real>(a: E) -> E {
    let t = exp_m1::<S, E>(-(a.abs() + a.abs()));
    let value = -t / (t + E::ONE + E::ONE);
    if a < E::ZERO { -value } else { value }
}

/// Vectors of each row that are summed in one pass over the terms, where so many make sixteen lanes.
pub(super) const fn together(vectors: usize) -> usize {
    if vectors == 1 { 1 } else { 2 }
}

macro_rules! real {
    ($number:ty, ($vector:ident, $lanes:ident, $splat:ident, $mul_add:ident, $load:ident, $store:ident), $certain:expr, $mantissa:expr, $bias:expr, $round:expr, $least:expr, $most:expr, $high:expr, $low:expr, $taylor:expr, $artanh:expr) => {
        impl Real for $number {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const HALF: Self = 0.5;
            const CERTAIN: f64 = $certain;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $number
            }

            #[inline(always)]
            fn abs(self) -> Self {
                <$number>::abs(self)
            }

            fn ln_1p(self) -> Self {
                <$number>::ln_1p(self)
            }

            #[inline(always)]
            fn multiply_add<S: Simd>(a: Self, b: Self, c: Self) -> Self {
                if S::F64_LANES > 1 { a.mul_add(b, c) } else { a * b + c }
            }

            #[inline(always)]
            fn add_products<S: Simd, const N: usize>(
                simd: S,
                k: impl Iterator<Item = usize> + Clone,
                a: impl Fn(usize, usize) -> Self,
                b: &[Lanes<Self>],
                sums: &mut [[Self; LANES]; N],
            ) {
                #[inline(always)]
                fn passes<S: Simd, const N: usize, const V: usize>(
                    simd: S,
                    k: impl Iterator<Item = usize> + Clone,
                    a: impl Fn(usize, usize) -> $number,
                    b: &[Lanes<$number>],
                    sums: &mut [[$number; LANES]; N],
                ) {
                    for part in (0..LANES / S::$lanes).step_by(V) {
                        let mut tile: [[S::$vector; V]; N] =
                            std::array::from_fn(|r| std::array::from_fn(|v| S::$load(&sums[r]).0[part + v]));
                        for k in k.clone() {
                            let b: [S::$vector; V] = std::array::from_fn(|v| S::$load(&b[k].0).0[part + v]);
                            for r in 0..N {
                                let a = simd.$splat(a(k, r));
                                for v in 0..V {
                                    tile[r][v] = simd.$mul_add(a, b[v], tile[r][v]);
                                }
                            }
                        }
                        for (sums, tile) in sums.iter_mut().zip(tile) {
                            for v in 0..V {
                                S::$store(sums).0[part + v] = tile[v];
                            }
                        }
                    }
                }
                match together(LANES / S::$lanes) {
                    1 => passes::<S, N, 1>(simd, k, a, b, sums),
                    _ => passes::<S, N, 2>(simd, k, a, b, sums),
                }
            }

            #[inline(always)]
            fn split_exp<S: Simd>(x: Self) -> (Self, Self) {
                // NaN passes both comparisons
                let x = if x < $least { $least } else { x };
                let x = if x > $most { $most } else { x };
                // adding 1.5 · 2^mantissa rounds to an integer, which then stands in the low bits
                let shifted = Self::multiply_add::<S>(x, std::f64::consts::LOG2_E as $number, $round);
                let n = shifted - $round;
                let r = Self::multiply_add::<S>(n, -$low, Self::multiply_add::<S>(n, -$high, x));
                let series = $taylor.iter().skip(1).fold($taylor[0], |p, &c| Self::multiply_add::<S>(p, r, c));
                let power = <$number>::from_bits((shifted + $bias).to_bits() << $mantissa);
                (Self::multiply_add::<S>(series * r, r, r), power)
            }

            #[inline(always)]
            fn log1p_unit<S: Simd>(u: Self) -> Self {
                // log(1 + u) = 2 artanh(u/(2 + u)), and u/(2 + u) ≤ 1/3
                let s = u / (2.0 + u);
                let square = s * s;
                $artanh.iter().skip(1).fold($artanh[0], |p, &c| Self::multiply_add::<S>(p, square, c)) * s
            }
        }
    };
}

// the rest of each series is below a tenth of the last place
real!(
    f32,
    (f32s, F32_LANES, splat_f32s, mul_add_e_f32s, as_simd_f32s, as_mut_simd_f32s),
    1e38,
    23,
    127.0,
    12_582_912.0,
    -87.0,
    88.0,
    0.693_359_4_f32,
    -2.121_944_4e-4_f32,
    [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5_f32],
    [2.0 / 15.0, 2.0 / 13.0, 2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0_f32]
);
real!(
    f64,
    (f64s, F64_LANES, splat_f64s, mul_add_e_f64s, as_simd_f64s, as_mut_simd_f64s),
    1e140,
    52,
    1023.0,
    6_755_399_441_055_744.0,
    -708.0,
    709.0,
    0.693_147_180_369_123_8,
    1.908_214_929_270_587_7e-10,
    [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5_f64
    ],
    [
        2.0 / 33.0,
        2.0 / 31.0,
        2.0 / 29.0,
        2.0 / 27.0,
        2.0 / 25.0,
        2.0 / 23.0,
        2.0 / 21.0,
        2.0 / 19.0,
        2.0 / 17.0,
        2.0 / 15.0,
        2.0 / 13.0,
        2.0 / 11.0,
        2.0 / 9.0,
        2.0 / 7.0,
        2.0 / 5.0,
        2.0 / 3.0,
        2.0_f64
    ]
);

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, Scalar, WithSimd};

    /// exp, exp − 1, σ, log(1 + eᵃ), tanh of a number.
    struct All<E>(E);
    impl<E: Real> WithSimd for All<E> {
        type Output = [E; 5];
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> [E; 5] {
            let (sigmoid, softplus) = sigmoid_softplus::<S, E>(self.0);
            [exp::<S, E>(self.0), exp_m1::<S, E>(self.0), sigmoid, softplus, tanh::<S, E>(self.0)]
        }
    }

    fn exact(a: f64) -> [f64; 5] {
        let softplus = a.max(0.0) + (-a.abs()).exp().ln_1p();
        [a.exp(), a.exp_m1(), 1.0 / (1.0 + (-a).exp()), softplus, a.tanh()]
    }

    fn agrees<E: Real>(a: f64, tolerance: f64) {
        let wide = E::of(a).wide();
        for found in [Arch::new().dispatch(All(E::of(a))), All(E::of(a)).with_simd(Scalar)] {
            for (found, expected) in found.into_iter().zip(exact(wide)) {
                assert!((found.wide() - expected).abs() <= tolerance * expected.abs(), "{a}: {} against {expected}", found.wide());
            }
        }
    }

    #[test]
    fn agree_with_the_standard_library() {
        let small = (-40..2).flat_map(|e| [2f64.powi(e), -1.7 * 2f64.powi(e)]);
        for a in (-800..800).map(|i| f64::from(i) / 37.0).chain(small).filter(|a| *a != 0.0) {
            // a few roundings each
            agrees::<f64>(a, 2e-15);
            agrees::<f32>(a, 6e-7);
        }
    }

    #[test]
    fn limits() {
        for (a, expected) in [(f64::NEG_INFINITY, [0.0, -1.0, 0.0, 0.0, -1.0]), (0.0, exact(0.0))] {
            let found = Arch::new().dispatch(All(a));
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-15), "{found:?}");
        }
        assert!(Arch::new().dispatch(All(f32::NAN)).iter().all(|v| v.is_nan()));
        assert!(Arch::new().dispatch(All(f64::NAN)).iter().all(|v| v.is_nan()));
    }
}
