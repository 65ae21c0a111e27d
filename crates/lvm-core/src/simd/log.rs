//! The natural logarithm, in a form that vectorises.

use super::mul_add;
use pulp::Simd;

const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const MANTISSA: u64 = (1 << 52) - 1;
/// 2⁵² as a number and as bits: an integer below 2⁵² put into its mantissa is 2⁵² plus that integer.
const TWO_52: f64 = 4_503_599_627_370_496.0;
/// 2 / (2n + 1), n = 10 … 1: the rest of the series is below 1e-18 for |s| ≤ 0.1716.
const ATANH: [f64; 10] =
    [2.0 / 21.0, 2.0 / 19.0, 2.0 / 17.0, 2.0 / 15.0, 2.0 / 13.0, 2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0];

/// ln x of a positive, finite, normal x, within 2 ulp. NaN gives NaN.
#[inline(always)]
pub(crate) fn log<S: Simd>(x: f64) -> f64 {
    // x = 2ᵉ m with √½ ≤ m < √2;  ln m = 2 artanh(s),  s = (m − 1) / (m + 1)
    let bits = x.to_bits();
    let mantissa = f64::from_bits((bits & MANTISSA) | 1.0f64.to_bits());
    let exponent = f64::from_bits((bits >> 52) | TWO_52.to_bits()) - (TWO_52 + 1023.0);
    let above = mantissa > std::f64::consts::SQRT_2;
    let m = if above { 0.5 * mantissa } else { mantissa };
    let e = if above { exponent + 1.0 } else { exponent };
    let f = m - 1.0;
    let s = f / (m + 1.0);
    let z = s * s;
    let p = ATANH.iter().skip(1).fold(ATANH[0], |p, &c| mul_add::<S>(p, z, c)) * z;
    // 2 s = f − f s exactly, and f is exact: ln m = f − s (f − p) keeps the rounding of s out of the leading term
    let low = mul_add::<S>(-s, f - p, e * LN2_LOW);
    let out = mul_add::<S>(e, LN2_HIGH, f + low);
    if x.is_nan() { x } else { out }
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
            self.0.iter_mut().for_each(|v| *v = super::log::<S>(*v));
        }
    }

    #[test]
    fn agrees_with_the_standard_library_over_the_normal_range() {
        let mut x: Vec<f64> = (0..100_000).map(|i| 0.5 + f64::from(i) * 1e-4).collect();
        x.extend((-1022..1024).flat_map(|e| [2f64.powi(e), 1.9 * 2f64.powi(e), 1.41 * 2f64.powi(e)]));
        x.extend((1..53).flat_map(|e| [1.0 + 2f64.powi(-e), 1.0 - 2f64.powi(-e)]));
        for scalar in [false, true] {
            let mut y = x.clone();
            if scalar {
                Map(&mut y).with_simd(Scalar)
            } else {
                simd::run(Map(&mut y))
            }
            for (x, y) in x.iter().zip(y) {
                let truth = x.ln();
                // roundings of s, of the sums, and the library's own
                let bound = 2.0 * f64::EPSILON * truth.abs();
                assert!((y - truth).abs() <= bound, "ln({x}) = {y}, expected {truth}");
            }
        }
    }
}
