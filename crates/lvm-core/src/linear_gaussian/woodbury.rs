//! The matrix inversion lemma for W Wᵀ + Ψ restricted to the observed columns.

use super::{LOG_2PI, LinearGaussian};
use crate::error::Result;
use crate::linalg;
use crate::sweep::Block;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, ShapeBuilder};

/// What all rows with the same observed columns o share.
pub(crate) struct Woodbury {
    /// o, ascending (O of them).
    pub(crate) columns: Vec<usize>,
    /// μ_o (O).
    mean: Vec<f64>,
    /// ψ_o^{-1/2} (O).
    scale: Vec<f64>,
    /// W̃ = Ψ_o^{-1/2} W_o (O, q).
    scaled: Array2<f64>,
    /// L with L Lᵀ = M = I + W̃ᵀ W̃ (q, q).
    lower: Array2<f64>,
    /// W̃ M⁻¹ (O, q), so that z̄ = r̃ᵀ W̃ M⁻¹.
    regression: Array2<f64>,
    /// −½ (O log 2π + Σ log ψ_o + log det M).
    log_normaliser: f64,
}

impl Woodbury {
    pub(crate) fn new(model: &LinearGaussian, columns: Vec<usize>) -> Result<Self> {
        let q = model.latents();
        let mean = columns.iter().map(|&j| model.mean[j]).collect();
        let scale: Vec<f64> = columns.iter().map(|&j| 1.0 / model.noise[j].sqrt()).collect();
        let scaled = Array2::from_shape_fn((columns.len(), q).f(), |(i, k)| model.loadings[[columns[i], k]] * scale[i]);
        let mut lower = Array2::eye(q);
        let mut regression = scaled.clone();
        if q > 0 {
            if !columns.is_empty() {
                linalg::gram_lower(1.0, scaled.view(), lower.view_mut());
            }
            lower = linalg::cholesky(lower.view()).map_err(|e| e.of("I + WᵀΨ⁻¹W"))?;
            linalg::cholesky_solve(lower.view(), regression.view_mut().reversed_axes());
        }
        // log det (W Wᵀ + Ψ) = log det Ψ + log det M
        let log_det = columns.iter().map(|&j| model.noise[j].ln()).sum::<f64>() + linalg::log_det(lower.view());
        // 0 − …, so that a row of which nothing is observed has log p = 0 and not −0
        let log_normaliser = 0.0 - 0.5 * (columns.len() as f64 * LOG_2PI + log_det);
        Ok(Woodbury { columns, mean, scale, scaled, lower, regression, log_normaliser })
    }

    /// Cov[z | x_o] = M⁻¹ (q, q).
    pub(crate) fn covariance(&self) -> Array2<f64> {
        if self.lower.is_empty() { self.lower.clone() } else { linalg::cholesky_inverse(self.lower.view()) }
    }

    /// r̃ = Ψ^{-1/2} (x_o − μ_o) of the chosen rows of a block, into `buffer`; (n, O).
    fn standardise<'b>(&self, block: &Block<'_>, rows: Option<&[usize]>, buffer: &'b mut Vec<f64>) -> ArrayViewMut2<'b, f64> {
        buffer.clear();
        for (i, &j) in self.columns.iter().enumerate() {
            let (column, mean, scale) = (block.column(j), self.mean[i], self.scale[i]);
            match rows {
                None => buffer.extend(column.iter().map(|x| (x - mean) * scale)),
                Some(rows) => buffer.extend(rows.iter().map(|&r| (column[r] - mean) * scale)),
            }
        }
        let n = rows.map_or(block.n_rows(), <[usize]>::len);
        // invariant: O columns of n numbers were just written
        ArrayViewMut2::from_shape((n, self.columns.len()).f(), &mut buffer[..]).expect("standardised block")
    }

    /// Posterior means z̄ of the chosen rows; (n, q).
    pub(crate) fn posterior_means(&self, block: &Block<'_>, rows: Option<&[usize]>, buffer: &mut Vec<f64>) -> Array2<f64> {
        let r = self.standardise(block, rows, buffer);
        self.means_of(r.view())
    }

    fn means_of(&self, r: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut z = Array2::zeros((r.nrows(), self.lower.nrows()).f());
        if !z.is_empty() && r.ncols() > 0 {
            linalg::matmul_into(r, self.regression.view(), z.view_mut());
        }
        z
    }

    /// Posterior means (n, q), log evidence (n), and in `buffer` the standardised residuals r̃ − W̃ z̄ (n, O), column after column.
    pub(crate) fn evidence(&self, block: &Block<'_>, rows: Option<&[usize]>, buffer: &mut Vec<f64>) -> (Array2<f64>, Array1<f64>) {
        let mut r = self.standardise(block, rows, buffer);
        let z = self.means_of(r.view());
        if !z.is_empty() && r.ncols() > 0 {
            linalg::add_matmul(-1.0, z.view(), self.scaled.t(), r.view_mut());
        }
        // (x − μ)ᵀ (W Wᵀ + Ψ)⁻¹ (x − μ) = ‖r̃ − W̃ z̄‖² + ‖z̄‖²: the minimum over z of the exponent of the joint
        let mut quadratic: Array1<f64> = Array1::zeros(r.nrows());
        for column in r.columns().into_iter().chain(z.columns()) {
            quadratic.zip_mut_with(&column, |s, v| *s += v * v);
        }
        let log_evidence = quadratic.mapv_into(|s| self.log_normaliser - 0.5 * s);
        (z, log_evidence)
    }

    /// ψ_o^{-1/2} (O).
    pub(crate) fn scale(&self) -> &[f64] {
        &self.scale
    }
}

/// The rows of a block that have an entry missing, by their observed columns.
pub(crate) struct Groups {
    /// Observed columns, and the rows of the block that observe exactly these.
    pub(crate) groups: Vec<(Vec<usize>, Vec<usize>)>,
}

impl Groups {
    /// Groups in order of first appearance, rows ascending in each.
    pub(crate) fn of(block: &Block<'_>) -> Self {
        let masks = masks(block);
        let mut index = std::collections::HashMap::new();
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        let words = block.n_cols().div_ceil(64);
        for i in 0..block.n_rows() {
            let mask = &masks[i * words..(i + 1) * words];
            let group = *index.entry(mask).or_insert_with(|| {
                groups.push(((0..block.n_cols()).filter(|j| mask[j / 64] >> (j % 64) & 1 == 0).collect(), Vec::new()));
                groups.len() - 1
            });
            groups[group].1.push(i);
        }
        Groups { groups }
    }
}

/// One bit a cell, set where it is missing; ⌈D/64⌉ words a row.
pub(super) fn masks(block: &Block<'_>) -> Vec<u64> {
    let words = block.n_cols().div_ceil(64);
    let mut masks = vec![0u64; block.n_rows() * words];
    for j in 0..block.n_cols() {
        for (i, value) in block.column(j).iter().enumerate() {
            masks[i * words + j / 64] |= u64::from(value.is_nan()) << (j % 64);
        }
    }
    masks
}
