//! Commands that use a fitted model.

use super::shared::{DataArgs, at_least_one, seed};
use clap::Args;
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
    #[arg(long, value_name = "K")]
    pub(crate) component: Option<usize>,
    /// Draw x given this latent vector (PPCA and factor analysis)
    #[arg(long, value_name = "Z1,Z2,..", value_delimiter = ',', allow_hyphen_values = true, conflicts_with = "component")]
    pub(crate) latent: Vec<f64>,
    /// Also write the latent that each row was drawn with
    #[arg(long)]
    pub(crate) with_latent: bool,
    /// Seed of the random numbers
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
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
