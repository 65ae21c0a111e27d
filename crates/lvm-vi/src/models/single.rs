//! One pass over strips of a table in single precision, computed in single precision.
//!
//! Cells, coefficients, predictors and derivatives are f32; products over a block of [`BLOCK`] strips are added up in f32, blocks and
//! values in f64. Loops are plain: the compiler turns them into vectors.

use super::strips::STRIP;
use pulp::{Arch, Simd, WithSimd};

/// Strips between two roundings of the gradient to f64: a sum in f32 has 32 terms.
const BLOCK: usize = 8;
/// Sums that run at once for each column, so that none waits for itself: two vectors of AVX2.
const SUMS: usize = 16;
/// Lanes in f64 that a block's sums are added to.
const LANES: usize = 8;

/// Sums of a pass in single precision.
pub(super) struct SingleSums<'a> {
    /// The sum of values.
    value: &'a mut f64,
    /// The gradient (D).
    gradient: &'a mut [f64],
    /// Of each column, the sums of whole blocks.
    lanes: Vec<[f64; LANES]>,
    /// Of each column, the sums of the present block.
    block: Vec<[f32; SUMS]>,
    /// Strips of the present block.
    strips: usize,
}

impl<'a> SingleSums<'a> {
    /// In `buffer`, which starts at zero: as [`Sums`](super::strips::Sums).
    pub(super) fn new(buffer: &'a mut [f64]) -> Self {
        let (value, gradient) = buffer.split_at_mut(1);
        let columns = gradient.len();
        SingleSums { value: &mut value[0], gradient, lanes: vec![[0.0; LANES]; columns], block: vec![[0.0; SUMS]; columns], strips: 0 }
    }

    /// Adds a strip, as [`Sums::add`](super::strips::Sums::add); the value is NaN once a predictor has overflowed.
    #[inline]
    pub(super) fn add(&mut self, strip: &[f32], rows: usize, z: &[f32], evaluate: impl FnOnce(&mut [f32]) -> f64) {
        let mut eta = [0.0; STRIP];
        let arch = Arch::new();
        let finite = arch.dispatch(Predictor { strip, z, eta: &mut eta });
        let value = evaluate(&mut eta[..rows]);
        *self.value += if finite { value } else { f64::NAN };
        eta[rows..].fill(0.0);
        arch.dispatch(Gradient { strip, slope: &eta, block: &mut self.block });
        self.strips += 1;
        if self.strips == BLOCK {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        Arch::new().dispatch(Widen { block: &mut self.block, lanes: &mut self.lanes });
        self.strips = 0;
    }

    /// Writes the gradient.
    pub(super) fn finish(mut self) {
        self.end_block();
        self.gradient.iter_mut().zip(&self.lanes).for_each(|(g, lanes)| *g = lanes.iter().sum());
    }
}

/// η = x z; whether all are finite.
struct Predictor<'a> {
    strip: &'a [f32],
    z: &'a [f32],
    eta: &'a mut [f32; STRIP],
}

impl WithSimd for Predictor<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let mut sums = [0.0; STRIP];
        for (column, z) in self.strip.as_chunks::<STRIP>().0.iter().zip(self.z) {
            for i in 0..STRIP {
                sums[i] = mul_add_single::<S>(column[i], *z, sums[i]);
            }
        }
        *self.eta = sums;
        // without a way out in between, so that it is done in vectors
        sums.iter().fold(true, |finite, eta| finite & eta.is_finite())
    }
}

/// Of each column, the sums of x d added to those of the block.
struct Gradient<'a> {
    strip: &'a [f32],
    slope: &'a [f32; STRIP],
    block: &'a mut [[f32; SUMS]],
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let slope = self.slope.as_chunks::<SUMS>().0;
        for (column, block) in self.strip.as_chunks::<STRIP>().0.iter().zip(self.block) {
            let mut sums = *block;
            for (x, d) in column.as_chunks::<SUMS>().0.iter().zip(slope) {
                for i in 0..SUMS {
                    sums[i] = mul_add_single::<S>(x[i], d[i], sums[i]);
                }
            }
            *block = sums;
        }
    }
}

/// Adds a block's sums to the lanes and starts the next one.
struct Widen<'a> {
    block: &'a mut [[f32; SUMS]],
    lanes: &'a mut [[f64; LANES]],
}

impl WithSimd for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (block, lanes) in self.block.iter_mut().zip(self.lanes) {
            for i in 0..LANES {
                lanes[i] += f64::from(block[i]) + f64::from(block[i + LANES]);
            }
            *block = [0.0; SUMS];
        }
    }
}

/// Σ log p(y | η) of outcomes 0 or 1 over the rows of a strip, log p = −log(1 + e^{−sη}) with s = 2y − 1, with the derivatives s σ(−sη)
/// written over `eta`.
///
/// σ within 4 ulp down to 2e-38, its limit; the terms of the sum within 4 ulp or 3e-16 each.
pub(super) fn bernoulli(eta: &mut [f32], y: &[f32]) -> f64 {
    struct Op<'a>(&'a mut [f32], &'a [f32]);
    impl WithSimd for Op<'_> {
        type Output = f64;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> f64 {
            // −sη; the −∞ behind it adds nothing
            let mut strip = [f32::NEG_INFINITY; STRIP];
            strip.iter_mut().zip(&*self.0).zip(self.1).for_each(|((x, eta), y)| *x = eta * (1.0 - 2.0 * y));
            // Σ log(1 + eˣ) = Σ max(x, 0) + log Π (1 + e^{−|x|}); the product is at most 2⁶⁴, and in f64, since in f32 1 + e would
            // drop an e below 6e-8
            let (mut above, mut product) = ([0.0f32; SUMS], [1.0f64; SUMS]);
            for x in strip.as_chunks_mut::<SUMS>().0 {
                for i in 0..SUMS {
                    let e = exp_negative::<S>(-x[i].abs());
                    above[i] += if x[i] > 0.0 { x[i] } else { 0.0 };
                    product[i] *= 1.0 + f64::from(e);
                    let sigmoid = 1.0 / (1.0 + e);
                    x[i] = if x[i] >= 0.0 { sigmoid } else { e * sigmoid };
                }
            }
            self.0.iter_mut().zip(strip).zip(self.1).for_each(|((d, x), y)| *d = x * (2.0 * y - 1.0));
            -(above.iter().map(|v| f64::from(*v)).sum::<f64>() + product.iter().product::<f64>().ln())
        }
    }
    Arch::new().dispatch(Op(eta, y))
}

/// e^x for x ≤ 0, within 2 ulp; what is below e⁻⁸⁷, 2e-38, is e⁻⁸⁷, also at −∞. NaN gives NaN.
#[inline(always)]
fn exp_negative<S: Simd>(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has 9 bits, so that n · LN2_HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// 1 / n!, n = 7 … 2: the rest of the series is below 6e-9 for |r| ≤ ½ ln 2.
    const TAYLOR: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
    // e^x = 2ⁿ e^r,  n = round(x / ln 2),  |r| ≤ ½ ln 2. NaN passes through the comparison.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = mul_add_single::<S>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add_single::<S>(n, -LN2_LOW, mul_add_single::<S>(n, -LN2_HIGH, x));
    let p = TAYLOR.iter().skip(1).fold(TAYLOR[0], |p, &c| mul_add_single::<S>(p, r, c));
    let power = f32::from_bits((shifted + 127.0).to_bits() << 23);
    (mul_add_single::<S>(p * r, r, r) + 1.0) * power
}

/// a b + c, fused where the processor fuses it.
#[inline(always)]
fn mul_add_single<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::F32_LANES > 1 { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_core::special::{sigmoid, softplus};

    /// 4 ulp.
    const CLOSE: f64 = 4.0 * f32::EPSILON as f64;

    /// σ(x) of each entry, written over it, and Σ log(1 + eˣ): of outcomes 0.
    fn sigmoid_softplus_sum(x: &mut [f32]) -> f64 {
        let value = bernoulli(x, &vec![0.0; x.len()]);
        x.iter_mut().for_each(|x| *x = -*x);
        -value
    }

    #[test]
    fn outcomes_mirror_each_other() {
        let x = [0.3, -2.0, 40.0, -90.0];
        let (mut one, mut zero) = (x, x.map(|x| -x));
        assert_eq!(bernoulli(&mut one, &[1.0; 4]), bernoulli(&mut zero, &[0.0; 4]));
        assert_eq!(one, zero.map(|d| -d));
    }

    #[test]
    fn sigmoids_and_softpluses_are_close_over_the_range() {
        let small = (-60..6).flat_map(|e| [2f32.powi(e), -1.7 * 2f32.powi(e)]);
        for x in (-8600..8600).map(|i| i as f32 / 100.0).chain(small).chain([0.0, -0.0]) {
            let mut s = [x];
            let sum = sigmoid_softplus_sum(&mut s);
            let (p, soft) = (sigmoid(f64::from(x)), softplus(f64::from(x)));
            assert!((f64::from(s[0]) - p).abs() <= CLOSE * p.max(3e-38), "sigmoid({x}) = {} against {p}", s[0]);
            assert!((sum - soft).abs() <= CLOSE * soft + 3e-16, "softplus({x}) = {sum} against {soft}");
        }
    }

    #[test]
    fn sums_are_those_of_single_numbers() {
        for n in [0, 1, 15, 16, 17, 63, 64] {
            let mut x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() * 30.0).collect();
            let single: f64 = x.iter().map(|x| softplus(f64::from(*x))).sum();
            assert!((sigmoid_softplus_sum(&mut x) - single).abs() <= CLOSE * single);
        }
    }

    #[test]
    fn limits() {
        let mut x = [89.0, -1e30, f32::NEG_INFINITY, 1e30];
        let sum = sigmoid_softplus_sum(&mut x);
        assert!(x[0] == 1.0 && x[1] < 2e-38 && x[2] < 2e-38 && x[3] == 1.0 && (sum / 1e30 - 1.0).abs() < 1e-6);
        let mut nan = [1.0, f32::NAN];
        assert!(sigmoid_softplus_sum(&mut nan).is_nan() && nan[1].is_nan());
        assert_eq!(sigmoid_softplus_sum(&mut [f32::INFINITY]), f64::INFINITY);
    }
}
