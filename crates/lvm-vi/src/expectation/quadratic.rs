//! An exponential of a linear form times a quadratic.

use super::{Covariance, Expectation};
use ndarray::{Array1, Array2, ArrayView1};

/// f(u) = exp(aᵀu) (c + bᵀu + ½ uᵀQu).
///
/// Its expectation is exact (complete the square in the exponent):
///
/// ```text
/// E_{N(m, S)}[f] = exp(aᵀm + ½ aᵀSa) E_{N(m + Sa, S)}[c + bᵀu + ½ uᵀQu]
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialQuadratic {
    /// a (d).
    pub exponent: Array1<f64>,
    /// c.
    pub constant: f64,
    /// b (d).
    pub linear: Array1<f64>,
    /// Q (d, d), symmetric.
    pub quadratic: Array2<f64>,
}

impl ExponentialQuadratic {
    /// exp(aᵀu) · 0.
    pub fn zero(exponent: Array1<f64>) -> Self {
        let d = exponent.len();
        ExponentialQuadratic { exponent, constant: 0.0, linear: Array1::zeros(d), quadratic: Array2::zeros((d, d)) }
    }

    /// f(u), and ∇f(u) added to `gradient`.
    pub fn add_value_grad(&self, u: &[f64], gradient: &mut [f64]) -> f64 {
        let u = ArrayView1::from(u);
        let weight = self.exponent.dot(&u).exp();
        // ∇f = e^{aᵀu} (a Q(u) + b + Qu)
        let mut polynomial = self.constant;
        for (i, row) in self.quadratic.rows().into_iter().enumerate() {
            let qu = row.dot(&u);
            polynomial += u[i] * (self.linear[i] + 0.5 * qu);
            gradient[i] += weight * (self.linear[i] + qu);
        }
        let value = weight * polynomial;
        gradient.iter_mut().zip(&self.exponent).for_each(|(g, a)| *g += value * a);
        value
    }

    /// E\[f\], E\[∇f\] and E\[∇²f\] under N(mean, covariance), added to `out`.
    pub fn add_expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) {
        let sa = covariance.times(self.exponent.view());
        let weight = (self.exponent.dot(&mean) + 0.5 * self.exponent.dot(&sa)).exp();
        let shifted = &mean + &sa;
        let qm = self.quadratic.dot(&shifted);
        let slope = &self.linear + &qm;
        // E[Q] = c + bᵀm' + ½ (m'ᵀQm' + tr QS) at m' = m + Sa
        let polynomial =
            self.constant + self.linear.dot(&shifted) + 0.5 * (shifted.dot(&qm) + covariance.trace_product(self.quadratic.view()));
        out.value += weight * polynomial;
        out.gradient.scaled_add(weight * polynomial, &self.exponent);
        out.gradient.scaled_add(weight, &slope);
        // E[∇²f] = e^{…} (a aᵀ E[Q] + a rᵀ + r aᵀ + Q),   r = b + Qm'
        out.hessian.scaled_add(weight, &self.quadratic);
        for (i, &a) in self.exponent.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            out.hessian.row_mut(i).scaled_add(weight * a, &slope);
            out.hessian.column_mut(i).scaled_add(weight * a, &slope);
            out.hessian.row_mut(i).scaled_add(weight * a * polynomial, &self.exponent);
        }
    }
}
