//! Bartlett's factor scores.

use crate::error::Result;
use crate::linalg;
use crate::linear_gaussian::{Groups, LinearGaussian};
use crate::model::LatentModel;
use crate::rows::RowSource;
use crate::sweep::{Block, check_shape, map_rows};
use ndarray::{Array1, Array2, Axis, Slice};

/// Weighted least-squares estimates of the factors of N rows with their covariance given the factors.
#[derive(Debug, Clone, PartialEq)]
pub struct BartlettScores {
    /// ẑ (N, q).
    pub scores: Array2<f64>,
    /// Cov[ẑ_n | z_n] of complete rows (q, q).
    pub covariance: Array2<f64>,
    /// Cov[ẑ_n | z_n] of each row that has missing entries, in row order.
    pub incomplete: Vec<(usize, Array2<f64>)>,
}

impl BartlettScores {
    /// Cov[ẑ_n | z_n] (q, q) of row `n`.
    pub fn covariance_of(&self, n: usize) -> &Array2<f64> {
        match self.incomplete.binary_search_by_key(&n, |(row, _)| *row) {
            Ok(i) => &self.incomplete[i].1,
            Err(_) => &self.covariance,
        }
    }

    /// In the axes f = Tᵀ z.
    pub(super) fn transformed(self, t: &Array2<f64>) -> Self {
        let turn = |c: &Array2<f64>| t.t().dot(c).dot(t);
        BartlettScores {
            scores: self.scores.dot(t),
            covariance: turn(&self.covariance),
            incomplete: self.incomplete.iter().map(|(row, c)| (*row, turn(c))).collect(),
        }
    }
}

/// What rows with the same observed columns share.
struct Weights {
    columns: Vec<usize>,
    /// Ψ⁻¹ W (Wᵀ Ψ⁻¹ W)⁻¹ over the observed columns (O, q).
    regression: Array2<f64>,
    covariance: Array2<f64>,
}

impl Weights {
    fn new(model: &LinearGaussian, columns: Vec<usize>) -> Result<Self> {
        let q = model.latents();
        let w = model.loadings().select(Axis(0), &columns);
        let psi = model.noise().select(Axis(0), &columns);
        let scaled = &w / &psi.mapv(f64::sqrt).insert_axis(Axis(1));
        let mut regression = w / &psi.insert_axis(Axis(1));
        if q == 0 {
            return Ok(Weights { columns, regression, covariance: Array2::zeros((0, 0)) });
        }
        let mut information = Array2::zeros((q, q));
        linalg::gram_lower(1.0, scaled.view(), information.view_mut());
        let lower = linalg::cholesky(information.view())
            .map_err(|e| e.of(format!("WᵀΨ⁻¹W over {} observed columns, which must determine {q} factors,", columns.len())))?;
        linalg::cholesky_solve(lower.view(), regression.view_mut().reversed_axes());
        Ok(Weights { columns, regression, covariance: linalg::cholesky_inverse(lower.view()) })
    }

    fn score(&self, model: &LinearGaussian, block: &Block<'_>, row: usize) -> Array1<f64> {
        let mut z = Array1::zeros(model.latents());
        for (i, &j) in self.columns.iter().enumerate() {
            z.scaled_add(block.column(j)[row] - model.mean()[j], &self.regression.row(i));
        }
        z
    }
}

pub(super) fn scores(model: &LinearGaussian, x: &dyn RowSource) -> Result<BartlettScores> {
    check_shape(x, Some(model.dim()))?;
    let q = model.latents();
    let complete = Weights::new(model, (0..model.dim()).collect())?;
    // ẑ, then the covariance of rows that have a hole (NaN in the others)
    let out = map_rows(
        x,
        q + q * q,
        || (),
        |(), block, mut out| {
            out.fill(f64::NAN);
            let groups = match block.has_missing() {
                true => Groups::of(block).groups,
                false => vec![(complete.columns.clone(), (0..block.n_rows()).collect())],
            };
            for (columns, rows) in groups {
                let own = if columns.len() == model.dim() { None } else { Some(Weights::new(model, columns)?) };
                for row in rows {
                    let mut target = out.row_mut(row);
                    let z = own.as_ref().unwrap_or(&complete).score(model, block, row);
                    target.slice_axis_mut(Axis(0), Slice::from(..q)).assign(&z);
                    if let Some(own) = &own {
                        target.iter_mut().skip(q).zip(&own.covariance).for_each(|(t, c)| *t = *c);
                    }
                }
            }
            Ok(())
        },
    )?;
    let incomplete = out
        .rows()
        .into_iter()
        .enumerate()
        .filter(|(_, row)| q > 0 && !row[q].is_nan())
        .map(|(n, row)| (n, Array2::from_shape_fn((q, q), |(a, b)| row[q + a * q + b])))
        .collect();
    Ok(BartlettScores { scores: out.slice_axis(Axis(1), Slice::from(..q)).to_owned(), covariance: complete.covariance, incomplete })
}
