//! `lvm plot`.

#[cfg(feature = "deep")]
use super::NeuralArgs;
use super::shared::{DataArgs, NewRowsArgs, at_least_one};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What to draw.
#[derive(Debug, Subcommand)]
pub(crate) enum PlotCommand {
    /// Where the rows lie among the latents: means of p(z | x) or q(z | x); of a mixture the rows themselves with its components
    Latent(PlotLatentArgs),
    /// Rows drawn from the model: images, curves, or histograms and pairs of columns
    Samples(PlotSamplesArgs),
    /// Rows beside what the model makes of them
    Reconstructions(PlotReconstructionsArgs),
    /// The objective of the fit, iteration by iteration or epoch by epoch
    Trace(PlotTraceArgs),
}

/// Where a picture goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct PictureArgs {
    /// Write the picture to this file, .png or .svg
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Print one JSON object that says what was drawn
    #[arg(long)]
    pub(crate) json: bool,
}

/// The model to draw.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) neural: NeuralArgs,
}

/// What a row is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub(crate) struct KindArgs {
    /// What a row is: an image, a curve, or cells of a table (found out from the model)
    #[arg(long = "as", value_enum, ignore_case = true, value_name = "images|curves|table", hide_possible_values = true)]
    pub(crate) kind: Option<RowKind>,
    /// The shape of an image: channels (1 or 3), height, width
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', num_args = 1, value_parser = at_least_one)]
    pub(crate) image: Option<Vec<usize>>,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowKind {
    /// An image
    Images,
    /// A curve
    Curves,
    /// Cells of a table
    Table,
}

/// `lvm plot latent`.
#[derive(Debug, Args)]
pub(crate) struct PlotLatentArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The column of DATA that colours the rows: labels, or numbers
    #[arg(long, value_name = "COLUMN", help_heading = "Picture")]
    pub(crate) color: Option<String>,
    /// The two latents to draw, from 0 (those that vary most)
    #[arg(long, value_name = "I,J", value_delimiter = ',', num_args = 1, help_heading = "Picture")]
    pub(crate) axes: Vec<usize>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: PictureArgs,
}

/// `lvm plot samples`.
#[derive(Debug, Args)]
pub(crate) struct PlotSamplesArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// A table to compare the samples with (tables only)
    pub(crate) data: Option<PathBuf>,
    /// Rows to draw (64 images, 12 curves, 1000 rows of a table)
    #[arg(short = 'n', long = "rows", value_name = "N", value_parser = at_least_one)]
    pub(crate) rows: Option<usize>,
    /// Draws of x too, not E[x | z] at draws of z (always so for tables)
    #[arg(long)]
    pub(crate) noise: bool,
    #[command(flatten)]
    pub(crate) new: NewRowsArgs,
    #[command(flatten)]
    pub(crate) kind: KindArgs,
    #[command(flatten)]
    pub(crate) out: PictureArgs,
}

/// `lvm plot reconstructions`.
#[derive(Debug, Args)]
pub(crate) struct PlotReconstructionsArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Rows of DATA to draw, from 0 (evenly spread: 10 images, 9 curves; all of a table)
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', help_heading = "Picture")]
    pub(crate) rows: Vec<usize>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) kind: KindArgs,
    #[command(flatten)]
    pub(crate) out: PictureArgs,
}

/// `lvm plot trace`.
#[derive(Debug, Args)]
pub(crate) struct PlotTraceArgs {
    /// A model file made by fit or select
    pub(crate) model: PathBuf,
    /// Leave out the first so many, which may be far below the rest
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: usize,
    #[command(flatten)]
    pub(crate) out: PictureArgs,
}
