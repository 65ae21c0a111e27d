//! The code under test, seen through one trait, so that a deliberately broken implementer can be put in its place.

use lvm_core::criteria::Criteria;
use lvm_core::fit::Fitted;
use lvm_core::model::{Evidence, Infer};
use lvm_core::ppca::{Ppca, PpcaMl};
use lvm_core::rows::RowSource;
use lvm_core::Result;
use ndarray::{Array1, Array2};

/// The posterior of continuous latents where all rows share a covariance, as they do when nothing is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Latents {
    /// E[z_n | x_n] (N, q).
    pub mean: Array2<f64>,
    /// Cov[z_n | x_n] (q, q).
    pub covariance: Array2<f64>,
}

/// Everything the checks call and a planted fault can replace. The defaults call the library.
pub trait Subject: Sync {
    /// What is tested.
    fn name(&self) -> &str {
        "lvm-core"
    }

    /// Maximum-likelihood PPCA in closed form.
    ///
    /// # Errors
    /// Whatever the library says.
    fn fit_ppca(&self, algorithm: &PpcaMl, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
        algorithm.fit(data, seed)
    }

    /// log p(x_n) under PPCA.
    ///
    /// # Errors
    /// Whatever the library says.
    fn ppca_evidence(&self, model: &Ppca, data: &dyn RowSource) -> Result<Array1<f64>> {
        model.log_evidence(data)
    }

    /// p(z | x) under PPCA, of complete rows.
    ///
    /// # Errors
    /// Whatever the library says.
    fn ppca_posterior(&self, model: &Ppca, data: &dyn RowSource) -> Result<Latents> {
        let q = model.infer(data)?;
        Ok(Latents { mean: q.mean().clone(), covariance: q.covariance(0).to_owned() })
    }

    /// Log-likelihood with what BIC needs.
    ///
    /// # Errors
    /// Whatever the library says.
    fn ppca_criteria(&self, model: &Ppca, data: &dyn RowSource) -> Result<Criteria> {
        model.criteria(data)
    }

    /// BIC of a record.
    fn bic(&self, criteria: &Criteria) -> f64 {
        criteria.bic()
    }

    /// AIC of a record.
    fn aic(&self, criteria: &Criteria) -> f64 {
        criteria.aic()
    }
}

/// The library as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Library;

impl Subject for Library {}
