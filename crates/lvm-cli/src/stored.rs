//! Model files, and what all families of models can do.

use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::input::Input;
use crate::report;
use lvm_core::criteria::Criteria;
use lvm_core::fa::FactorAnalysis;
use lvm_core::file::{self, FitRecord, Header};
use lvm_core::fit::Fitted;
use lvm_core::gmm::GaussianMixture;
use lvm_core::imputation::Imputation;
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::ppca::Ppca;
use lvm_core::rows::RowSource;
use ndarray::Array1;
use std::path::Path;

/// The families of models that this program knows; a file may hold one of a later version.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    /// A Gaussian mixture.
    Gmm(GaussianMixture),
    /// Probabilistic PCA.
    Ppca(Ppca),
    /// Factor analysis.
    Fa(FactorAnalysis),
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Gaussian mixtures.
    Gmm,
    /// Probabilistic PCA.
    Ppca,
    /// Factor analysis.
    Fa,
}

impl Family {
    /// `gmm`, `ppca` or `fa`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::Gmm => "gmm",
            Family::Ppca => "ppca",
            Family::Fa => "fa",
        }
    }
}

/// A model from a file.
pub(crate) struct Stored {
    pub(crate) path: String,
    pub(crate) model: Model,
    header: Header,
}

/// Reads a model file.
pub(crate) fn load(path: &Path) -> Outcome<Stored> {
    let (model, header) = lvm_data::model::load(path).map_err(hint::data)?;
    let model = match model {
        file::Model::Gmm(model) => Model::Gmm(model),
        file::Model::Ppca(model) => Model::Ppca(model),
        file::Model::Fa(model) => Model::Fa(model),
        other => {
            let message = format!("{}: this program can't use a model of kind {}; a later version may", path.display(), other.kind());
            return Err(Failure::fault(message));
        }
    };
    Ok(Stored { path: path.display().to_string(), model, header })
}

/// Writes a fitted model with the record of its fit, whole or not at all.
pub(crate) fn save(path: &Path, input: &Input, fitted: &Fitted<Model>, criteria: Criteria) -> Outcome {
    let header = Header {
        columns: input.columns().to_vec(),
        n: Some(input.total_weight()),
        fit: Some(FitRecord::from(fitted)),
        criteria: Some(criteria),
        ..Header::default()
    };
    let model = match fitted.model.clone() {
        Model::Gmm(model) => file::Model::Gmm(model),
        Model::Ppca(model) => file::Model::Ppca(model),
        Model::Fa(model) => file::Model::Fa(model),
    };
    lvm_data::model::save(path, &model, &header).map_err(hint::data)
}

impl Model {
    /// Which family it is of.
    pub(crate) fn family(&self) -> Family {
        match self {
            Model::Gmm(_) => Family::Gmm,
            Model::Ppca(_) => Family::Ppca,
            Model::Fa(_) => Family::Fa,
        }
    }
}

/// The number of free parameters.
pub(crate) fn n_parameters(model: &Model) -> usize {
    match model {
        Model::Gmm(model) => model.n_parameters(),
        Model::Ppca(model) => model.n_parameters(),
        Model::Fa(model) => model.n_parameters(),
    }
}

/// The file holds a model of another family than was needed.
pub(crate) fn wrong_family(path: &Path, found: &Model, needed: &str) -> Failure {
    Failure::fault(format!("{}: holds a model of family {}, but {needed} is needed here", path.display(), found.family().name()))
}

impl Stored {
    /// Which family the model is of.
    pub(crate) fn family(&self) -> Family {
        self.model.family()
    }

    /// The mixture with the record of its fit, if the file has one: what EM needs to go on as if it had not stopped.
    pub(crate) fn fitted(&self, mixture: GaussianMixture) -> Option<Fitted<GaussianMixture>> {
        self.header.fit.clone().map(|record| record.fitted(mixture))
    }

    /// D.
    pub(crate) fn dim(&self) -> usize {
        match &self.model {
            Model::Gmm(model) => model.dim(),
            Model::Ppca(model) => model.dim(),
            Model::Fa(model) => model.dim(),
        }
    }

    /// Names of the columns; x1 … xD where the file has none.
    pub(crate) fn columns(&self) -> Vec<String> {
        match self.header.columns.len() == self.dim() {
            true => self.header.columns.clone(),
            false => (1..=self.dim()).map(|j| format!("x{j}")).collect(),
        }
    }

    /// N it was fitted to.
    pub(crate) fn rows(&self) -> Option<f64> {
        self.header.n
    }

    /// How it was fitted.
    pub(crate) fn record(&self) -> Option<report::FitRecord> {
        let (fit, criteria) = (self.header.fit.as_ref()?, self.header.criteria?);
        Some(report::FitRecord {
            seed: fit.seed,
            status: fit.status,
            iterations: fit.trace.len(),
            trace: fit.trace.clone(),
            repairs: fit.repairs.clone(),
            log_likelihood: criteria.log_likelihood,
            mean_log_likelihood: criteria.mean_log_likelihood(),
            bic: criteria.bic(),
            aic: criteria.aic(),
        })
    }

    /// log p(x) of each row.
    pub(crate) fn log_evidence(&self, rows: &dyn RowSource) -> lvm_core::Result<Array1<f64>> {
        match &self.model {
            Model::Gmm(model) => model.log_evidence(rows),
            Model::Ppca(model) => model.log_evidence(rows),
            Model::Fa(model) => model.log_evidence(rows),
        }
    }

    /// Missing cells filled in.
    pub(crate) fn impute(&self, rows: &dyn RowSource) -> lvm_core::Result<Imputation> {
        match &self.model {
            Model::Gmm(model) => model.impute(rows),
            Model::Ppca(model) => model.impute(rows),
            Model::Fa(model) => model.impute(rows),
        }
    }
}
