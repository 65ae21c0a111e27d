//! Parameters of a model as nested lists.

use crate::stored::Model;
use lvm_core::dist::Univariate;
use lvm_core::fa::FactorAnalysis;
use lvm_core::gmm::{Covariances, GaussianMixture, SecondMoments};
use lvm_vi::cavi::lda::LdaModel;
use lvm_vi::cavi::mixture::BayesianMixtureModel;
use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::Serialize;

/// The parameters of a model.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Parameters {
    /// Gaussian mixture.
    Gmm {
        /// Weights (K).
        weights: Vec<f64>,
        /// Means (K x D).
        means: Vec<Vec<f64>>,
        /// Covariances: full K x D x D, tied D x D, diag K x D, spherical K.
        covariances: Nested,
        /// `full`, `tied`, `diag` or `spherical`.
        covariance_type: String,
    },
    /// Probabilistic PCA.
    Ppca {
        /// Mean (D).
        mean: Vec<f64>,
        /// Loadings (D x q).
        loadings: Vec<Vec<f64>>,
        /// Noise variance.
        noise_variance: f64,
    },
    /// Components or topics of words.
    Words {
        /// Weights, or shares of all words (K).
        weights: Vec<f64>,
        /// Probabilities of the words (K x V).
        words: Vec<Vec<f64>>,
    },
    /// Factor analysis.
    Fa {
        /// Mean (D).
        mean: Vec<f64>,
        /// Loadings (D x q).
        loadings: Vec<Vec<f64>>,
        /// Loadings in units of the standard deviations of the columns (D x q).
        standardised_loadings: Vec<Vec<f64>>,
        /// Noise variances (D).
        noise_variances: Vec<f64>,
        /// Share of each variance that the factors leave (D).
        uniquenesses: Vec<f64>,
        /// Share of each variance that the factors explain (D).
        communalities: Vec<f64>,
        /// How the loadings were rotated, if they were.
        #[serde(skip_serializing_if = "Option::is_none")]
        rotation: Option<RotationReport>,
    },
}

/// A list, a list of lists, or a list of lists of lists.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Nested {
    /// A list.
    One(Vec<f64>),
    /// A list of rows.
    Two(Vec<Vec<f64>>),
    /// A list of matrices.
    Three(Vec<Vec<Vec<f64>>>),
}

/// How loadings were rotated.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RotationReport {
    /// The criterion.
    pub(crate) method: String,
    /// Whether the search for it ended at an optimum.
    pub(crate) converged: bool,
    /// T (q x q): rotated loadings = unrotated loadings times the inverse transpose of T, which is T for an orthogonal rotation.
    pub(crate) matrix: Vec<Vec<f64>>,
    /// Correlations of the factors (q x q); the identity for an orthogonal rotation.
    pub(crate) factor_correlations: Vec<Vec<f64>>,
}

/// Rows of a matrix as lists.
pub(crate) fn nested(matrix: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
    matrix.rows().into_iter().map(|row| row.to_vec()).collect()
}

fn list(vector: ArrayView1<'_, f64>) -> Vec<f64> {
    vector.to_vec()
}

impl Parameters {
    /// The parameters of `model`.
    pub(crate) fn of(model: &Model) -> Self {
        match model {
            Model::Gmm(model) => gmm(model),
            Model::Bgmm(model) => bayesian_mixture(model),
            Model::Bppca(model) => Parameters::Ppca {
                mean: list(model.mean().view()),
                loadings: nested(model.loadings().view()),
                noise_variance: 1.0 / model.noise_precision().mean(),
            },
            Model::Multinomial(model) => Parameters::Words {
                weights: model.weights().mean().to_vec(),
                words: model.words().iter().map(|q| q.mean().to_vec()).collect(),
            },
            Model::Lda(model) => {
                let totals = model.lambda().sum_axis(Axis(0));
                let sum = totals.sum();
                Parameters::Words { weights: totals.iter().map(|t| t / sum).collect(), words: topics(model) }
            }
            Model::Ppca(model) => Parameters::Ppca {
                mean: list(model.mean().view()),
                loadings: nested(model.loadings().view()),
                noise_variance: model.noise_variance(),
            },
            Model::Fa(model) => Parameters::Fa {
                mean: list(model.mean().view()),
                loadings: nested(model.loadings().view()),
                standardised_loadings: standardised(model),
                noise_variances: list(model.noise_variances().view()),
                communalities: model.communalities().to_vec(),
                uniquenesses: model.uniquenesses().to_vec(),
                rotation: rotation(model),
            },
        }
    }
}

/// E\[β_k\] of each topic.
fn topics(model: &LdaModel) -> Vec<Vec<f64>> {
    model.lambda().columns().into_iter().map(|column| (&column / column.sum()).to_vec()).collect()
}

/// E\[π\], E\[μ\] and E\[Λ\]⁻¹.
fn bayesian_mixture(model: &BayesianMixtureModel) -> Parameters {
    let q = model.components();
    let (covariances, covariance_type) = match q.scale_inverse() {
        SecondMoments::Full(s) => (Nested::Three(s.outer_iter().zip(q.dof()).map(|(s, v)| nested((&s / *v).view())).collect()), "full"),
        SecondMoments::Diagonal(s) => (Nested::Two(s.outer_iter().zip(q.dof()).map(|(s, v)| (&s / *v).to_vec()).collect()), "diag"),
    };
    Parameters::Gmm {
        weights: list(model.weights().view()),
        means: nested(q.means().view()),
        covariances,
        covariance_type: covariance_type.to_owned(),
    }
}

fn gmm(model: &GaussianMixture) -> Parameters {
    let covariances = match model.covariances() {
        Covariances::Full(c) => Nested::Three(c.axis_iter(Axis(0)).map(nested).collect()),
        Covariances::Tied(c) | Covariances::Diagonal(c) => Nested::Two(nested(c.view())),
        Covariances::Spherical(c) => Nested::One(list(c.view())),
    };
    Parameters::Gmm {
        weights: list(model.weights().view()),
        means: nested(model.means().view()),
        covariances,
        covariance_type: model.covariance_type().to_string(),
    }
}

/// λ_jk = W_jk / σ_j, where ψ_j = u_j σ_j².
fn standardised(model: &FactorAnalysis) -> Vec<Vec<f64>> {
    let scales = model.noise_variances().iter().zip(model.uniquenesses()).map(|(psi, u)| (psi / u).sqrt());
    model.loadings().rows().into_iter().zip(scales).map(|(row, sigma)| row.iter().map(|w| w / sigma).collect()).collect()
}

fn rotation(model: &FactorAnalysis) -> Option<RotationReport> {
    model.rotation().map(|rotated| RotationReport {
        method: rotated.rotation.to_string(),
        converged: rotated.converged,
        matrix: nested(rotated.matrix.view()),
        factor_correlations: nested(model.factor_correlations().view()),
    })
}
