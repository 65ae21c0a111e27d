//! Sums of exponentials in logarithms.

use crate::mutant::planted;

/// log Σ_k e^{x_k}, without overflow or underflow.
///
/// ```text
/// log Σ_k e^{x_k} = m + log Σ_k e^{x_k − m},   m = max_k x_k
/// ```
///
/// Absolute error at most (K + 2) ε + ε |m|, with ε = 2⁻⁵²: the largest term of the sum is 1. −∞ for no entry at all, or if every entry is −∞;
/// +∞ if one is; NaN if one is. Takes slices, arrays and views of any stride.
///
/// ```
/// use lvm_core::special::log_sum_exp;
/// use ndarray::array;
/// assert_eq!(log_sum_exp(&[-1000.0, -1000.0]), -1000.0 + 2_f64.ln());
/// let log_joint = array![[0.0, 3.0], [1.0, f64::NEG_INFINITY]];
/// assert_eq!(log_sum_exp(log_joint.row(1)), 1.0);
/// ```
pub fn log_sum_exp<'a, I>(x: I) -> f64
where
    I: IntoIterator<Item = &'a f64>,
    I::IntoIter: Clone,
{
    let x = x.into_iter();
    let top = if planted("log_sum_exp_naive") { 0.0 } else { x.clone().copied().fold(f64::NEG_INFINITY, f64::max) };
    if top.is_infinite() {
        // max passes over NaN, and ∞ − ∞ would be one
        return if x.into_iter().any(|v| v.is_nan()) { f64::NAN } else { top };
    }
    top + x.map(|v| (v - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let (up, down) = (f64::INFINITY, f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[]), down);
        assert_eq!((log_sum_exp(&[down, down]), log_sum_exp(&[down, up]), log_sum_exp(&[up, up])), (down, up, up));
        for x in [[f64::NAN, 0.0], [f64::NAN, up], [f64::NAN, down], [f64::NAN, f64::NAN]] {
            assert!(log_sum_exp(&x).is_nan());
        }
        // 1e308 twice: e^x overflows, its logarithm does not; log 2 is lost to rounding
        assert_eq!((log_sum_exp(&[1e308, 1e308]), log_sum_exp(&[-800.0]), log_sum_exp(&[0.0, down])), (1e308, -800.0, 0.0));
    }
}
