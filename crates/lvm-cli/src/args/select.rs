//! `lvm select gmm|ppca|fa`.

use super::fit::{FactorArgs, MixtureArgs, Shape};
use super::shared::{DataArgs, SaveArgs, at_least_one, at_least_two, seed};
use clap::{Args, Subcommand, ValueEnum};

/// Among which models to choose.
#[derive(Debug, Subcommand)]
pub(crate) enum SelectCommand {
    /// Components and covariance shapes of a Gaussian mixture
    Gmm(SelectGmmArgs),
    /// Latent dimensions of probabilistic PCA
    Ppca(SelectPpcaArgs),
    /// Factors of factor analysis
    Fa(SelectFaArgs),
}

/// The sizes to try.
#[derive(Debug, Args)]
pub(crate) struct SizeArgs {
    /// Largest size to try
    #[arg(long, value_name = "MAX", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) max: usize,
    /// Smallest size to try
    #[arg(long, value_name = "MIN", default_value_t = 1)]
    pub(crate) min: usize,
    /// Parts the rows are split into for --criterion held-out
    #[arg(long, value_name = "FOLDS", allow_negative_numbers = true, value_parser = at_least_two)]
    pub(crate) folds: Option<usize>,
}

/// `lvm select gmm`.
#[derive(Debug, Args)]
pub(crate) struct SelectGmmArgs {
    #[command(flatten)]
    pub(crate) sizes: SizeArgs,
    /// Covariance shapes to try, separated by commas
    #[arg(long, value_enum, ignore_case = true, value_name = "SHAPES", value_delimiter = ',', default_value = "full,tied,diag,spherical")]
    pub(crate) covariance: Vec<Shape>,
    /// What to choose by
    #[arg(long, value_enum, ignore_case = true, default_value_t = GmmCriterion::Bic)]
    pub(crate) criterion: GmmCriterion,
    #[command(flatten)]
    pub(crate) mixture: MixtureArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// What mixtures are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GmmCriterion {
    /// Lowest BIC
    Bic,
    /// Lowest AIC
    Aic,
    /// Lowest ICL: BIC that also asks for well separated components
    Icl,
    /// Highest log-likelihood of held-out rows
    HeldOut,
}

/// `lvm select ppca`.
#[derive(Debug, Args)]
pub(crate) struct SelectPpcaArgs {
    #[command(flatten)]
    pub(crate) sizes: SizeArgs,
    /// What to choose by
    #[arg(long, value_enum, ignore_case = true, default_value_t = PpcaCriterion::Bic)]
    pub(crate) criterion: PpcaCriterion,
    /// Seed of the random numbers
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// What probabilistic PCAs are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PpcaCriterion {
    /// Lowest BIC
    Bic,
    /// Lowest AIC
    Aic,
    /// Highest Laplace approximation of the evidence (Minka 2000)
    Evidence,
    /// Highest log-likelihood of held-out rows
    HeldOut,
}

/// `lvm select fa`.
#[derive(Debug, Args)]
pub(crate) struct SelectFaArgs {
    #[command(flatten)]
    pub(crate) sizes: SizeArgs,
    /// What to choose by
    #[arg(long, value_enum, ignore_case = true, default_value_t = FaCriterion::Bic)]
    pub(crate) criterion: FaCriterion,
    #[command(flatten)]
    pub(crate) factor: FactorArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// What factor analyses are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaCriterion {
    /// Lowest BIC
    Bic,
    /// Lowest AIC
    Aic,
    /// Highest log-likelihood of held-out rows
    HeldOut,
}
