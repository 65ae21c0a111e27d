//! `lvm fit gmm|ppca|fa`.

use super::bayesian::{FitBgmmArgs, FitBppcaArgs, FitLdaArgs, FitMultinomialArgs};
use super::shared::{DataArgs, Initial, RunArgs, SaveArgs, at_least_one, not_negative};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What to fit.
#[derive(Debug, Subcommand)]
pub(crate) enum FitCommand {
    /// Gaussian mixture by EM
    Gmm(FitGmmArgs),
    /// Probabilistic PCA, in closed form or by EM
    Ppca(FitPpcaArgs),
    /// Factor analysis
    Fa(FitFaArgs),
    /// Bayesian Gaussian mixture by variational inference: the number of components is found
    Bgmm(FitBgmmArgs),
    /// Bayesian PCA by variational inference: the number of dimensions is found
    Bppca(FitBppcaArgs),
    /// Bayesian mixture of multinomials by variational inference: rows of counts in clusters
    MultinomialMixture(FitMultinomialArgs),
    /// Latent Dirichlet allocation by variational inference: topics of documents, which are rows of counts
    Lda(FitLdaArgs),
    /// Variational autoencoder
    #[cfg(feature = "deep")]
    Vae(Box<super::FitVaeArgs>),
    /// Variational autoencoder (not in this build)
    #[cfg(not(feature = "deep"))]
    Vae(super::AbsentArgs),
}

/// `lvm fit gmm`.
#[derive(Debug, Args)]
pub(crate) struct FitGmmArgs {
    /// Components; may be left out when --init names a file
    #[arg(short = 'k', long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) components: Option<usize>,
    /// Shape of the covariances (full, or that of the model --init names)
    #[arg(long, value_enum, ignore_case = true, value_name = "SHAPE")]
    pub(crate) covariance: Option<Shape>,
    /// Start: kmeans++, random, a table of responsibilities (N x K), or a model file to go on from
    #[arg(long, value_name = "START", default_value = "kmeans++", value_parser = Initial::parse)]
    pub(crate) init: Initial,
    #[command(flatten)]
    pub(crate) mixture: MixtureArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// What `fit gmm` and `select gmm` share.
#[derive(Debug, Args)]
pub(crate) struct MixtureArgs {
    /// Ridge added to the diagonal of every covariance, in squared units of the data
    #[arg(long, value_name = "RIDGE", allow_negative_numbers = true, default_value = "0", value_parser = not_negative)]
    pub(crate) reg: f64,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// `lvm fit ppca`.
#[derive(Debug, Args)]
pub(crate) struct FitPpcaArgs {
    /// Latent dimensions
    #[arg(short = 'q', long = "components", value_name = "Q", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) components: usize,
    /// How to find the maximum; auto is closed form, or EM with --missing
    #[arg(long, value_enum, ignore_case = true, default_value_t = PpcaMethod::Auto)]
    pub(crate) method: PpcaMethod,
    /// A model file for EM to go on from
    #[arg(long, value_name = "MODEL")]
    pub(crate) init: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// Ways to fit probabilistic PCA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PpcaMethod {
    /// What suits the shape of the table
    Auto,
    /// Eigen-decomposition of the covariance (D x D)
    Eigen,
    /// Eigen-decomposition of the Gram matrix (N x N), for fewer rows than columns
    Gram,
    /// Randomized range finder, for few components of a large table
    Randomized,
    /// Expectation-maximisation; needed for missing values
    Em,
    /// Parameter-expanded EM: as em, in fewer iterations
    PxEm,
}

/// `lvm fit fa`.
#[derive(Debug, Args)]
pub(crate) struct FitFaArgs {
    /// Factors
    #[arg(short = 'q', long = "factors", value_name = "Q", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) factors: usize,
    /// Rotation of the loadings
    #[arg(long, value_enum, ignore_case = true, default_value_t = RotationChoice::None)]
    pub(crate) rotation: RotationChoice,
    /// A model file to go on from
    #[arg(long, value_name = "MODEL")]
    pub(crate) init: Option<PathBuf>,
    /// DATA is not a table of rows but the covariance or correlation matrix (D x D) of N rows
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one,
        conflicts_with_all = ["columns", "without", "weights", "missing", "stream", "scale", "transpose", "seed"])]
    pub(crate) covariance_of: Option<usize>,
    #[command(flatten)]
    pub(crate) factor: FactorArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// What `fit fa` and `select fa` share.
#[derive(Debug, Args)]
pub(crate) struct FactorArgs {
    /// How to find the maximum (quasi-newton, or squarem when cells are missing)
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) method: Option<FaMethod>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Ways to fit factor analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaMethod {
    /// Quasi-Newton on the concentrated likelihood
    QuasiNewton,
    /// Expectation-maximisation; simple, monotone, slow
    Em,
    /// Accelerated expectation-maximisation over the rows
    Squarem,
    /// ECME: EM with both steps on the likelihood itself
    Ecme,
}

/// Rotations of the loadings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotationChoice {
    /// The canonical loadings
    None,
    /// Orthogonal; simple columns
    Varimax,
    /// Orthogonal; simple rows
    Quartimax,
    /// Oblique, from varimax
    Promax,
    /// Oblique, direct
    Oblimin,
}

/// Shapes of the covariances of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// A full matrix for each component
    Full,
    /// One full matrix for all
    Tied,
    /// Diagonal matrices
    Diag,
    /// One variance for each component
    Spherical,
}
