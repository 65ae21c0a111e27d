//! Where responsibilities come from, and the sweep that turns them into sufficient statistics.

use crate::error::{Error, ErrorKind, Result};
use crate::gmm::covariance::CovarianceType;
use crate::gmm::kernel::{self, Accumulator, add_evidence};
use crate::gmm::missing;
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::posterior::{argmax, normalise};
use crate::gmm::statistics::Statistics;
use crate::rows::RowSource;
use crate::sweep::{Block, sweep};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, ShapeBuilder};

/// The rule by which a row is shared out between the components of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The posterior: the E-step of EM.
    Posterior,
    /// All of it to the most probable component.
    Hard,
    /// As given; the mixture only says where missing entries are.
    Given,
}

/// Responsibilities and completions of all rows, as a function of the data.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    pub(crate) mixture: GaussianMixture,
    pub(crate) rule: Rule,
}

impl Expectation {
    /// The statistics of all rows about `centres` (K, D), or about the means of the mixture. `given` (N, K) are the responsibilities of
    /// [`Rule::Given`], which stay where their owner has them: they may be larger than everything else here.
    pub(crate) fn gather(
        &self,
        data: &dyn RowSource,
        covariance: CovarianceType,
        centres: Option<ArrayView2<'_, f64>>,
        given: Option<&Array2<f64>>,
    ) -> Result<Statistics> {
        let (k, d) = self.mixture.means().dim();
        let plain = centres.is_none() && self.rule == Rule::Posterior && self.mixture.covariance_type() == covariance;
        let about = centres.unwrap_or(self.mixture.means().view());
        let new = || Accumulator::new(covariance, k, d);
        if plain && kernel::wants_rows(data, covariance) {
            return kernel::sums_by_row(self.mixture.prepared(), data, covariance);
        }
        let sums = sweep(data, kernel::plan(covariance, k, d), new, |accumulator, block| {
            if plain && !block.has_missing() {
                kernel::accumulate(self.mixture.prepared(), block, accumulator)
            } else {
                self.add(block, about, given, accumulator)
            }
        })?;
        Ok(sums.finish(self.mixture.prepared()))
    }

    /// A block about any centres.
    fn add(
        &self,
        block: &Block<'_>,
        centres: ArrayView2<'_, f64>,
        given: Option<&Array2<f64>>,
        accumulator: &mut Accumulator,
    ) -> Result<()> {
        let statistics = &mut accumulator.statistics;
        if block.has_missing() && self.rule == Rule::Posterior {
            return missing::accumulate(&self.mixture, block, centres, statistics);
        }
        let rows = block.n_rows();
        let mut gamma = Array2::zeros((rows, self.mixture.n_components()).f());
        let mut log_p = vec![0.0; rows];
        match self.rule {
            Rule::Given => {
                // invariant: whoever makes this rule hands its responsibilities to `gather`
                let given = given.expect("responsibilities");
                (0..rows).for_each(|i| gamma.row_mut(i).assign(&given.row(block.row_number(i))));
            }
            Rule::Posterior => {
                self.mixture.block_log_densities(block, gamma.view_mut())?;
                log_p = normalise(&mut gamma, block)?;
            }
            Rule::Hard => {
                self.mixture.block_log_densities(block, gamma.view_mut())?;
                for mut row in gamma.rows_mut() {
                    let best = argmax(row.view());
                    row.fill(0.0);
                    row[best] = 1.0;
                }
            }
        }
        add_evidence(statistics, block, &log_p);
        if block.has_missing() {
            return missing::add(&self.mixture, block, gamma.view(), centres, statistics);
        }
        let mut centred = Vec::new();
        for (k, c) in centres.outer_iter().enumerate() {
            // rows that have no share in a component cost it nothing
            let taken: Vec<usize> = (0..rows).filter(|&i| gamma[[i, k]] > 0.0).collect();
            let weights: Vec<f64> = taken.iter().map(|&i| block.weights().map_or(1.0, |w| w[i]) * gamma[[i, k]]).collect();
            centred.clear();
            for (j, c) in c.iter().enumerate() {
                let column = block.column(j);
                centred.extend(taken.iter().map(|&i| column[i] - c));
            }
            // invariant: every column pushed one number for each row taken
            let centred = ArrayViewMut2::from_shape((taken.len(), block.n_cols()).f(), &mut centred[..]).expect("rows taken");
            statistics.add(k, centred, &weights);
        }
        Ok(())
    }
}

/// Checks responsibilities given by the user, (N, K).
pub(crate) fn check_responsibilities(given: &Array2<f64>, n: usize, k: usize, data: &dyn RowSource) -> Result<()> {
    if given.nrows() != n {
        return Err(ErrorKind::Shape { what: "rows of the responsibilities", expected: n, found: given.nrows() }.into());
    }
    if given.ncols() != k {
        return Err(ErrorKind::Shape { what: "columns of the responsibilities", expected: k, found: given.ncols() }.into());
    }
    let weights = data.weights();
    for (n, row) in given.outer_iter().enumerate().filter(|(n, _)| weights.is_none_or(|w| w[*n] > 0.0)) {
        if let Some(k) = row.iter().position(|v| !(v.is_finite() && *v >= 0.0)) {
            return Err(Error::config("start", format!("responsibility {} in row {n}, component {k} (from 0); it must be ≥ 0", row[k])));
        }
        // written with six digits or more
        if (row.sum() - 1.0).abs() > 1e-5 {
            return Err(Error::config("start", format!("responsibilities of row {n} (from 0) sum to {}, not to 1", row.sum())));
        }
    }
    Ok(())
}
