//! How a neural model is trained.

use super::super::shared::{at_least_one, not_negative, positive, seed};
use super::{KlChoice, ObjectiveChoice, ScheduleChoice};
use clap::Args;
use std::path::PathBuf;

/// How it is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    #[command(flatten)]
    pub(crate) objective: ObjectiveArgs,
    /// Passes over the rows at most (100)
    #[arg(long, value_name = "E", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    /// Rows a step (128, or all if they are fewer)
    #[arg(long, value_name = "B", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) batch_size: Option<usize>,
    /// Learning rate of Adam (0.001)
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Learning rate of the last epoch (a tenth of the first, for --schedule cosine and exponential)
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) final_rate: Option<f64>,
    /// How the rate changes over the epochs (constant; cosine with --final-rate)
    #[arg(long, value_enum, ignore_case = true, value_name = "SCHEDULE")]
    pub(crate) schedule: Option<ScheduleChoice>,
    /// Adam's share of the last mean gradient that is kept (0.9)
    #[arg(long, value_name = "B1", value_parser = not_negative)]
    pub(crate) beta1: Option<f64>,
    /// Adam's share of the last mean square gradient that is kept (0.999)
    #[arg(long, value_name = "B2", value_parser = not_negative)]
    pub(crate) beta2: Option<f64>,
    /// What Adam adds to the root of the mean square gradient (1e-8)
    #[arg(long, value_name = "EPS", value_parser = positive)]
    pub(crate) epsilon: Option<f64>,
    /// Shorten gradients that are longer than this
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) clip: Option<f64>,
    /// Share of the rows held out to judge by; the model returned is that of the best epoch (0.1; 0 for none)
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = share)]
    pub(crate) held_out: Option<f64>,
    /// Draws a row for the held-out bound (1)
    #[arg(long, value_name = "S", value_parser = at_least_one)]
    pub(crate) held_out_draws: Option<usize>,
    /// Stop when the held-out bound has not risen for so many epochs
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) patience: Option<usize>,
    /// Epochs over which the weight of the KL term rises to 1 (0)
    #[arg(long, value_name = "E")]
    pub(crate) warm_up: Option<usize>,
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

/// What is maximised.
#[derive(Debug, Args)]
#[command(next_help_heading = "Objective")]
pub(crate) struct ObjectiveArgs {
    /// What is maximised (elbo)
    #[arg(long, value_enum, ignore_case = true, value_name = "OBJECTIVE")]
    pub(crate) objective: Option<ObjectiveChoice>,
    /// Draws of z a row (1; iwae 50, score-function 4)
    #[arg(long, value_name = "S", value_parser = at_least_one)]
    pub(crate) draws: Option<usize>,
    /// How the KL term is had (analytic; elbo)
    #[arg(long, value_enum, ignore_case = true, value_name = "KL")]
    pub(crate) kl: Option<KlChoice>,
    /// Weight of the KL term (1, the bound itself)
    #[arg(long, value_name = "BETA", allow_negative_numbers = true, value_parser = not_negative, conflicts_with = "iwae")]
    pub(crate) beta: Option<f64>,
    /// Nats of KL that each latent may have without being pushed down (0; elbo)
    #[arg(long, visible_alias = "free-bits", value_name = "NATS", allow_negative_numbers = true, value_parser = not_negative, conflicts_with = "iwae")]
    pub(crate) free_nats: Option<f64>,
    /// Temperature of the relaxed latent (0.5; gumbel-softmax)
    #[arg(long, value_name = "T", value_parser = positive)]
    pub(crate) temperature: Option<f64>,
    /// Shortly for --objective iwae --draws K
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = at_least_one, conflicts_with_all = ["objective", "draws"])]
    pub(crate) iwae: Option<usize>,
}

/// A share of the rows.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("a share from 0 to below 1 is needed, such as 0.1".to_owned()),
    }
}
