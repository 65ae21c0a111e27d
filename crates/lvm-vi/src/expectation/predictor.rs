//! Sums of a function over linear predictors: the log likelihoods of generalised linear models, and priors of one parameter.

use super::{Covariance, Expectation, Univariate};
use lvm_core::linalg;
use ndarray::{Array1, Array2, ArrayView1, Axis, Slice};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a part at least.
const PART: usize = 256;
/// Parts at most: their sums are held at once.
const MOST_PARTS: usize = 64;

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

    /// The expectations of the sum, its gradient and its Hessian under N(mean, covariance), added to `out`. Rows are worked on in parallel;
    /// what parts of them come to is added in order, and how they are parted depends on their number alone.
    pub fn add_expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) {
        let (rows, d) = self.design.dim();
        let part = rows.div_ceil(MOST_PARTS).max(PART);
        let parts: Vec<Expectation> = (0..rows.div_ceil(part))
            .into_par_iter()
            .map(|p| {
                let mut sums = Expectation::zeros(d);
                self.add_part(p * part..rows.min((p + 1) * part), mean, covariance, &mut sums);
                sums
            })
            .collect();
        for sums in &parts {
            out.value += sums.value;
            out.gradient += &sums.gradient;
            for i in 0..d {
                for j in 0..i {
                    out.hessian[[i, j]] += sums.hessian[[i, j]];
                    out.hessian[[j, i]] += sums.hessian[[i, j]];
                }
                out.hessian[[i, i]] += sums.hessian[[i, i]];
            }
        }
    }

    /// The expectations over some rows added to `out`, of the Hessian the lower triangle.
    fn add_part(&self, rows: Range<usize>, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) {
        let design = self.design.slice_axis(Axis(0), Slice::from(rows.clone()));
        let mut slopes = design.dot(&mean);
        let variances = covariance.row_variances(design);
        // x_nᵀu ~ N(x_nᵀm, x_nᵀSx_n);   E[∇] = Σ w E[f'] x,   E[∇²] = Σ w E[f''] x xᵀ
        let mut curved = design.to_owned();
        for (((n, mut row), slope), variance) in rows.zip(curved.rows_mut()).zip(&mut slopes).zip(variances) {
            let [f, first, second] = self.function.expectation(*slope + self.offset[n], variance).map(|e| self.weight[n] * e);
            out.value += f;
            *slope = first;
            row *= second;
        }
        out.gradient += &design.t().dot(&slopes);
        linalg::add_lower(1.0, curved.view(), design, out.hessian.view_mut());
    }
}
