//! The exponential function of numbers below zero, in a form that vectorises.

use super::mul_add;
use pulp::Simd;

/// 1.5 · 2⁵²: adding it rounds to an integer, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; the first has 21 trailing zero bits, so that n · LN2_HIGH is exact.
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1 / n!, n = 13 … 2: the rest of the series is below 4e-18 for |r| ≤ ½ ln 2.
const TAYLOR: [f64; 12] = [
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
    0.5,
];

/// e^x for x ≤ 0, within 2 ulp; what is below e⁻⁷⁰⁸, 3e-308, is e⁻⁷⁰⁸, also at −∞. NaN gives NaN.
#[inline(always)]
pub(crate) fn exp_negative<S: Simd>(x: f64) -> f64 {
    // e^x = 2ⁿ e^r,  n = round(x / ln 2),  |r| ≤ ½ ln 2. NaN passes through the comparison.
    let x = if x < -708.0 { -708.0 } else { x };
    // n + ROUND has n + 1023, and above it bits that the shift drops, in its low bits once 1023 is added
    let shifted = mul_add::<S>(x, std::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<S>(n, -LN2_LOW, mul_add::<S>(n, -LN2_HIGH, x));
    let p = TAYLOR.iter().skip(1).fold(TAYLOR[0], |p, &c| mul_add::<S>(p, r, c));
    let power = f64::from_bits((shifted + 1023.0).to_bits() << 52);
    (mul_add::<S>(p * r, r, r) + 1.0) * power
}

#[cfg(test)]
mod tests {
    use crate::simd;
    use pulp::{Scalar, Simd, WithSimd};

    struct Map<'a>(&'a mut [f64]);
    impl WithSimd for Map<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            self.0.iter_mut().for_each(|v| *v = super::exp_negative::<S>(*v));
        }
    }

    /// Distance in units of the last place of `b`.
    fn ulps(a: f64, b: f64) -> f64 {
        if a == b {
            return 0.0;
        }
        let spacing = f64::from_bits(b.abs().to_bits() + 1) - b.abs();
        (a - b).abs() / spacing
    }

    #[test]
    fn agrees_with_the_standard_library_over_the_range() {
        let mut x: Vec<f64> = (0..200_001).map(|i| -708.0 * f64::from(i) / 200_000.0).collect();
        x.extend((-60..10).map(|i| -2f64.powi(i)).filter(|v| *v > -708.0));
        x.extend([0.0, -0.0, -f64::MIN_POSITIVE]);
        for scalar in [false, true] {
            let mut y = x.clone();
            if scalar {
                Map(&mut y).with_simd(Scalar)
            } else {
                simd::run(Map(&mut y))
            }
            for (x, y) in x.iter().zip(y) {
                // 1 ulp from the series and the sum, half from the reduction without fma, half of the library's own
                assert!(ulps(y, x.exp()) <= 2.0, "exp({x}) = {y}, expected {}", x.exp());
            }
        }
    }

    #[test]
    fn limits() {
        let mut x = [f64::NEG_INFINITY, -1e4, -745.2, -1e300, 0.0, f64::NAN];
        simd::run(Map(&mut x));
        assert!(x[..4].iter().all(|v| *v > 0.0 && *v < 1e-307));
        assert_eq!(x[4], 1.0);
        assert!(x[5].is_nan());
    }
}
