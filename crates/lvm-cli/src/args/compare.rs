//! `lvm compare`.

use super::shared::DataArgs;
use clap::Args;
use std::path::PathBuf;

/// `lvm compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Model files of any family, fitted to the same columns
    #[arg(required = true, value_name = "MODEL")]
    pub(crate) models: Vec<PathBuf>,
    #[cfg(feature = "deep")]
    #[command(flatten)]
    pub(crate) estimate: super::EstimateArgs,
    /// Print one JSON object instead of the table
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}
