//! Log-likelihood of a table and the criteria made from it.

use crate::criteria::Criteria;
use crate::error::Result;
use crate::gmm::kernel;
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::posterior::{entropy, normalise_log};
use crate::model::LatentModel;
use crate::rows::RowSource;
use crate::sweep::{Merge, check_shape, sweep};
use ndarray::Array2;

/// Sums over rows.
struct Sums {
    log_likelihood: f64,
    entropy: f64,
    weight: f64,
    logs: Array2<f64>,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.log_likelihood += other.log_likelihood;
        self.entropy += other.entropy;
        self.weight += other.weight;
    }
}

impl GaussianMixture {
    /// Log-likelihood, parameters and total weight of a table, from which BIC and AIC follow.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn criteria(&self, data: &dyn RowSource) -> Result<Criteria> {
        Ok(self.criteria_and_icl(data)?.0)
    }

    /// ICL = BIC + 2 Σ_n w_n H[p(z_n | x_n)] (Biernacki, Celeux & Govaert 2000, with the entropy itself instead of hard labels):
    /// lower is better, and components that overlap are punished.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn icl(&self, data: &dyn RowSource) -> Result<f64> {
        Ok(self.criteria_and_icl(data)?.1)
    }

    pub(crate) fn criteria_and_icl(&self, data: &dyn RowSource) -> Result<(Criteria, f64)> {
        let (k, d) = self.means().dim();
        check_shape(data, Some(d))?;
        let sums = sweep(
            data,
            kernel::plan(self.covariance_type(), k, d),
            || Sums { log_likelihood: 0.0, entropy: 0.0, weight: 0.0, logs: Array2::zeros((0, k)) },
            |sums, block| {
                if sums.logs.nrows() != block.n_rows() {
                    sums.logs = Array2::zeros((block.n_rows(), k));
                }
                self.block_log_densities(block, sums.logs.view_mut())?;
                for (i, mut row) in sums.logs.rows_mut().into_iter().enumerate() {
                    let w = block.weights().map_or(1.0, |w| w[i]);
                    sums.log_likelihood += w * normalise_log(row.view_mut(), block, i)?;
                    sums.entropy += w * entropy(row.view());
                    sums.weight += w;
                }
                Ok(())
            },
        )?;
        let criteria = Criteria { log_likelihood: sums.log_likelihood, n_parameters: self.n_parameters(), n: sums.weight };
        Ok((criteria, criteria.bic() + 2.0 * sums.entropy))
    }
}
