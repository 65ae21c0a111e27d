//! Commands that use a fitted model.

use super::shared::{DataArgs, NewRowsArgs, at_least_one, finite, from_zero, seed};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Where a table of numbers goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct TableOutArgs {
    /// Write the table to this file, .csv, .tsv or .npy; without it, CSV on standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// `lvm score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Write log p(x) of every row to this file, .csv, .tsv or .npy; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Also bounds from above and below on rows drawn from the model, where the truth lies between: how good the estimator is (vae)
    #[cfg(feature = "deep")]
    #[arg(long)]
    pub(crate) sandwich: bool,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) estimate: super::EstimateArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `lvm posterior`.
#[derive(Debug, Args)]
pub(crate) struct PosteriorArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Also the posterior covariances of the latent coordinates, lower triangle row by row (PPCA and factor analysis)
    #[arg(long)]
    pub(crate) covariance: bool,
    /// Instead group the rows: the components of a Gaussian mixture of K fitted to the means of q, or the values of a categorical latent (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "K", value_parser = at_least_one, conflicts_with = "covariance")]
    pub(crate) clusters: Option<usize>,
    /// A column of DATA to compare the groups with: ARI and NMI are then told (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "COLUMN", requires = "clusters")]
    pub(crate) label: Option<String>,
    /// Seed of the mixture (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "S", default_value_t = 0, requires = "clusters", value_parser = seed)]
    pub(crate) seed: u64,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) neural: super::NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}

/// `lvm map`.
#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Bartlett's scores, argmax p(x | z), instead of the MAP (factor analysis)
    #[arg(long)]
    pub(crate) bartlett: bool,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) neural: super::NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}

/// `lvm sample`.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Rows to draw
    #[arg(short = 'n', long = "rows", value_name = "N", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) rows: usize,
    /// Draw from this component only, from 0 (mixtures)
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = from_zero)]
    pub(crate) component: Option<usize>,
    /// Draw x given this latent vector (PPCA and factor analysis)
    #[arg(long, value_name = "Z1,Z2,..", value_delimiter = ',', allow_hyphen_values = true, value_parser = finite,
        conflicts_with = "component")]
    pub(crate) latent: Vec<f64>,
    /// Also write the latent that each row was drawn with
    #[arg(long)]
    pub(crate) with_latent: bool,
    /// Expected values E[x | z] instead of draws (vae)
    #[cfg(feature = "deep")]
    #[arg(long)]
    pub(crate) means: bool,
    #[command(flatten)]
    pub(crate) new: NewRowsArgs,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) neural: super::NeuralArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}

/// `lvm impute`.
#[derive(Debug, Args)]
pub(crate) struct ImputeArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Write the conditional standard deviation of every cell (0 where it was observed) to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) sd: Option<PathBuf>,
    /// Write so many completed tables, drawn from p(x_mis | x_obs), instead of one of means: -o t.csv writes t-1.csv, t-2.csv, … (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "M", requires = "output", value_parser = super::shared::at_least_one)]
    pub(crate) imputations: Option<usize>,
    /// Fit q to the observed cells of each row before drawing from it: slower, and for encoders that never saw holes (vae)
    #[cfg(feature = "deep")]
    #[arg(long)]
    pub(crate) fitted: bool,
    /// Importance draws a row (vae, 1000)
    #[cfg(feature = "deep")]
    #[arg(short = 'k', long, value_name = "K", value_parser = super::shared::at_least_one)]
    pub(crate) draws: Option<usize>,
    /// Seed of the draws (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = seed)]
    pub(crate) seed: u64,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) neural: super::NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}

/// `lvm info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// `lvm verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// DATA are other rows than the model was fitted to: check the posterior, not the fit
    #[arg(long)]
    pub(crate) held_out: bool,
    /// Seed of the random points at which identities are checked
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// Also write the verdict as a page with pictures
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) neural: super::NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `lvm infer`.
#[derive(Debug, Args)]
pub(crate) struct InferArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// How to approximate p(z | x)
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) method: InferMethod,
    /// Widths of the encoder's hidden layers, none to two (amortized)
    #[arg(long, value_name = "H1,H2", value_delimiter = ',', value_parser = at_least_one)]
    pub(crate) hidden: Vec<usize>,
    /// Seed of the random numbers (stochastic, and amortized with --hidden)
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// Write q of every row with its ELBO and KL to this file, .csv, .tsv or .npy
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// Print one JSON object instead of the summary
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Ways to approximate a posterior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InferMethod {
    /// The posterior itself
    Exact,
    /// Independent latents, at their optimum in closed form
    MeanField,
    /// A Gaussian of any covariance for every row, by Newton's method on its ELBO
    FullRank,
    /// The same by noisy gradients from draws; components by score-function gradients
    Stochastic,
    /// An encoder that gives q for any row, fitted to these rows
    Amortized,
}
