//! Missing entries given the observed ones.

use super::evidence::each_pattern;
use super::woodbury::masks;
use super::{LinearGaussian, Woodbury};
use crate::error::Result;
use crate::imputation::{Imputation, MissingBlock};
use crate::linalg;
use crate::model::LatentModel;
use crate::rows::{Missing, RowSource};
use crate::sweep::{check_shape, map_rows};
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use std::collections::HashMap;

/// The distinct sets of observed columns of a table.
pub(super) struct Patterns {
    /// Observed columns of each pattern, in order of first appearance.
    observed: Vec<Vec<usize>>,
    /// The pattern of each row; `None` if every row is complete.
    pub(super) index: Option<Vec<usize>>,
}

impl Patterns {
    pub(super) fn of(x: &dyn RowSource) -> Result<Self> {
        let d = x.n_cols();
        let complete = || Patterns { observed: vec![(0..d).collect()], index: None };
        if x.missing() == Missing::Refuse {
            return Ok(complete());
        }
        let words = d.div_ceil(64);
        // a mask travels through the table of numbers as its bit pattern
        let bits = map_rows(
            x,
            words,
            || (),
            |(), block, mut out| {
                if block.has_missing() {
                    out.iter_mut().zip(masks(block)).for_each(|(o, m)| *o = f64::from_bits(m));
                }
                Ok(())
            },
        )?;
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut observed: Vec<Vec<usize>> = Vec::new();
        let mut index = Vec::with_capacity(x.n_rows());
        for row in bits.axis_iter(Axis(0)) {
            let mask: Vec<u64> = row.iter().map(|v| v.to_bits()).collect();
            let columns = (0..d).filter(|j| mask[j / 64] >> (j % 64) & 1 == 0);
            let next = observed.len();
            let pattern = *seen.entry(mask.clone()).or_insert(next);
            if pattern == next {
                observed.push(columns.collect());
            }
            index.push(pattern);
        }
        let one_and_complete = observed.len() == 1 && observed[0].len() == d;
        Ok(if one_and_complete { complete() } else { Patterns { observed, index: Some(index) } })
    }

    /// One value for each pattern, in parallel.
    pub(super) fn map<T: Send>(&self, f: impl Fn(&[usize]) -> Result<T> + Sync) -> Result<Vec<T>> {
        self.observed.par_iter().map(|columns| f(columns)).collect()
    }
}

impl LinearGaussian {
    /// The table with its missing entries replaced by E[x_m | x_o] = μ_m + W_m z̄, and Cov[x_m | x_o] = W_m M_o⁻¹ W_mᵀ + Ψ_m of each
    /// row that has any. A row with nothing observed gets the mean and the whole covariance.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model; NaN is an error unless the source says that it means missing.
    pub fn impute(&self, x: &dyn RowSource) -> Result<Imputation> {
        check_shape(x, Some(self.dim()))?;
        let complete = self.complete()?;
        let filled = map_rows(x, self.dim(), Vec::new, |buffer, block, mut out| {
            out.assign(&block.x());
            if !block.has_missing() {
                return Ok(());
            }
            each_pattern(self, &complete, block, |pattern, rows| {
                let missing = others(&pattern.columns, self.dim());
                let means = pattern.posterior_means(block, rows, buffer);
                for (i, z) in means.rows().into_iter().enumerate() {
                    let row = rows.map_or(i, |r| r[i]);
                    for &j in &missing {
                        out[[row, j]] = self.mean[j] + self.loadings.row(j).dot(&z);
                    }
                }
                Ok(())
            })
        })?;
        let patterns = Patterns::of(x)?;
        let conditionals = patterns.map(|columns| {
            let missing = others(columns, self.dim());
            Ok((self.conditional_covariance(columns, &missing)?, missing))
        })?;
        let mut blocks = Vec::new();
        for (row, &pattern) in patterns.index.iter().flatten().enumerate() {
            let (covariance, columns) = &conditionals[pattern];
            if !columns.is_empty() {
                let mean = filled.row(row).select(Axis(0), columns);
                blocks.push(MissingBlock { row, columns: columns.clone(), mean, covariance: covariance.clone() });
            }
        }
        Ok(Imputation { x: filled, blocks })
    }

    /// Cov[x_m | x_o] = W_m M_o⁻¹ W_mᵀ + Ψ_m.
    fn conditional_covariance(&self, observed: &[usize], missing: &[usize]) -> Result<Array2<f64>> {
        let mut covariance = Array2::zeros((missing.len(), missing.len()));
        if missing.is_empty() {
            return Ok(covariance);
        }
        if self.latents() > 0 {
            let posterior = Woodbury::new(self, observed.to_vec())?.covariance();
            let loadings = self.loadings.select(Axis(0), missing);
            let product = linalg::matmul(loadings.view(), posterior.view());
            linalg::add_lower(1.0, product.t(), loadings.t(), covariance.view_mut());
            linalg::mirror_lower(&mut covariance);
        }
        for (i, &j) in missing.iter().enumerate() {
            covariance[[i, i]] += self.noise[j];
        }
        Ok(covariance)
    }
}

/// The columns that are not in `observed` (ascending).
fn others(observed: &[usize], d: usize) -> Vec<usize> {
    (0..d).filter(|j| observed.binary_search(j).is_err()).collect()
}
