//! `lvm fit vae`.

use super::super::shared::{DataArgs, SaveArgs, at_least_one, at_least_two};
use super::{
    ActivationChoice, DispersionChoice, InputChoice, LikelihoodChoice, NetChoice, NeuralArgs, PosteriorChoice, PriorChoice, TrainingArgs,
    yes_or_no,
};
use clap::Args;
use clap::builder::ArgPredicate;
use std::path::PathBuf;

/// `lvm fit vae`.
#[derive(Debug, Args)]
#[command(mut_arg("data", |data| {
    // settings can be printed without a table
    data.required(false).required_unless_present("print_config").default_value_if("print_config", ArgPredicate::IsPresent, "-")
}))]
pub(crate) struct FitVaeArgs {
    /// A file of settings (TOML); options typed here come before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings as such a file, with what each means, and end; DATA may be left out
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Any setting by its name in the file: --set training.adam.beta1=0.8; as often as needed
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Columns that encoder and decoder are told and do not explain: numbers as they are, labels as zeros and a one; COLUMN=levels takes
    /// numbers for labels
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', help_heading = "Model")]
    pub(crate) condition: Vec<String>,
    #[command(flatten)]
    pub(crate) model: NeuralModelArgs,
    #[command(flatten)]
    pub(crate) net: NetArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    #[command(flatten)]
    pub(crate) neural: NeuralArgs,
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
    /// Density of the data given the latents (gaussian)
    #[arg(long, value_enum, ignore_case = true, value_name = "DENSITY")]
    pub(crate) likelihood: Option<LikelihoodChoice>,
    /// A known variance instead of one that is trained (gaussian)
    #[arg(long, value_name = "V", value_parser = super::super::shared::positive)]
    pub(crate) variance: Option<f64>,
    /// Codes of a column (categorical; one more than the largest number of DATA)
    #[arg(long, value_name = "K", value_parser = at_least_two)]
    pub(crate) codes: Option<usize>,
    /// Grey levels (discretized-logistic, 256)
    #[arg(long, value_name = "G", value_parser = at_least_two)]
    pub(crate) levels: Option<usize>,
    /// Where the dispersion of counts (negative-binomial, zinb) or the scale of grey levels (discretized-logistic) comes from (columns)
    #[arg(long, value_enum, ignore_case = true, value_name = "shared|columns|entries", hide_possible_values = true)]
    pub(crate) dispersion: Option<DispersionChoice>,
    /// The size of a row of counts: none, observed (its sum), latent (a latent of its own), or condition:C or exposure:C, a column of the condition
    /// from 0 that holds its logarithm (none; observed for zinb)
    #[arg(long, value_name = "SIZE", value_parser = library)]
    pub(crate) library: Option<String>,
    /// What the encoder sees of x (as the likelihood suggests)
    #[arg(long, value_enum, ignore_case = true, value_name = "plain|standardised|log1p", hide_possible_values = true)]
    pub(crate) input: Option<InputChoice>,
    /// Tell the encoder which cells are missing
    #[arg(long)]
    pub(crate) mask: bool,
    /// Train in units of the columns' standard deviations; the model is then put back into those of the table (yes for gaussian and
    /// gaussian-entries with plain layers)
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub(crate) standardise: Option<bool>,
    /// Family of q(z | x) (diagonal)
    #[arg(long, value_enum, ignore_case = true, value_name = "FAMILY")]
    pub(crate) posterior: Option<PosteriorChoice>,
    /// Density of the latents (standard-normal, or as the posterior needs)
    #[arg(long, value_enum, ignore_case = true, value_name = "PRIOR")]
    pub(crate) prior: Option<PriorChoice>,
    /// Components of the prior (mixture 10, vamp 50)
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    pub(crate) prior_components: Option<usize>,
    /// Steps of the flows of posterior and prior (4)
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    pub(crate) flow_steps: Option<usize>,
    /// Widths of the hidden layers of each step (64)
    #[arg(long, value_name = "H1,H2", value_delimiter = ',', value_parser = at_least_one)]
    pub(crate) flow_hidden: Option<Vec<usize>>,
    /// Latents of the upper layer (hierarchical)
    #[arg(long, value_name = "L2", value_parser = at_least_one)]
    pub(crate) upper: Option<usize>,
}

/// The nets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Nets")]
pub(crate) struct NetArgs {
    /// Of encoder and decoder (mlp)
    #[arg(long, value_enum, ignore_case = true, value_name = "NET")]
    pub(crate) net: Option<NetChoice>,
    /// Widths of the encoder's hidden layers, in reverse those of the decoder; none for a linear model (64). Of conv: behind the
    /// convolutions (none); of gru, lstm: the width of the state, the first number
    #[arg(long, value_name = "H1,H2", value_delimiter = ',', num_args = 0..=1, value_parser = at_least_one)]
    pub(crate) hidden: Option<Vec<usize>>,
    /// Function between the layers (relu)
    #[arg(long, value_enum, ignore_case = true, value_name = "FUNCTION")]
    pub(crate) activation: Option<ActivationChoice>,
    /// The shape of an image: channels, height, width (conv; one square channel)
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', num_args = 1, value_parser = at_least_one)]
    pub(crate) image: Option<Vec<usize>>,
    /// Channels of the encoder's convolutions, each of which halves the image; in reverse those of the decoder (conv, 32,64)
    #[arg(long, value_name = "C1,C2", value_delimiter = ',', value_parser = at_least_one)]
    pub(crate) channels: Option<Vec<usize>>,
    /// Each column is a step of a sequence and holds one of K codes (gru, lstm, attention; the likelihood is then categorical)
    #[arg(long, value_name = "K", value_parser = at_least_two, conflicts_with = "step_columns")]
    pub(crate) tokens: Option<usize>,
    /// Numbers that stand for a token inside the net (32)
    #[arg(long, value_name = "E", value_parser = at_least_one)]
    pub(crate) embedding: Option<usize>,
    /// Columns of a step of a sequence of numbers (gru, lstm, attention; 1)
    #[arg(long, value_name = "F", value_parser = at_least_one)]
    pub(crate) step_columns: Option<usize>,
    /// Layers one above the other (gru, lstm 1; attention 2)
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) layers: Option<usize>,
    /// Heads that share out the width (attention, 4)
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) heads: Option<usize>,
    /// Width of everything between input and output (attention, 64)
    #[arg(long, value_name = "W", value_parser = at_least_one)]
    pub(crate) width: Option<usize>,
}

/// A size of a row, as the settings write it.
fn library(text: &str) -> Result<String, String> {
    let text = text.to_lowercase();
    let column = |name: &str| text.strip_prefix(name).is_some_and(|c| c.parse::<u32>().is_ok());
    match text.as_str() {
        "none" | "observed" | "latent" => Ok(text),
        _ if column("condition:") || column("exposure:") => Ok(text),
        _ => Err("none, observed, latent, condition:C or exposure:C is needed, C a column of the condition from 0".to_owned()),
    }
}
