//! e^ψ(x), the geometric mean of a gamma variable, in a form that vectorises.

use super::{exp_negative, mul_add};
use pulp::{Simd, WithSimd};

/// Steps of the recurrence ψ(x) = ψ(x + 1) − 1/x before the series.
const STEPS: u32 = 10;

/// e^ψ(y + ½) = y (1 + c₁/y² + c₂/y⁴ + …), from the asymptotic series of ψ(y + ½) − log y; for y ≥ 9.5 what is left out is below 2e-15.
const SERIES: [f64; 7] = [
    -0.020_734_675_824_368_137,
    0.007_365_033_269_308_669,
    -0.003_953_557_448_973_030_5,
    0.003_552_482_914_462_081,
    -0.006_423_611_111_111_111,
    0.041_666_666_666_666_664,
    1.0,
];

/// e^ψ(x) for x > 0. Relative error below 2e-14, but for x < 0.1, where ψ is large, below 3e-15 |ψ(x)|; what is below 3e-308 (x < 0.0014) is
/// that. NaN gives NaN.
#[inline(always)]
pub(crate) fn exp_digamma<S: Simd>(x: f64) -> f64 {
    // Σ_{i<10} 1/(x + i) as one fraction
    let (mut over, mut under) = (1.0, x);
    for i in 1..STEPS {
        let next = x + f64::from(i);
        over = mul_add::<S>(over, next, under);
        under *= next;
    }
    let y = x + (f64::from(STEPS) - 0.5);
    let u = 1.0 / (y * y);
    let series = SERIES.iter().skip(1).fold(SERIES[0], |p, &c| mul_add::<S>(p, u, c));
    y * series * exp_negative::<S>(-over / under)
}

/// e^ψ of every number of a slice.
pub(crate) struct ExpDigamma<'a> {
    pub(crate) x: &'a [f64],
    pub(crate) out: &'a mut [f64],
}

impl WithSimd for ExpDigamma<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.out.iter_mut().zip(self.x).for_each(|(o, &x)| *o = exp_digamma::<S>(x));
    }
}
