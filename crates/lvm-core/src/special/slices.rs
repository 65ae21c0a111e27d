//! The exponential and the logistic function over slices, vectorised for the processor at hand.

use crate::simd::{self, LANES, exp_negative, log};
use pulp::{Simd, WithSimd};

/// e^x of each entry, written over it, within 4 ulp; 0 is returned as 3e-308 below −708, and +∞ above 708. NaN gives NaN.
///
/// ```
/// let mut x = [0.0, 1.0, -1.0];
/// lvm_core::special::exp_slice(&mut x);
/// assert!((x[1] * x[2] - 1.0).abs() < 1e-15 && x[0] == 1.0);
/// ```
pub fn exp_slice(x: &mut [f64]) {
    struct Op<'a>(&'a mut [f64]);
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for v in self.0 {
                // e^x = 1 / e^{−x} for x > 0
                let e = exp_negative::<S>(-v.abs());
                let up = if *v > 708.0 { f64::INFINITY } else { 1.0 / e };
                *v = if *v > 0.0 { up } else { e };
            }
        }
    }
    simd::run(Op(x));
}

/// σ(x) = 1 / (1 + e⁻ˣ) of each entry, written over it, and log(1 + eˣ), written over `softplus`.
///
/// σ within 4 ulp down to 3e-308, its limit; the softplus within 4 ulp of max(x, 0) + log 2, so that sums of it keep full accuracy.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let (mut x, mut softplus) = ([0.0, 800.0], [0.0; 2]);
/// lvm_core::special::sigmoid_softplus_slice(&mut x, &mut softplus);
/// assert_eq!((x, softplus[1]), ([0.5, 1.0], 800.0));
/// ```
pub fn sigmoid_softplus_slice(x: &mut [f64], softplus: &mut [f64]) {
    struct Op<'a>(&'a mut [f64], &'a mut [f64]);
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for (v, s) in self.0.iter_mut().zip(self.1) {
                // σ(|x|) = 1 / (1 + e^{−|x|}),   σ(−|x|) = e^{−|x|} σ(|x|),   log(1 + eˣ) = max(x, 0) + log(1 + e^{−|x|})
                let e = exp_negative::<S>(-v.abs());
                let above = 1.0 / (1.0 + e);
                *s = (if *v > 0.0 { *v } else { 0.0 }) + log::<S>(1.0 + e);
                *v = if *v >= 0.0 { above } else { e * above };
            }
        }
    }
    // invariant: both slices are the caller's own, as under Panics
    assert_eq!(x.len(), softplus.len(), "one softplus for each entry");
    simd::run(Op(x, softplus));
}

/// σ(x) of each entry, written over it, and Σ log(1 + eˣ): as [`sigmoid_softplus_slice`], with one logarithm for thousands of entries.
///
/// σ within 4 ulp down to 3e-308, its limit; the sum within the rounding of a sum of such terms.
///
/// ```
/// let mut x = [0.0, 800.0];
/// let sum = lvm_core::special::sigmoid_softplus_sum(&mut x);
/// assert_eq!((x, sum), ([0.5, 1.0], 800.0 + 2f64.ln()));
/// ```
pub fn sigmoid_softplus_sum(x: &mut [f64]) -> f64 {
    struct Op<'a>(&'a mut [f64]);
    impl WithSimd for Op<'_> {
        type Output = f64;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> f64 {
            // Σ log(1 + eˣ) = Σ max(x, 0) + log Π (1 + e^{−|x|}); each factor is at most 2, so that 512 of them do not overflow
            let mut sum = 0.0;
            for block in self.0.chunks_mut(512 * LANES) {
                let (mut above, mut product) = ([0.0; LANES], [1.0; LANES]);
                let (whole, rest) = block.as_chunks_mut::<LANES>();
                for x in whole {
                    add::<S>(x, &mut above, &mut product);
                }
                // −∞ adds nothing
                let mut last = [f64::NEG_INFINITY; LANES];
                last[..rest.len()].copy_from_slice(rest);
                add::<S>(&mut last, &mut above, &mut product);
                rest.copy_from_slice(&last[..rest.len()]);
                sum += above.iter().sum::<f64>() + product.iter().map(|p| log::<S>(*p)).sum::<f64>();
            }
            sum
        }
    }
    #[inline(always)]
    fn add<S: Simd>(x: &mut [f64; LANES], above: &mut [f64; LANES], product: &mut [f64; LANES]) {
        for i in 0..LANES {
            let e = exp_negative::<S>(-x[i].abs());
            above[i] += if x[i] > 0.0 { x[i] } else { 0.0 };
            product[i] *= 1.0 + e;
            let sigmoid = 1.0 / (1.0 + e);
            x[i] = if x[i] >= 0.0 { sigmoid } else { e * sigmoid };
        }
    }
    simd::run(Op(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::{sigmoid, softplus};

    #[test]
    fn slices_agree_with_single_numbers() {
        let x: Vec<f64> = (-3000..3000).map(|i| f64::from(i) * 0.2349).chain([0.0, -0.0, 1e-300, -1e-300]).collect();
        let (mut exp, mut s, mut soft) = (x.clone(), x.clone(), vec![0.0; x.len()]);
        exp_slice(&mut exp);
        sigmoid_softplus_slice(&mut s, &mut soft);
        for (i, x) in x.iter().enumerate() {
            // ulps as documented; entries below e⁻⁷⁰⁸ excepted
            assert!((exp[i] / x.exp() - 1.0).abs() < 4.0 * f64::EPSILON, "exp({x}) = {}", exp[i]);
            assert!((s[i] / sigmoid(*x) - 1.0).abs() < 4.0 * f64::EPSILON, "sigmoid({x}) = {}", s[i]);
            assert!((soft[i] - softplus(*x)).abs() <= 4.0 * f64::EPSILON * (x.max(0.0) + 0.7), "softplus({x}) = {}", soft[i]);
        }
    }

    #[test]
    fn the_sum_is_that_of_the_slice() {
        for n in [0, 1, 7, 8, 9, 4096, 10_001] {
            let x: Vec<f64> = (0..n).map(|i| (f64::from(i) * 0.7).sin() * 40.0).collect();
            let (mut one, mut other, mut soft) = (x.clone(), x.clone(), vec![0.0; x.len()]);
            sigmoid_softplus_slice(&mut one, &mut soft);
            let sum = sigmoid_softplus_sum(&mut other);
            assert_eq!(one, other);
            // n roundings of terms up to 40, and of a product each
            assert!((sum - soft.iter().sum::<f64>()).abs() <= f64::EPSILON * 41.0 * f64::from(n) * f64::from(n.max(1)).sqrt());
        }
        let infinite = |x: f64| sigmoid_softplus_sum(&mut [x, 1.0]);
        assert!(infinite(f64::NAN).is_nan() && infinite(f64::INFINITY) == f64::INFINITY && infinite(f64::NEG_INFINITY) < 1.4);
    }

    #[test]
    fn limits_and_nan() {
        let mut x = [710.0, -1e6, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let (mut s, mut soft) = (x, [0.0; 5]);
        exp_slice(&mut x);
        sigmoid_softplus_slice(&mut s, &mut soft);
        assert!(x[0] == f64::INFINITY && x[1] < 1e-300 && x[2].is_nan() && x[3] == f64::INFINITY && x[4] < 1e-300);
        assert!(s[0] == 1.0 && s[1] < 1e-300 && s[2].is_nan() && soft[0] == 710.0 && soft[1] < 1e-300);
    }
}
