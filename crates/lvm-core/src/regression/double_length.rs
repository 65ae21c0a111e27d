//! Sums of products in twice the working precision.
//!
//! Ogita, Rump, Oishi, *Accurate sum and dot product*, SIAM J. Sci. Comput. 26 (2005), algorithms 3.2, 3.3, 5.3.

/// An unevaluated sum high + low.
#[derive(Debug, Clone, Copy)]
pub(super) struct DoubleLength {
    high: f64,
    low: f64,
}

impl DoubleLength {
    pub(super) fn new(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }

    /// self − a b.
    pub(super) fn minus_product(self, a: f64, b: f64) -> Self {
        let (product, product_error) = two_product(-a, b);
        let (high, sum_error) = two_sum(self.high, product);
        Self { high, low: self.low + (sum_error + product_error) }
    }

    /// The value, rounded.
    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }
}

/// a + b and what rounding it lost (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// a b and what rounding it lost (Dekker, Veltkamp): no fused multiply-add, which is slow where the processor has none.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((a1, a2), (b1, b2)) = (split(a), split(b));
    (product, a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2))
}

/// a as the sum of two numbers of 26 bits.
fn split(a: f64) -> (f64, f64) {
    let scaled = 134_217_729.0 * a;
    let high = scaled - (scaled - a);
    (high, a - high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cancels_is_kept() {
        // (1 + 2⁻³⁰)² = 1 + 2⁻²⁹ + 2⁻⁶⁰: the last term is far below an ulp of the first
        let a = 1.0 + 2.0_f64.powi(-30);
        let rest = DoubleLength::new(1.0).minus_product(a, a).minus_product(-(2.0_f64.powi(-29)), 1.0);
        assert_eq!(rest.value(), -(2.0_f64.powi(-60)));
    }
}
