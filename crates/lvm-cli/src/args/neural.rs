//! Neural models: how they are fitted, and what only they are asked.

use super::apply::TableOutArgs;
use super::shared::{DataArgs, SaveArgs, at_least_one, not_negative, positive, seed};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `lvm fit vae`.
#[derive(Debug, Args)]
pub(crate) struct FitVaeArgs {
    /// A file of settings (TOML); options typed here come before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings as such a file, with what each means, and end
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Any setting by its name in the file: --set training.adam.beta1=0.8; as often as needed
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) model: NeuralModelArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// What the model is made of.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct NeuralModelArgs {
    /// Latents (2)
    #[arg(short = 'q', long, value_name = "L", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) latents: Option<usize>,
    /// Widths of the encoder's hidden layers, in reverse those of the decoder; none for a linear model (64)
    #[arg(long, value_name = "H1,H2", value_delimiter = ',', num_args = 0..=1, value_parser = at_least_one)]
    pub(crate) hidden: Option<Vec<usize>>,
    /// Function between the layers (relu)
    #[arg(long, value_enum, ignore_case = true, value_name = "FUNCTION")]
    pub(crate) activation: Option<ActivationChoice>,
    /// Density of the data given the latents (gaussian)
    #[arg(long, value_enum, ignore_case = true, value_name = "DENSITY")]
    pub(crate) likelihood: Option<LikelihoodChoice>,
    /// Family of q(z | x) (diagonal)
    #[arg(long, value_enum, ignore_case = true, value_name = "FAMILY")]
    pub(crate) posterior: Option<PosteriorChoice>,
    /// Train in units of the columns' standard deviations; the model is then put back into those of the table (yes for gaussian and
    /// gaussian-entries)
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub(crate) standardise: Option<bool>,
}

/// How it is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Passes over the rows at most (100)
    #[arg(long, value_name = "E", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    /// Rows a step (128, or all if they are fewer)
    #[arg(long, value_name = "B", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) batch_size: Option<usize>,
    /// Learning rate of Adam (0.001)
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Learning rate of the last epoch: it then falls along half a cosine
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) final_rate: Option<f64>,
    /// Shorten gradients that are longer than this
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) clip: Option<f64>,
    /// Share of the rows held out to judge by; the model returned is that of the best epoch (0.1; 0 for none)
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = share)]
    pub(crate) held_out: Option<f64>,
    /// Stop when the held-out bound has not risen for so many epochs
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) patience: Option<usize>,
    /// Epochs over which the weight of the KL term rises to 1 (0)
    #[arg(long, value_name = "E")]
    pub(crate) warm_up: Option<usize>,
    /// Nats of KL that each latent may have without being pushed down (0)
    #[arg(long, value_name = "NATS", allow_negative_numbers = true, value_parser = not_negative, conflicts_with = "iwae")]
    pub(crate) free_nats: Option<f64>,
    /// Weight of the KL term (1, the bound itself)
    #[arg(long, value_name = "BETA", allow_negative_numbers = true, value_parser = not_negative, conflicts_with = "iwae")]
    pub(crate) beta: Option<f64>,
    /// Train by the importance-weighted bound of K draws instead of the ELBO
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) iwae: Option<usize>,
    /// Numbers of 64 bits instead of 32
    #[arg(long)]
    pub(crate) f64: bool,
    /// Seed of the random numbers (0)
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: Option<u64>,
    /// Write all that training needs to go on to this file after every epoch; lvm resume goes on from it
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) checkpoint: Option<PathBuf>,
}

/// Where it is computed.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Where neural models are computed: auto, cpu, or cuda:0, cuda:1, … (auto: a GPU where there is one)
    #[arg(long, value_name = "DEVICE", value_parser = DeviceChoice::parse)]
    pub(crate) device: Option<DeviceChoice>,
}

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// A GPU where there is one.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU.
    Cuda(usize),
}

impl DeviceChoice {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" | "gpu" => Ok(DeviceChoice::Cuda(0)),
            other => match other.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
                Some(index) => Ok(DeviceChoice::Cuda(index)),
                None => Err("auto, cpu, or cuda:0, cuda:1, … is needed".to_owned()),
            },
        }
    }
}

/// Functions between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationChoice {
    /// max(0, a)
    Relu,
    /// tanh a
    Tanh,
    /// log(1 + exp a)
    Softplus,
    /// 1/(1 + exp(-a))
    Sigmoid,
    /// a times the normal distribution function
    Gelu,
    /// a times the sigmoid
    Silu,
    /// a above 0, exp(a) - 1 below
    Elu,
}

/// Densities p(x | z).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LikelihoodChoice {
    /// Normal, a variance for each column
    Gaussian,
    /// Normal, one variance for all columns
    GaussianShared,
    /// Normal, a variance for each entry, by the decoder
    GaussianEntries,
    /// Zeros and ones
    Bernoulli,
    /// Codes 0, 1, 2, ... in every column
    Categorical,
    /// Counts
    Poisson,
    /// Overdispersed counts
    NegativeBinomial,
    /// Overdispersed counts, some of them lost; the size of a row is its sum
    Zinb,
    /// Bags of words
    Multinomial,
    /// Grey levels 0, 1/255, ..., 1 (see --scale)
    DiscretizedLogistic,
}

/// Families of q(z | x).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PosteriorChoice {
    /// A Gaussian with diagonal covariance
    Diagonal,
    /// A Gaussian with full covariance
    FullCovariance,
    /// One of L values: groups of rows
    Categorical,
}

/// `lvm resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// A checkpoint written by lvm fit vae --checkpoint; it is written again after every epoch
    pub(crate) checkpoint: PathBuf,
    /// Epochs in all, those already done included (as many as before)
    #[arg(long, value_name = "E", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
}

/// How log p(x) is estimated for a neural model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Neural models")]
pub(crate) struct EstimateArgs {
    /// How log p(x) is bounded or estimated (iwae)
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
    pub(crate) device: DeviceArgs,
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
    pub(crate) device: DeviceArgs,
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
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true, value_parser = super::shared::at_least_two)]
    pub(crate) steps: usize,
    /// Along a great circle instead of a straight line
    #[arg(long)]
    pub(crate) spherical: bool,
    /// Also write the latents of each point
    #[arg(long)]
    pub(crate) with_latent: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
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

/// A share of the rows.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("a share from 0 to below 1 is needed, such as 0.1".to_owned()),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("yes or no is needed".to_owned()),
    }
}
