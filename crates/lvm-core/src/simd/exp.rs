//! The exponential function, in a form that vectorises.

use super::mul_add;
use pulp::Simd;

/// 1.5 · 2⁵²: adding it rounds to an integer, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; the first has 21 trailing zero bits, so that n · LN2_HIGH is exact.
const LN2_HIGH: f64 = 0.693_147_180_369_123_816_490;
const LN2_LOW: f64 = 1.908_214_929_270_587_700_02e-10;
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

/// e^x, within 2 ulp; 0 below the subnormal numbers and at −∞, +∞ above 709.78; NaN gives NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: f64) -> f64 {
    // e^x = 2ⁿ e^r,  n = round(x / ln 2),  |r| ≤ ½ ln 2. The clamps keep n within reach of two exponents; NaN passes through both.
    let x = if x < -746.0 { -746.0 } else { x };
    let x = if x > 710.0 { 710.0 } else { x };
    let n = mul_add::<S>(x, std::f64::consts::LOG2_E, ROUND) - ROUND;
    let r = mul_add::<S>(n, -LN2_LOW, mul_add::<S>(n, -LN2_HIGH, x));
    let p = TAYLOR.iter().skip(1).fold(TAYLOR[0], |p, &c| mul_add::<S>(p, r, c));
    let series = mul_add::<S>(p * r, r, r) + 1.0;
    // 2ⁿ in two factors: one alone can't reach the subnormal numbers
    let half = mul_add::<S>(n, 0.5, ROUND) - ROUND;
    series * power_of_two(half) * power_of_two(n - half)
}

/// 2ⁿ for an integer |n| ≤ 1022.
#[inline(always)]
fn power_of_two(n: f64) -> f64 {
    f64::from_bits((n + (ROUND + 1023.0)).to_bits() << 52)
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
            self.0.iter_mut().for_each(|v| *v = super::exp::<S>(*v));
        }
    }

    /// Distance in units of the last place of `b`; the spacing of subnormal numbers is 2⁻¹⁰⁷⁴.
    pub(in crate::simd) fn ulps(a: f64, b: f64) -> f64 {
        if a == b {
            return 0.0;
        }
        let spacing = f64::from_bits(b.abs().to_bits() + 1) - b.abs();
        (a - b).abs() / spacing
    }

    fn arguments() -> Vec<f64> {
        let mut x: Vec<f64> = (0..200_001).map(|i| -750.0 + 1459.7 * f64::from(i) / 200_000.0).collect();
        x.extend((-60..60).flat_map(|i| [2f64.powi(i), -2f64.powi(i)]).filter(|v| *v < 709.0));
        x.extend([0.0, -0.0, f64::MIN_POSITIVE, -745.13, -745.14, -708.4, -1e300, 709.78]);
        x
    }

    #[test]
    fn agrees_with_the_standard_library_over_the_whole_range() {
        for scalar in [false, true] {
            let x = arguments();
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
        let mut x = [f64::NEG_INFINITY, -1e4, 0.0, f64::INFINITY, 1e4, f64::NAN, -745.2, 1.0];
        simd::run(Map(&mut x));
        assert_eq!(x[..5], [0.0, 0.0, 1.0, f64::INFINITY, f64::INFINITY]);
        assert!(x[5].is_nan());
        assert_eq!(x[6], 0.0);
    }
}
