//! `lvm fit bgmm|bppca|multinomial-mixture|lda`: models fitted by variational inference.

use super::shared::{DataArgs, RunArgs, SaveArgs, StoppingArgs, at_least_one, positive};
use clap::{Args, ValueEnum};

/// `lvm fit bgmm`.
#[derive(Debug, Args)]
pub(crate) struct FitBgmmArgs {
    /// Components at most; superfluous ones empty
    #[arg(short = 'k', long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) components: usize,
    /// Prior of the weights: a Dirichlet distribution, or a Dirichlet process cut off at K
    #[arg(long, value_enum, ignore_case = true, value_name = "PRIOR", default_value_t = WeightsPrior::Dp)]
    pub(crate) weights_prior: WeightsPrior,
    /// Its concentration: small for few components (1 for dp, 1/K for dirichlet)
    #[arg(long, value_name = "A", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) concentration: Option<f64>,
    /// Shape of the covariances
    #[arg(long, value_enum, ignore_case = true, value_name = "SHAPE", default_value_t = BayesianShape::Full)]
    pub(crate) covariance: BayesianShape,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// Priors of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsPrior {
    /// Symmetric Dirichlet
    Dirichlet,
    /// Dirichlet process
    Dp,
}

/// Shapes that the prior of the covariances provides for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BayesianShape {
    /// A full matrix for each component
    Full,
    /// Diagonal matrices
    Diag,
}

/// `lvm fit bppca`.
#[derive(Debug, Args)]
pub(crate) struct FitBppcaArgs {
    /// Latent dimensions at most; those that the data do not need are switched off
    #[arg(short = 'q', long = "components", value_name = "Q", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) components: usize,
    #[command(flatten)]
    pub(crate) stopping: StoppingArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// `lvm fit multinomial-mixture`.
#[derive(Debug, Args)]
pub(crate) struct FitMultinomialArgs {
    /// Components
    #[arg(short = 'k', long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) components: usize,
    /// Concentration of the prior of the weights
    #[arg(long, value_name = "A", allow_negative_numbers = true, value_parser = positive, default_value = "1")]
    pub(crate) concentration: f64,
    /// Concentration of the prior of the words of a component
    #[arg(long, value_name = "ETA", allow_negative_numbers = true, value_parser = positive, default_value = "0.1")]
    pub(crate) word_concentration: f64,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// `lvm fit lda`.
#[derive(Debug, Args)]
pub(crate) struct FitLdaArgs {
    /// Topics
    #[arg(short = 'k', long = "topics", visible_alias = "components", value_name = "K", allow_negative_numbers = true,
        value_parser = at_least_one)]
    pub(crate) topics: usize,
    /// Concentration of the topics of a document (1/K if not given)
    #[arg(long, value_name = "A", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) concentration: Option<f64>,
    /// Concentration of the words of a topic (1/K if not given)
    #[arg(long, value_name = "ETA", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) word_concentration: Option<f64>,
    /// Natural-gradient steps by batches of documents; an iteration is then a pass over all documents
    #[arg(long)]
    pub(crate) online: bool,
    /// Documents in a batch (128 if not given)
    #[arg(long, value_name = "B", allow_negative_numbers = true, value_parser = at_least_one, requires = "online")]
    pub(crate) batch: Option<usize>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}
