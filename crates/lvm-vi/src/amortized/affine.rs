//! Minibatch steps for an affine encoder in the metric of its own objective.

use super::encoder::Encoder;
use super::objective::Curvature;
use crate::local::Shape;
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_core::{Result, linalg};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, concatenate};

/// Gauss-Newton steps for A (D + 1, outputs) of an affine encoder Aᵀx̃, x̃ the standardised row with 1 appended.
///
/// ```text
/// A ← A + ρ C⁺ (Σ_b ω_b x̃_b g_bᵀ) K⁻¹,     C = Σ_n w_n x̃_n x̃_nᵀ / Σ w over all rows,     K ≥ the curvature of −ELBO_b in the outputs
/// ρ = ρ₀ / ‖X C⁺ Xᵀ‖_∞ of the batch's rows √ω_b x̃_b
/// ```
///
/// The curvature of the objective is C ⊗ K: in this metric correlated columns, and columns that hardly vary, cost nothing. The largest
/// eigenvalue of X C⁺ Xᵀ is at most its largest absolute row sum, so that for ρ₀ ≤ 1 no batch, whatever outlying row it holds, can take A
/// away from an optimum that all rows share; for linear Gaussian models there is one, and the way to it is linear (Kaczmarz's method by
/// blocks, Strohmer & Vershynin 2009).
#[derive(Debug, Clone)]
pub(super) struct AffineMetric {
    /// C^{−½} of the standardised columns (D, D), symmetric, 0 along what does not vary; their mean is 0, so the 1 stands apart.
    root: Array2<f64>,
}

/// Σ w x̃ x̃ᵀ and Σ w.
struct Second(Array2<f64>, f64);

impl Merge for Second {
    fn merge(&mut self, other: Self) {
        self.0 += &other.0;
        self.1 += other.1;
    }
}

impl AffineMetric {
    /// Of the rows of `x` as `encoder` sees them.
    ///
    /// # Errors
    /// If the data is unusable or the eigen-decomposition does not converge.
    pub(super) fn of(encoder: &Encoder, x: &dyn RowSource) -> Result<Self> {
        let d = encoder.dim();
        let new = || Second(Array2::zeros((d, d)), 0.0);
        let second = sweep(x, Plan::new(d, 8 * d * d), new, |sums, block| {
            let mut rows = block.x().to_owned();
            encoder.standardise(&mut rows);
            for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
                let weight = block.weights().map_or(1.0, |w| w[i]);
                sums.1 += weight;
                row *= weight.sqrt();
            }
            linalg::add_matmul(1.0, rows.t(), rows.view(), sums.0.view_mut());
            Ok(())
        })?;
        let (values, vectors) = linalg::eigh((second.0 / second.1).view())?;
        let floor = 1e-12 * values.iter().fold(0.0, |m: f64, v| m.max(*v));
        let roots = values.mapv(|v| if v > floor { v.sqrt().recip() } else { 0.0 });
        Ok(AffineMetric { root: linalg::matmul((&vectors * &roots.insert_axis(Axis(0))).view(), vectors.t()) })
    }

    /// Adds the step of a batch to `parameters`, weights (D, outputs) row by row before biases; `gradient` is laid out alike. A gradient
    /// that is not finite makes none.
    ///
    /// # Errors
    /// If shapes disagree.
    pub(super) fn ascend(&self, batch: &Batch<'_>, curvature: &Curvature, gradient: &[f64], parameters: &mut [f64]) -> Result<()> {
        if gradient.iter().any(|g| !g.is_finite()) {
            return Ok(());
        }
        let d = self.root.nrows();
        let outputs = gradient.len() / (d + 1);
        // invariant: (D + 1) · outputs numbers
        let mut step = ArrayView2::from_shape((d + 1, outputs), gradient).expect("weights and biases").to_owned();
        let mut weights = step.slice_axis_mut(Axis(0), (..d).into());
        let once = linalg::matmul(self.root.view(), weights.view());
        weights.assign(&linalg::matmul(self.root.view(), once.view()));
        curvature.divide(batch.encoder.shape(), step.view_mut());
        let length = batch.share / self.largest(batch)?;
        parameters.iter_mut().zip(&step).for_each(|(p, s)| *p += length * s);
        Ok(())
    }

    /// ‖X C⁺ Xᵀ‖_∞.
    fn largest(&self, batch: &Batch<'_>) -> Result<f64> {
        let mut rows = batch.rows.clone();
        batch.encoder.standardise(&mut rows);
        let white = linalg::matmul(rows.view(), self.root.view());
        let ones = Array2::ones((white.nrows(), 1));
        // invariant: as many rows in both
        let mut white = concatenate(Axis(1), &[white.view(), ones.view()]).expect("columns side by side");
        white *= &Array1::from(batch.weights.to_vec()).mapv(f64::sqrt).insert_axis(Axis(1));
        let gram = linalg::matmul(white.view(), white.t());
        Ok(gram.rows().into_iter().map(|r| r.fold(0.0, |s, v| s + v.abs())).fold(f64::MIN_POSITIVE, f64::max))
    }
}

/// The rows of a step.
pub(super) struct Batch<'a> {
    /// The encoder before the step.
    pub encoder: &'a Encoder,
    /// Raw rows (B, D).
    pub rows: &'a Array2<f64>,
    /// ω (B).
    pub weights: &'a [f64],
    /// ρ₀ in (0, 1].
    pub share: f64,
}

impl Curvature {
    /// S ← S K⁻¹ for a step S (D + 1, outputs).
    fn divide(&self, shape: Shape, mut step: ArrayViewMut2<'_, f64>) {
        let q = self.rows.len();
        if q == 0 {
            return;
        }
        let mean = &self.precision / self.weight;
        // rows of the batch may be more curved than their mean
        let excess = (0..q).map(|i| self.largest[i] / mean[[i, i]]).fold(1.0, f64::max);
        match linalg::cholesky(mean.view()) {
            Ok(lower) => {
                let mut means = step.slice_axis(Axis(1), (..q).into()).reversed_axes().as_standard_layout().into_owned();
                linalg::cholesky_solve(lower.view(), means.view_mut());
                step.slice_axis_mut(Axis(1), (..q).into()).assign(&(means.t().to_owned() / excess));
            }
            // a log joint that is not concave has no Newton step; row sums bound its curvature
            Err(_) => (0..q).for_each(|i| step.column_mut(i).mapv_inplace(|s| s / self.rows[i])),
        }
        for i in 0..q {
            step.column_mut(q + i).mapv_inplace(|s| s / self.scales[i]);
            if shape == Shape::Full {
                (0..i).for_each(|k| step.column_mut(2 * q + i * (i - 1) / 2 + k).mapv_inplace(|s| s / self.rows[i]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amortized::EncoderConfig;

    #[test]
    fn whitened_rows_have_the_identity_as_second_moment_but_where_they_do_not_vary() {
        // correlated columns of scales 1 and 1000, and a constant
        let x = Array2::from_shape_fn((50, 3), |(n, j)| match j {
            0 => (n as f64).sin(),
            1 => 1000.0 * ((n as f64).sin() + 0.1 * (n as f64 * 2.3).cos()),
            _ => 7.0,
        });
        let encoder = Encoder::new(&EncoderConfig::default(), 1, &x, 1).unwrap();
        let metric = AffineMetric::of(&encoder, &x).unwrap();
        let mut rows = x.clone();
        encoder.standardise(&mut rows);
        let white = rows.dot(&metric.root);
        let second = white.t().dot(&white) / 50.0;
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let expected = if i == j && i < 2 { 1.0 } else { 0.0 };
            // the correlation matrix has condition 800: rounding of its inverse root
            assert!((second[[i, j]] - expected).abs() < 1e-10, "{second}");
        }
        // all rows in one batch: the largest eigenvalue is 1, and no row sum lies below it
        let weights = [0.02; 50];
        let largest = metric.largest(&Batch { encoder: &encoder, rows: &x, weights: &weights, share: 1.0 }).unwrap();
        assert!(largest >= 1.0 - 1e-12, "{largest}");
    }
}
