//! Model files, and what all families of models can do.

use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::input::Input;
use crate::report::{self, Bound, Reached};
use lvm_core::criteria::Criteria;
use lvm_core::fa::FactorAnalysis;
use lvm_core::file::{self, FitRecord, Header};
use lvm_core::fit::Fitted;
use lvm_core::gmm::GaussianMixture;
use lvm_core::imputation::Imputation;
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::ppca::Ppca;
use lvm_core::rows::RowSource;
use lvm_vi::cavi::bayesian_ppca::BayesianPpcaModel;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::LdaModel;
use lvm_vi::cavi::mixture::BayesianMixtureModel;
use lvm_vi::cavi::multinomial_mixture::MultinomialMixturePosterior;
use lvm_vi::file as vi;
use ndarray::Array1;
use std::fs::File;
use std::io::Read;
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
    /// A Bayesian Gaussian mixture.
    Bgmm(BayesianMixtureModel),
    /// Bayesian PCA.
    Bppca(BayesianPpcaModel),
    /// A Bayesian mixture of multinomials.
    Multinomial(MultinomialMixturePosterior),
    /// Latent Dirichlet allocation.
    Lda(LdaModel),
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
    /// Bayesian Gaussian mixtures.
    Bgmm,
    /// Bayesian PCA.
    Bppca,
    /// Bayesian mixtures of multinomials.
    Multinomial,
    /// Latent Dirichlet allocation.
    Lda,
    /// Variational autoencoders, which have files and commands of their own.
    #[cfg(feature = "deep")]
    Vae,
}

impl Family {
    /// Whether a missing cell can be integrated out.
    pub(crate) fn takes_missing(self) -> bool {
        matches!(self, Family::Gmm | Family::Ppca | Family::Fa)
    }

    /// As it is typed and as files name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::Gmm => "gmm",
            Family::Ppca => "ppca",
            Family::Fa => "fa",
            Family::Bgmm => "bgmm",
            Family::Bppca => "bppca",
            Family::Multinomial => "multinomial-mixture",
            Family::Lda => "lda",
            #[cfg(feature = "deep")]
            Family::Vae => "vae",
        }
    }
}

/// A model from a file.
pub(crate) struct Stored {
    pub(crate) path: String,
    pub(crate) model: Model,
    header: Header,
}

/// Whether the file holds a variational autoencoder, by its header alone; what can't be read is none.
pub(crate) fn is_neural(path: &Path) -> bool {
    // a safetensors file: the length of its header in 8 bytes, then the header
    let kind = || {
        let mut file = File::open(path).ok()?;
        let mut length = [0; 8];
        file.read_exact(&mut length).ok()?;
        let length = u64::from_le_bytes(length);
        let mut json = Vec::new();
        file.take(length.min(LARGEST_HEADER)).read_to_end(&mut json).ok()?;
        let header: serde_json::Value = serde_json::from_slice(&json).ok()?;
        let inner: serde_json::Value = serde_json::from_str(header["__metadata__"]["lvm-model"].as_str()?).ok()?;
        Some(inner["kind"] == "vae")
    };
    kind().unwrap_or(false)
}

/// As the format allows.
const LARGEST_HEADER: u64 = 100_000_000;

/// Reads a model file of any family but the neural ones.
pub(crate) fn load(path: &Path) -> Outcome<Stored> {
    if is_neural(path) {
        return Err(neural_here(path));
    }
    let (model, header) = lvm_data::model::load_with(path, vi::decode).map_err(hint::data)?;
    let model = match model {
        vi::Model::Core(file::Model::Gmm(model)) => Model::Gmm(model),
        vi::Model::Core(file::Model::Ppca(model)) => Model::Ppca(model),
        vi::Model::Core(file::Model::Fa(model)) => Model::Fa(model),
        vi::Model::BayesianMixture(model) => Model::Bgmm(model),
        vi::Model::BayesianPpca(model) => Model::Bppca(model),
        vi::Model::MultinomialMixture(model) => Model::Multinomial(model),
        vi::Model::Lda(model) => Model::Lda(model),
        other => {
            let message = format!("{}: this program can't use a model of kind {}; a later version may", path.display(), other.kind());
            return Err(Failure::fault(message));
        }
    };
    Ok(Stored { path: path.display().to_string(), model, header })
}

/// Writes a fitted model with the record of its fit, whole or not at all.
pub(crate) fn save(path: &Path, input: &Input, fitted: &Fitted<Model>, criteria: Option<Criteria>) -> Outcome {
    let header = Header {
        columns: input.columns().to_vec(),
        n: Some(input.total_weight()),
        fit: Some(FitRecord::from(fitted)),
        criteria,
        ..Header::default()
    };
    let model = match fitted.model.clone() {
        Model::Gmm(model) => vi::Model::Core(file::Model::Gmm(model)),
        Model::Ppca(model) => vi::Model::Core(file::Model::Ppca(model)),
        Model::Fa(model) => vi::Model::Core(file::Model::Fa(model)),
        Model::Bgmm(model) => vi::Model::BayesianMixture(model),
        Model::Bppca(model) => vi::Model::BayesianPpca(model),
        Model::Multinomial(model) => vi::Model::MultinomialMixture(model),
        Model::Lda(model) => vi::Model::Lda(model),
    };
    lvm_data::model::save_bytes(path, vi::encode(&model, &header)).map_err(hint::data)
}

/// A neural model where none can be used.
#[cfg(feature = "deep")]
fn neural_here(path: &Path) -> Failure {
    Failure::fault(format!(
        "{}: a variational autoencoder, which this command does not take; info, score, posterior, map, sample, impute, reconstruct, \
         interpolate, ood, compare, verify and plot do",
        path.display()
    ))
}

/// A neural model in a build without them.
#[cfg(not(feature = "deep"))]
fn neural_here(path: &Path) -> Failure {
    Failure::fault(format!("{}: a variational autoencoder, and {NO_NEURAL_MODELS}", path.display()))
}

/// Why not, and what to do.
#[cfg(not(feature = "deep"))]
pub(crate) const NO_NEURAL_MODELS: &str = "this build of lvm has no neural models. In a clone of the repository,\n  cargo xtask setup\n  \
     cargo install --path crates/lvm-cli --features deep\nbuilds one that has: the first line provides libtorch";

impl Model {
    /// Which family it is of.
    pub(crate) fn family(&self) -> Family {
        match self {
            Model::Gmm(_) => Family::Gmm,
            Model::Ppca(_) => Family::Ppca,
            Model::Fa(_) => Family::Fa,
            Model::Bgmm(_) => Family::Bgmm,
            Model::Bppca(_) => Family::Bppca,
            Model::Multinomial(_) => Family::Multinomial,
            Model::Lda(_) => Family::Lda,
        }
    }
}

/// Counts of words from a table, a document a row.
pub(crate) fn documents(rows: &dyn RowSource) -> lvm_core::Result<Documents> {
    let documents = Documents::from_table(rows)?;
    match documents.len() == rows.n_rows() {
        true => Ok(documents),
        false => Err(weightless()),
    }
}

/// Documents of weight zero would shift the numbers of the rows after them.
pub(crate) fn weightless() -> lvm_core::Error {
    lvm_core::Error::config("documents", "documents of weight zero must be left out of the table")
}

/// Components with at least half a row, or latent dimensions not switched off.
pub(crate) fn in_use(model: &Model) -> usize {
    match model {
        Model::Gmm(model) => model.n_components(),
        Model::Ppca(model) => model.components(),
        Model::Fa(model) => model.factors(),
        // of m rows, β = β₀ + m of them are in a component
        Model::Bgmm(model) => {
            let prior = model.prior().mean_precision();
            model.components().mean_precision().iter().filter(|beta| **beta - prior >= 0.5).count()
        }
        Model::Bppca(model) => model.effective_dimension(),
        Model::Multinomial(model) => model.weights().alpha().iter().filter(|a| **a - model.priors().0 >= 0.5).count(),
        Model::Lda(model) => {
            let words = model.vocabulary() as f64;
            model.lambda().columns().into_iter().filter(|column| column.sum() - words * model.eta() >= 0.5).count()
        }
    }
}

/// The number of free parameters, of a model that was fitted by maximum likelihood.
pub(crate) fn n_parameters(model: &Model) -> Option<usize> {
    match model {
        Model::Gmm(model) => Some(model.n_parameters()),
        Model::Ppca(model) => Some(model.n_parameters()),
        Model::Fa(model) => Some(model.n_parameters()),
        Model::Bgmm(_) | Model::Bppca(_) | Model::Multinomial(_) | Model::Lda(_) => None,
    }
}

/// The file holds a model of another family than was needed.
pub(crate) fn wrong_family(path: &Path, found: &Model, needed: &str) -> Failure {
    Failure::fault(format!(
        "{}: holds a model of family {}, but {needed} is needed here\n  hint: --init goes on from a model of the same family; without it \
         the fit begins anew",
        path.display(),
        found.family().name()
    ))
}

impl Stored {
    /// An error if an option was typed that only neural models know.
    #[cfg(feature = "deep")]
    pub(crate) fn refuse(&self, options: &[(&str, bool)]) -> Outcome {
        match options.iter().find(|(_, typed)| *typed) {
            None => Ok(()),
            Some((option, _)) => {
                let family = self.family().name();
                Err(Failure::usage(format!("{option} is for neural models; {} is a model of family {family}", self.path)))
            }
        }
    }

    /// Which family the model is of.
    pub(crate) fn family(&self) -> Family {
        self.model.family()
    }

    /// The model with the record of its fit, if the file has one: what a fit needs to go on as if it had not stopped.
    pub(crate) fn fitted<M>(&self, model: M) -> Option<Fitted<M>> {
        self.header.fit.clone().map(|record| record.fitted(model))
    }

    /// D.
    pub(crate) fn dim(&self) -> usize {
        match &self.model {
            Model::Gmm(model) => model.dim(),
            Model::Ppca(model) => model.dim(),
            Model::Fa(model) => model.dim(),
            Model::Bgmm(model) => model.dim(),
            Model::Bppca(model) => model.mean().len(),
            Model::Multinomial(model) => model.words().first().map_or(0, |q| q.alpha().len()),
            Model::Lda(model) => model.vocabulary(),
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
        let fit = self.header.fit.as_ref()?;
        let reached = match (n_parameters(&self.model), self.header.criteria) {
            (Some(_), criteria) => {
                let criteria = criteria?;
                Reached::Likelihood {
                    log_likelihood: criteria.log_likelihood,
                    mean_log_likelihood: criteria.mean_log_likelihood(),
                    bic: criteria.bic(),
                    aic: criteria.aic(),
                }
            }
            (None, _) => Reached::Bound(Bound::new(*fit.trace.last()?, self.header.n?, None)),
        };
        Some(report::FitRecord {
            seed: fit.seed,
            status: fit.status,
            iterations: fit.trace.len(),
            trace: fit.trace.clone(),
            repairs: fit.repairs.clone(),
            reached,
        })
    }

    /// log p(x) of each row: predictive for bgmm and multinomial-mixture, at the posterior mean for bppca, a bound of it for lda.
    pub(crate) fn log_evidence(&self, rows: &dyn RowSource) -> lvm_core::Result<Array1<f64>> {
        match &self.model {
            Model::Gmm(model) => model.log_evidence(rows),
            Model::Ppca(model) => model.log_evidence(rows),
            Model::Fa(model) => model.log_evidence(rows),
            Model::Bgmm(model) => model.log_evidence(rows),
            Model::Bppca(model) => model.point_estimate()?.log_evidence(rows),
            Model::Multinomial(model) => model.log_predictive(&documents(rows)?),
            Model::Lda(model) => Ok(model.infer(&documents(rows)?)?.bounds),
        }
    }

    /// Missing cells filled in.
    pub(crate) fn impute(&self, rows: &dyn RowSource) -> lvm_core::Result<Imputation> {
        match &self.model {
            Model::Gmm(model) => model.impute(rows),
            Model::Ppca(model) => model.impute(rows),
            Model::Fa(model) => model.impute(rows),
            Model::Bgmm(model) => model.point_estimate()?.impute(rows),
            Model::Bppca(model) => model.point_estimate()?.impute(rows),
            Model::Multinomial(_) | Model::Lda(_) => {
                Err(lvm_core::Error::config("model", "a model of documents has no missing counts to fill: a word not counted is 0"))
            }
        }
    }
}
