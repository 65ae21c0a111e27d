//! The code under test, seen through one trait, so that a deliberately broken implementer can be put in its place.
//!
//! It stands for the closed-form models. A log density of one's own needs no trait of the suite: [`crate::target`] takes it as lvm-vi does.

use lvm_core::Result;
use lvm_core::criteria::Criteria;
use lvm_core::fa::{FaMl, FactorAnalysis};
use lvm_core::file::{self, Header, Model};
use lvm_core::fit::Fitted;
use lvm_core::gmm::{GaussianMixture, GmmEm};
use lvm_core::imputation::Imputation;
use lvm_core::model::{Evidence, Infer};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl};
use lvm_core::rows::RowSource;
use ndarray::{Array1, Array2, ArrayView2};

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

    /// A mixture by EM.
    ///
    /// # Errors
    /// Whatever the library says.
    fn fit_mixture(&self, algorithm: &GmmEm, data: &dyn RowSource, seed: u64) -> Result<Fitted<GaussianMixture>> {
        algorithm.fit(data, seed)
    }

    /// log p(x_n) under a mixture.
    ///
    /// # Errors
    /// Whatever the library says.
    fn mixture_evidence(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<Array1<f64>> {
        model.log_evidence(data)
    }

    /// γ_nk.
    ///
    /// # Errors
    /// Whatever the library says.
    fn responsibilities(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<Array2<f64>> {
        model.responsibilities(data)
    }

    /// Log-likelihood with what BIC needs.
    ///
    /// # Errors
    /// Whatever the library says.
    fn mixture_criteria(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<Criteria> {
        model.criteria(data)
    }

    /// ICL of a mixture.
    ///
    /// # Errors
    /// Whatever the library says.
    fn icl(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<f64> {
        model.icl(data)
    }

    /// Missing entries given the observed ones, under a mixture.
    ///
    /// # Errors
    /// Whatever the library says.
    fn impute_mixture(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<Imputation> {
        model.impute(data)
    }

    /// Maximum-likelihood PPCA in closed form.
    ///
    /// # Errors
    /// Whatever the library says.
    fn fit_ppca(&self, algorithm: &PpcaMl, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
        algorithm.fit(data, seed)
    }

    /// PPCA by EM.
    ///
    /// # Errors
    /// Whatever the library says.
    fn fit_ppca_em(&self, algorithm: &PpcaEm, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
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

    /// Missing entries given the observed ones, under PPCA.
    ///
    /// # Errors
    /// Whatever the library says.
    fn impute_ppca(&self, model: &Ppca, data: &dyn RowSource) -> Result<Imputation> {
        model.impute(data)
    }

    /// Maximum-likelihood factor analysis.
    ///
    /// # Errors
    /// Whatever the library says.
    fn fit_factors(&self, algorithm: &FaMl, data: &dyn RowSource, seed: u64) -> Result<Fitted<FactorAnalysis>> {
        algorithm.fit(data, seed)
    }

    /// The same from a covariance matrix.
    ///
    /// # Errors
    /// Whatever the library says.
    fn fit_factors_to_covariance(&self, algorithm: &FaMl, covariance: ArrayView2<'_, f64>, n: f64) -> Result<Fitted<FactorAnalysis>> {
        algorithm.fit_covariance(covariance, n)
    }

    /// ψ_j / Var x_j.
    fn uniquenesses(&self, model: &FactorAnalysis) -> Array1<f64> {
        model.uniquenesses()
    }

    /// log p(x_n) under factor analysis.
    ///
    /// # Errors
    /// Whatever the library says.
    fn factor_evidence(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Array1<f64>> {
        model.log_evidence(data)
    }

    /// p(z | x) under factor analysis, of complete rows.
    ///
    /// # Errors
    /// Whatever the library says.
    fn factor_posterior(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Latents> {
        let q = model.infer(data)?;
        Ok(Latents { mean: q.mean().clone(), covariance: q.covariance(0).to_owned() })
    }

    /// Log-likelihood with what BIC needs.
    ///
    /// # Errors
    /// Whatever the library says.
    fn factor_criteria(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Criteria> {
        model.criteria(data)
    }

    /// Missing entries given the observed ones, under factor analysis.
    ///
    /// # Errors
    /// Whatever the library says.
    fn impute_factors(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Imputation> {
        model.impute(data)
    }

    /// The bytes of a model file.
    ///
    /// # Errors
    /// Whatever the library says.
    fn encode(&self, model: &Model, header: &Header) -> Result<Vec<u8>> {
        file::encode(model, header)
    }

    /// The model and the header of a model file.
    ///
    /// # Errors
    /// Whatever the library says.
    fn decode(&self, bytes: &[u8]) -> Result<(Model, Header)> {
        file::decode(bytes)
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
