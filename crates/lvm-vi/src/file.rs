//! Model files of the models of this crate: the format of [`lvm_core::file`] with more kinds.
//!
//! ```
//! use lvm_core::file::Header;
//! use lvm_vi::{cavi::lda::{LdaModel, LocalStopping}, file::{Model, decode, encode}};
//! use ndarray::array;
//! let lda = LdaModel::new(array![[1.0, 0.1], [0.1, 2.0]], 0.5, 0.1, LocalStopping::default())?;
//! let header = Header { columns: vec!["wine".into(), "bread".into()], ..Header::default() };
//! let bytes = encode(&Model::Lda(lda.clone()), &header)?;
//! assert_eq!(decode(&bytes)?, (Model::Lda(lda), header));
//! # Ok::<(), lvm_core::Error>(())
//! ```

use crate::cavi::bayesian_ppca::{BayesianPpcaFactors, BayesianPpcaModel};
use crate::cavi::lda::{LdaModel, LocalStopping};
use crate::cavi::mixture::{BayesianMixtureModel, ComponentPrior, GaussianWishart, Scale, WeightFactor, WeightPrior};
use crate::cavi::multinomial_mixture::MultinomialMixturePosterior;
use lvm_core::file::{self, Contents, Header, Tensors, broken};
use lvm_core::gmm::SecondMoments;
use lvm_core::model::LatentModel;
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, Axis, Ix1, arr1};
use serde::{Deserialize, Serialize};

/// A model of any kind that has a file format.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
// one value a file: its size does not matter
#[allow(clippy::large_enum_variant)]
pub enum Model {
    /// A model of `lvm-core`: `gmm`, `ppca` or `fa`.
    Core(file::Model),
    /// A Bayesian Gaussian mixture: `bgmm`.
    BayesianMixture(BayesianMixtureModel),
    /// Bayesian probabilistic PCA: `bppca`.
    BayesianPpca(BayesianPpcaModel),
    /// A Bayesian mixture of multinomials: `multinomial-mixture`.
    MultinomialMixture(MultinomialMixturePosterior),
    /// Latent Dirichlet allocation: `lda`.
    Lda(LdaModel),
}

impl Model {
    /// The kind, as files name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Model::Core(model) => model.kind(),
            Model::BayesianMixture(_) => BGMM,
            Model::BayesianPpca(_) => BPPCA,
            Model::MultinomialMixture(_) => MULTINOMIAL,
            Model::Lda(_) => LDA,
        }
    }

    /// D, the number of columns of x, or of words.
    pub fn dim(&self) -> usize {
        match self {
            Model::Core(model) => model.dim(),
            Model::BayesianMixture(model) => model.dim(),
            Model::BayesianPpca(model) => model.mean().len(),
            Model::MultinomialMixture(model) => model.words().first().map_or(0, |q| q.alpha().len()),
            Model::Lda(model) => model.vocabulary(),
        }
    }
}

const BGMM: &str = "bgmm";
const BPPCA: &str = "bppca";
const MULTINOMIAL: &str = "multinomial-mixture";
const LDA: &str = "lda";

/// What a kind of model needs besides numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Particulars {
    /// Form of the prior of a mixture's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight_prior: Option<WeightForm>,
    /// Shape of a mixture's covariances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covariance: Option<Shape>,
    /// When the ascent in one document stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document_iterations: Option<usize>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WeightForm {
    Dirichlet,
    DirichletProcess,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Shape {
    #[serde(rename = "full")]
    Full,
    #[serde(rename = "diag")]
    Diagonal,
}

/// The bytes of a model file. The same model and header give the same bytes.
///
/// # Errors
/// If the header does not name every column exactly once.
pub fn encode(model: &Model, header: &Header) -> Result<Vec<u8>> {
    let mut tensors = Tensors::default();
    let mut particulars = Particulars::default();
    match model {
        Model::Core(model) => return file::encode(model, header),
        Model::BayesianMixture(model) => put_mixture(model, &mut tensors, &mut particulars),
        Model::BayesianPpca(model) => put_ppca(model, &mut tensors),
        Model::MultinomialMixture(model) => {
            let mut words = Array2::zeros((model.words().len(), header.columns.len()));
            if words.ncols() == model.words().first().map_or(0, |q| q.alpha().len()) {
                words.outer_iter_mut().zip(model.words()).for_each(|(mut row, q)| row.assign(&q.alpha()));
            }
            tensors.put("weight_concentrations", &model.weights().alpha());
            tensors.put("word_concentrations", &words);
            tensors.put("prior_concentrations", &arr1(&[model.priors().0, model.priors().1]));
        }
        Model::Lda(model) => {
            tensors.put("word_concentrations", model.lambda());
            tensors.put("prior_concentrations", &arr1(&[model.alpha(), model.eta()]));
            tensors.put("document_tolerance", &arr1(&[model.local().tolerance]));
            particulars.document_iterations = Some(model.local().max_iterations);
        }
    }
    file::encode_kind(model.kind(), model.dim(), &tensors, &particulars, header)
}

/// The model and the header of the bytes of a model file.
///
/// # Errors
/// As [`lvm_core::file::decode`].
pub fn decode(bytes: &[u8]) -> Result<(Model, Header)> {
    let mut contents = file::contents(bytes)?;
    let particulars: Particulars = match contents.kind.as_str() {
        "gmm" | "ppca" | "fa" => {
            let (model, header) = contents.model()?;
            return Ok((Model::Core(model), header));
        }
        BGMM | BPPCA | MULTINOMIAL | LDA => contents.particulars()?,
        other => {
            let known = "gmm, ppca, fa, bgmm, bppca, multinomial-mixture and lda";
            return Err(broken(format!("it holds a model of kind \"{other}\"; this program knows {known}")));
        }
    };
    let model = match contents.kind.as_str() {
        BGMM => Model::BayesianMixture(mixture(&mut contents, &particulars)?),
        BPPCA => Model::BayesianPpca(ppca(&mut contents.tensors)?),
        MULTINOMIAL => Model::MultinomialMixture(multinomial(&mut contents.tensors)?),
        _ => Model::Lda(lda(&mut contents.tensors, &particulars)?),
    };
    let Contents { tensors, header, .. } = contents.clone();
    tensors.finish()?;
    contents.check_columns(model.dim())?;
    Ok((model, header))
}

/// The parameters are numbers, but no model's.
fn invalid(error: Error) -> Error {
    broken(format!("its parameters are not those of a model: {error}"))
}

fn lacks(what: &str) -> Error {
    broken(format!("its header does not say {what}"))
}

/// Exactly N numbers.
fn numbers<const N: usize>(tensors: &mut Tensors, name: &str) -> Result<[f64; N]> {
    let found = tensors.take::<Ix1>(name)?.to_vec();
    let n = found.len();
    found.try_into().map_err(|_| broken(format!("tensor \"{name}\" has {n} entries where {N} are needed")))
}

fn put_mixture(model: &BayesianMixtureModel, tensors: &mut Tensors, particulars: &mut Particulars) {
    let (WeightPrior::Dirichlet { concentration } | WeightPrior::DirichletProcess { concentration }) = model.weight_prior();
    particulars.weight_prior = Some(match model.weight_prior() {
        WeightPrior::Dirichlet { .. } => WeightForm::Dirichlet,
        WeightPrior::DirichletProcess { .. } => WeightForm::DirichletProcess,
    });
    tensors.put("weight_concentration", &arr1(&[concentration]));
    match model.weight_factor() {
        WeightFactor::Dirichlet(alpha) => tensors.put("weight_concentrations", alpha),
        WeightFactor::Sticks { a, b } => {
            tensors.put("stick_a", a);
            tensors.put("stick_b", b);
        }
    }
    let q = model.components();
    tensors.put("mean_precisions", q.mean_precision());
    tensors.put("means", q.means());
    tensors.put("dofs", q.dof());
    particulars.covariance = Some(match q.scale_inverse() {
        SecondMoments::Full(s) => {
            tensors.put("scale_inverses", s);
            Shape::Full
        }
        SecondMoments::Diagonal(s) => {
            tensors.put("scale_inverses", s);
            Shape::Diagonal
        }
    });
    let prior = model.prior();
    tensors.put("prior_mean", prior.mean());
    tensors.put("prior_mean_precision_and_dof", &arr1(&[prior.mean_precision(), prior.dof()]));
    match prior.scale_inverse() {
        Scale::Full(s) => tensors.put("prior_scale_inverse", s),
        Scale::Diagonal(s) => tensors.put("prior_scale_inverse", s),
    }
}

fn mixture(contents: &mut Contents, particulars: &Particulars) -> Result<BayesianMixtureModel> {
    let tensors = &mut contents.tensors;
    let [concentration] = numbers(tensors, "weight_concentration")?;
    let form = particulars.weight_prior.ok_or_else(|| lacks("the form of the prior of the weights"))?;
    let shape = particulars.covariance.ok_or_else(|| lacks("the shape of the covariances"))?;
    let (weight_prior, weights) = match form {
        WeightForm::Dirichlet => {
            (WeightPrior::Dirichlet { concentration }, WeightFactor::Dirichlet(tensors.take("weight_concentrations")?))
        }
        WeightForm::DirichletProcess => (
            WeightPrior::DirichletProcess { concentration },
            WeightFactor::Sticks { a: tensors.take("stick_a")?, b: tensors.take("stick_b")? },
        ),
    };
    let (prior_scale, scales) = match shape {
        Shape::Full => (Scale::Full(tensors.take("prior_scale_inverse")?), SecondMoments::Full(tensors.take("scale_inverses")?)),
        Shape::Diagonal => {
            (Scale::Diagonal(tensors.take("prior_scale_inverse")?), SecondMoments::Diagonal(tensors.take("scale_inverses")?))
        }
    };
    let [mean_precision, dof] = numbers(tensors, "prior_mean_precision_and_dof")?;
    let prior = ComponentPrior::new(tensors.take("prior_mean")?, mean_precision, dof, prior_scale).map_err(invalid)?;
    let (betas, means, dofs) = (tensors.take("mean_precisions")?, tensors.take::<ndarray::Ix2>("means")?, tensors.take("dofs")?);
    if means.ncols() != prior.dim() {
        return Err(broken(format!("its means have {} columns and its prior {}", means.ncols(), prior.dim())));
    }
    if let SecondMoments::Full(s) = &scales
        && s.len_of(Axis(1)) != s.len_of(Axis(2))
    {
        return Err(broken("its scale matrices are not square"));
    }
    let components = GaussianWishart::new(betas, means, dofs, scales).map_err(invalid)?;
    BayesianMixtureModel::new(weight_prior, prior, weights, components).map_err(invalid)
}

fn put_ppca(model: &BayesianPpcaModel, tensors: &mut Tensors) {
    let factors = model.factors();
    tensors.put("mean", &factors.mean);
    tensors.put("mean_variance", &arr1(&[factors.mean_variance]));
    tensors.put("loadings", &factors.loadings);
    tensors.put("loading_covariance", &factors.loading_covariance);
    tensors.put("relevance", &factors.relevance);
    tensors.put("noise_precision", &arr1(&factors.noise));
}

fn ppca(tensors: &mut Tensors) -> Result<BayesianPpcaModel> {
    let [mean_variance] = numbers(tensors, "mean_variance")?;
    let relevance: Array2<f64> = tensors.take("relevance")?;
    if relevance.ncols() != 2 {
        return Err(broken(format!("tensor \"relevance\" has {} columns where shape and rate are needed", relevance.ncols())));
    }
    BayesianPpcaModel::new(BayesianPpcaFactors {
        mean: tensors.take("mean")?,
        mean_variance,
        loadings: tensors.take("loadings")?,
        loading_covariance: tensors.take("loading_covariance")?,
        relevance,
        noise: numbers(tensors, "noise_precision")?,
    })
    .map_err(invalid)
}

fn multinomial(tensors: &mut Tensors) -> Result<MultinomialMixturePosterior> {
    let weights: Array1<f64> = tensors.take("weight_concentrations")?;
    let words: Array2<f64> = tensors.take("word_concentrations")?;
    let [alpha, eta] = numbers(tensors, "prior_concentrations")?;
    MultinomialMixturePosterior::new(weights.view(), words.view(), (alpha, eta)).map_err(invalid)
}

fn lda(tensors: &mut Tensors, particulars: &Particulars) -> Result<LdaModel> {
    let [alpha, eta] = numbers(tensors, "prior_concentrations")?;
    let [tolerance] = numbers(tensors, "document_tolerance")?;
    let max_iterations = particulars.document_iterations.ok_or_else(|| lacks("when the ascent in a document stops"))?;
    LdaModel::new(tensors.take("word_concentrations")?, alpha, eta, LocalStopping { max_iterations, tolerance }).map_err(invalid)
}
