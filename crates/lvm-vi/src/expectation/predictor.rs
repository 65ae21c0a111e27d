//! Sums of a function over linear predictors: the log likelihoods of generalised linear models, and priors of one parameter.

use super::{Covariance, Expectation, Univariate};
use lvm_core::linalg;
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// Σ_n w_n f(x_nᵀu + o_n) for a [`Univariate`] f.
#[derive(Debug)]
pub struct Predictors {
    /// f.
    pub function: Box<dyn Univariate>,
    /// Rows x_n (N, d).
    pub design: Array2<f64>,
    /// o (N).
    pub offset: Array1<f64>,
    /// w (N), of any sign.
    pub weight: Array1<f64>,
}

impl Predictors {
    /// The sum at u, and its gradient added to `gradient`.
    pub fn add_value_grad(&self, u: &[f64], gradient: &mut [f64]) -> f64 {
        let u = ArrayView1::from(u);
        let mut value = 0.0;
        for ((row, offset), weight) in self.design.rows().into_iter().zip(&self.offset).zip(&self.weight) {
            let [f, slope, _] = self.function.derivatives(row.dot(&u) + offset);
            value += weight * f;
            gradient.iter_mut().zip(row).for_each(|(g, x)| *g += weight * slope * x);
        }
        value
    }

    /// The expectations of the sum, its gradient and its Hessian under N(mean, covariance), added to `out`.
    pub fn add_expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) {
        let means = self.design.dot(&mean) + &self.offset;
        let variances = covariance.row_variances(self.design.view());
        // x_nᵀu ~ N(x_nᵀm, x_nᵀSx_n);   E[∇] = Σ w E[f'] x,   E[∇²] = Σ w E[f''] x xᵀ
        let mut curved = self.design.clone();
        for (n, mut row) in curved.axis_iter_mut(Axis(0)).enumerate() {
            let [f, slope, curvature] = self.function.expectation(means[n], variances[n]).map(|e| self.weight[n] * e);
            out.value += f;
            out.gradient.scaled_add(slope, &self.design.row(n));
            row *= curvature;
        }
        linalg::add_matmul(1.0, self.design.t(), curved.view(), out.hessian.view_mut());
    }
}
