//! What only neural models are asked.

use super::super::apply::TableOutArgs;
use super::super::shared::{DataArgs, SaveArgs, at_least_one, at_least_two, seed};
use super::NeuralArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `lvm resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// A checkpoint written by lvm fit vae --checkpoint; it is written again after every epoch
    pub(crate) checkpoint: PathBuf,
    /// Epochs in all, those already done included (as many as before)
    #[arg(long, value_name = "E", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    #[command(flatten)]
    pub(crate) neural: NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// How log p(x) is estimated for a neural model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Neural models")]
pub(crate) struct EstimateArgs {
    /// How log p(x) is bounded, estimated or computed (iwae; sum where the latent is categorical)
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) estimator: Option<Estimator>,
    /// Draws a row; chains a row for ais (100; 4 for ais)
    #[arg(short = 'k', long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) draws: Option<usize>,
    /// Steps from q(z | x) to p(x, z) (ais, 200)
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) temperatures: Option<usize>,
    /// MiB that may be held at once (512)
    #[arg(long, value_name = "MIB", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) memory: Option<usize>,
    /// Seed of the draws (0)
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) neural: NeuralArgs,
}

impl EstimateArgs {
    /// An option that was typed, if one was.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--estimator", self.estimator.is_some()),
            ("-k", self.draws.is_some()),
            ("--temperatures", self.temperatures.is_some()),
            ("--memory", self.memory.is_some()),
            ("--seed", self.seed.is_some()),
            ("--device", self.neural.device.is_some()),
            ("--condition-from", self.neural.condition_from.is_some()),
        ];
        given.iter().find(|(_, given)| *given).map(|(option, _)| *option)
    }
}

/// Estimators of log p(x).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Estimator {
    /// Evidence lower bound, the mean of K draws
    Elbo,
    /// Importance-weighted bound of K draws: above the ELBO, below log p(x)
    Iwae,
    /// Annealed importance sampling with K chains: slow, and near log p(x)
    Ais,
    /// Integration over a grid of latents, to rounding: one or two latents
    Quadrature,
    /// The sum over all values of a categorical latent, exactly
    Sum,
}

/// `lvm reconstruct`.
#[derive(Debug, Args)]
pub(crate) struct ReconstructArgs {
    /// A vae made by fit
    pub(crate) model: PathBuf,
    /// Average over so many draws of z instead of decoding the mode of q(z | x)
    #[arg(short = 'k', long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) draws: Option<usize>,
    /// Seed of the draws
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) neural: NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}

/// `lvm interpolate`.
#[derive(Debug, Args)]
pub(crate) struct InterpolateArgs {
    /// A vae made by fit
    pub(crate) model: PathBuf,
    /// The two rows of DATA, from 0, between which to go
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true, num_args = 1)]
    pub(crate) rows: Vec<usize>,
    /// Points of the path, the two ends among them
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true, value_parser = at_least_two)]
    pub(crate) steps: usize,
    /// Along a great circle instead of a straight line
    #[arg(long)]
    pub(crate) spherical: bool,
    /// Also write the latents of each point
    #[arg(long)]
    pub(crate) with_latent: bool,
    #[command(flatten)]
    pub(crate) neural: NeuralArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}

/// `lvm ood`.
#[derive(Debug, Args)]
pub(crate) struct OodArgs {
    /// A vae made by fit
    pub(crate) model: PathBuf,
    /// A table of usual rows, such as those the model was fitted to
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) against: PathBuf,
    /// The column of DATA that says which rows are strange (1, true, yes) and which are not: AUROC is then told
    #[arg(long, value_name = "COLUMN")]
    pub(crate) labels: Option<String>,
    /// Draws of each ascent of the likelihood regret, which is left out with 0
    #[arg(long, value_name = "K", default_value_t = 8)]
    pub(crate) regret_draws: usize,
    #[command(flatten)]
    pub(crate) estimate: EstimateArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) out: TableOutArgs,
}
