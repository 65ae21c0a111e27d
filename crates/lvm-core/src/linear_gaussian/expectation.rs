//! The E-step of the linear Gaussian model with any entries missing, and the regression that its M-step is.

use super::evidence::each_pattern;
use super::{LinearGaussian, Woodbury};
use crate::error::Result;
use crate::linalg;
use crate::model::LatentModel;
use crate::rows::RowSource;
use crate::sweep::{Block, Merge, Plan, sweep};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, ShapeBuilder};
use rayon::prelude::*;

/// Sums over the rows, under the posterior of their latents, with z̃ = (z, 1) and e_nj = x_nj − μ_j − w_jᵀ z_n. Only observed entries
/// take part, so that no missing one has to be filled in.
///
/// Because the M-step corrects the present parameters by the regression of e on z̃, no digits are lost when the noise is small.
pub(crate) struct Expectations {
    /// Σ_n w_n log p(x_n).
    pub(crate) log_likelihood: f64,
    /// N = Σ_n w_n.
    pub(crate) weight: f64,
    /// N_j = Σ w_n over the rows that observe j (D).
    pub(crate) observed: Array1<f64>,
    /// Σ w_n E[z̃ z̃ᵀ] over all rows, packed.
    all: Array1<f64>,
    /// The same over complete rows.
    complete: Array1<f64>,
    /// The same over the rows with some entry missing that observe j; (D, packed), or (0, packed) if there are none.
    partial: Array2<f64>,
    /// Σ w_n E[e_nj z̃_n] over the rows that observe j; (D, q + 1).
    cross: Array2<f64>,
    /// `Σ w_n E[e_nj²]` over the rows that observe j (D).
    error: Array1<f64>,
    scratch: Scratch,
}

/// Buffers of a block.
#[derive(Default)]
struct Scratch {
    residuals: Vec<f64>,
    moments: Vec<f64>,
    mask: Vec<f64>,
}

impl Merge for Expectations {
    fn merge(&mut self, other: Self) {
        self.log_likelihood += other.log_likelihood;
        self.weight += other.weight;
        self.observed += &other.observed;
        self.all += &other.all;
        self.complete += &other.complete;
        if self.partial.nrows() == 0 {
            self.partial = other.partial;
        } else if other.partial.nrows() > 0 {
            self.partial += &other.partial;
        }
        self.cross += &other.cross;
        self.error += &other.error;
    }
}

/// What the M-step finds before a model is made of it.
pub(crate) struct Regression {
    /// μ (D).
    pub(crate) mean: Array1<f64>,
    /// W (D, q).
    pub(crate) loadings: Array2<f64>,
    /// Σ_n w_n E[(x_nj − μ_j − w_jᵀ z_n)²] at these (D).
    pub(crate) error: Array1<f64>,
}

impl Expectations {
    /// One pass over `data` with the parameters of `model`.
    pub(crate) fn of(model: &LinearGaussian, data: &dyn RowSource) -> Result<Self> {
        let (d, q) = (model.dim(), model.latents());
        let packed = (q + 1) * (q + 2) / 2;
        let complete = model.complete()?;
        sweep(
            data,
            Plan::new(d, 8 * d * (packed + q + 3)),
            || Expectations {
                log_likelihood: 0.0,
                weight: 0.0,
                observed: Array1::zeros(d),
                all: Array1::zeros(packed),
                complete: Array1::zeros(packed),
                partial: Array2::zeros((0, packed)),
                cross: Array2::zeros((d, q + 1)),
                error: Array1::zeros(d),
                scratch: Scratch::default(),
            },
            |sums, block| {
                if block.has_missing() {
                    sums.scratch.moments.clear();
                    sums.scratch.moments.resize(block.n_rows() * packed, 0.0);
                }
                each_pattern(model, &complete, block, |pattern, rows| {
                    sums.add(model, pattern, block, rows);
                    Ok(())
                })?;
                if block.has_missing() {
                    sums.add_partial(block, packed);
                }
                Ok(())
            },
        )
    }

    /// The rows of a block that share their observed columns.
    fn add(&mut self, model: &LinearGaussian, pattern: &Woodbury, block: &Block<'_>, rows: Option<&[usize]>) {
        let q = model.latents();
        let (z, log_evidence) = pattern.evidence(block, rows, &mut self.scratch.residuals);
        let n = z.nrows();
        let row = |i: usize| rows.map_or(i, |r| r[i]);
        let weight = |i: usize| block.weights().map_or(1.0, |w| w[row(i)]);
        let total: f64 = (0..n).map(weight).sum();
        self.weight += total;
        self.log_likelihood += (0..n).map(|i| weight(i) * log_evidence[i]).sum::<f64>();

        // Σ w E[z̃ z̃ᵀ] = Σ w z̄ z̄ᵀ + Σ w C, with 1 appended to z̄
        let covariance = pattern.covariance();
        let mut weighted = Array2::zeros((n, q + 1).f());
        for i in 0..n {
            let w = weight(i);
            (0..q).for_each(|k| weighted[[i, k]] = w * z[[i, k]]);
            weighted[[i, q]] = w;
        }
        if pattern.columns.len() == model.dim() {
            let mut second = Array2::zeros((q + 1, q + 1));
            if q > 0 {
                let mut leading = second.slice_axis_mut(Axis(1), (..q).into());
                linalg::matmul_into(weighted.view().reversed_axes(), z.view(), leading.view_mut());
                leading.slice_axis_mut(Axis(0), (..q).into()).scaled_add(total, &covariance);
            }
            second[[q, q]] = total;
            for (at, (a, b)) in pairs(q + 1).enumerate() {
                self.complete[at] += second[[a, b]];
                self.all[at] += second[[a, b]];
            }
        } else {
            let packed = self.all.len();
            for i in 0..n {
                let w = weight(i);
                let out = &mut self.scratch.moments[row(i) * packed..(row(i) + 1) * packed];
                for (at, (a, b)) in pairs(q + 1).enumerate() {
                    let c = if a < q { covariance[[a, b]] } else { 0.0 };
                    out[at] = if b < q { weighted[[i, a]] * z[[i, b]] + w * c } else { w };
                    self.all[at] += out[at];
                }
            }
        }

        // Σ w E[e z̃] = Σ w r z̄ − Σ w C w_j,   Σ w E[e²] = Σ w r² + Σ w w_jᵀ C w_j, with residuals r = r̃ √ψ
        let o = pattern.columns.len();
        if o == 0 {
            return;
        }
        // invariant: evidence() left O columns of n residuals
        let residuals = ArrayView2::from_shape((n, o).f(), &self.scratch.residuals[..]).expect("residuals");
        let products = linalg::matmul(residuals.t(), weighted.view());
        for (i, &j) in pattern.columns.iter().enumerate() {
            let sd = 1.0 / pattern.scale()[i];
            let r = residuals.column(i);
            let squares: f64 = r.iter().zip(weighted.column(q)).map(|(r, w)| w * r * r).sum();
            let loading = model.loadings().row(j);
            let spread = covariance.dot(&loading);
            self.observed[j] += total;
            self.error[j] += sd * sd * squares + total * loading.dot(&spread);
            let mut cross = self.cross.row_mut(j);
            cross.scaled_add(sd, &products.row(i));
            cross.slice_axis_mut(Axis(0), (..q).into()).scaled_add(-total, &spread);
        }
    }

    /// Σ w E[z̃ z̃ᵀ] of each column over the block's rows that observe it and miss another: one product with the mask.
    fn add_partial(&mut self, block: &Block<'_>, packed: usize) {
        let (b, d) = (block.n_rows(), block.n_cols());
        self.scratch.mask.clear();
        self.scratch.mask.extend(block.columns().iter().map(|v| if v.is_nan() { 0.0 } else { 1.0 }));
        if self.partial.nrows() == 0 {
            self.partial = Array2::zeros((d, packed));
        }
        // invariant: both buffers were given their sizes above; rows without a missing entry hold zeros
        let mask = ArrayView2::from_shape((b, d).f(), &self.scratch.mask[..]).expect("mask");
        // invariant: as above
        let moments = ArrayView2::from_shape((b, packed), &self.scratch.moments[..]).expect("moments");
        linalg::add_matmul(1.0, mask.t(), moments, self.partial.view_mut());
    }

    /// The M-step: for every column the regression of its observed entries on z̃, whose moments are known.
    ///
    /// ```text
    /// (δw_j, δμ_j) = A_j⁻¹ b_j,   A_j = Σ w E[z̃ z̃ᵀ],   b_j = Σ w E[e_j z̃];   Σ w E[e_j²] falls by b_jᵀ A_j⁻¹ b_j
    /// ```
    pub(crate) fn regression(&self, model: &LinearGaussian) -> Result<Regression> {
        let (d, q) = (model.dim(), model.latents());
        let mut regression = Regression { mean: model.mean().clone(), loadings: model.loadings().clone(), error: self.error.clone() };
        let shared = if self.partial.nrows() == 0 { Some(factor(self.complete.view(), q + 1)?) } else { None };
        let steps: Vec<Array2<f64>> = (0..d)
            .into_par_iter()
            .map(|j| {
                let own;
                let lower = match &shared {
                    Some(lower) => lower,
                    None => {
                        own = factor((&self.complete + &self.partial.row(j)).view(), q + 1)?;
                        &own
                    }
                };
                let mut step = self.cross.row(j).to_owned().insert_axis(Axis(1));
                linalg::cholesky_solve(lower.view(), step.view_mut());
                Ok(step)
            })
            .collect::<Result<_>>()?;
        for (j, step) in steps.iter().enumerate() {
            let step = step.column(0);
            regression.mean[j] += step[q];
            regression.loadings.row_mut(j).zip_mut_with(&step.slice_axis(Axis(0), (..q).into()), |w, s| *w += s);
            regression.error[j] = (self.error[j] - self.cross.row(j).dot(&step)).max(0.0);
        }
        Ok(regression)
    }

    /// Mean (q) and covariance (q, q) of the latents over rows and posteriors: zero and the identity at a stationary point.
    pub(crate) fn latent_moments(&self, q: usize) -> (Array1<f64>, Array2<f64>) {
        let second = unpack(self.all.view(), q + 1) / self.weight;
        let mean = second.row(q).slice_axis(Axis(0), (..q).into()).to_owned();
        let covariance = Array2::from_shape_fn((q, q), |(a, b)| second[[a, b]] - mean[a] * mean[b]);
        (mean, covariance)
    }
}

/// The places of a packed lower triangle.
fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(|a| (0..=a).map(move |b| (a, b)))
}

fn unpack(packed: ArrayView1<'_, f64>, n: usize) -> Array2<f64> {
    let mut a = Array2::zeros((n, n));
    for (v, (i, j)) in packed.iter().zip(pairs(n)) {
        a[[i, j]] = *v;
        a[[j, i]] = *v;
    }
    a
}

fn factor(packed: ArrayView1<'_, f64>, n: usize) -> Result<Array2<f64>> {
    linalg::cholesky(unpack(packed, n).view()).map_err(|e| e.of("second moment of the latents"))
}
