//! Neural models: how they are fitted, and what only they are asked.

mod choices;
mod fit;
mod tasks;
mod training;

pub(crate) use choices::{
    ActivationChoice, DispersionChoice, InputChoice, KlChoice, LikelihoodChoice, NetChoice, ObjectiveChoice, PosteriorChoice, PriorChoice,
    ScheduleChoice,
};
pub(crate) use fit::{FitVaeArgs, NetArgs, NeuralModelArgs};
pub(crate) use tasks::{EstimateArgs, Estimator, InterpolateArgs, OodArgs, ReconstructArgs, ResumeArgs};
pub(crate) use training::{ObjectiveArgs, TrainingArgs};

use clap::Args;
use lvm_deep::device::Device;
use std::path::PathBuf;

/// Where a neural model is computed, and where it is told what.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NeuralArgs {
    /// Where neural models are computed: auto, cpu, or cuda:0, cuda:1, … (auto: a GPU where there is one)
    // headings of their own: one for the whole would be that of what comes after, too
    #[arg(long, value_name = "DEVICE", value_parser = device, help_heading = "Neural models")]
    pub(crate) device: Option<Device>,
    /// A table of the same rows that has the columns of --condition, where DATA has not
    #[arg(long, value_name = "FILE", help_heading = "Neural models")]
    pub(crate) condition_from: Option<PathBuf>,
}

impl NeuralArgs {
    /// On the CPU, whatever there is.
    pub(crate) fn on_cpu() -> Self {
        NeuralArgs { device: Some(Device::Cpu), condition_from: None }
    }
}

fn device(text: &str) -> Result<Device, lvm_deep::device::UnknownDevice> {
    text.parse()
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("yes or no is needed".to_owned()),
    }
}
